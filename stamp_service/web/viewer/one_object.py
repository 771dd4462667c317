"""The page of object."""

from flask import Response

from stamp_service.web.viewer.pages import blueprint, page


@blueprint.get("/object/<survey>/<object_id>", endpoint="object")
def object_page(survey: str, object_id: str) -> Response:
    """Answer with the page."""
    return page("object.html", survey=survey, object_id=object_id)
