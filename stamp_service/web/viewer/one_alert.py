"""The page of alert."""

from flask import Response

from stamp_service.web.viewer.pages import blueprint, page


@blueprint.get("/alert/<survey>/<alert_id>")
def alert(survey: str, alert_id: str) -> Response:
    """Answer with the page."""
    return page("alert.html", survey=survey, alert_id=alert_id)
