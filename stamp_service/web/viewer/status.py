"""The page of status."""

from flask import Response

from stamp_service.web.viewer.pages import blueprint, page


@blueprint.get("/status")
def status() -> Response:
    """Answer with the page."""
    return page("status.html")
