"""The page of search."""

from flask import Response

from stamp_service.web.viewer.pages import blueprint, page


@blueprint.get("/")
def search() -> Response:
    """Answer with the page."""
    return page("search.html")
