"""The colour maps of pictures, for programs that colour pixels themselves."""

from typing import Any

from flask import Blueprint, Response, request

from stamp_service.errors import NotFound, RequestError
from stamp_service.images import check_colormap, colormap_names, find_palette
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.records import write_json

blueprint = Blueprint("colormaps", __name__, url_prefix="/v1")

_DAY_S = 24 * 3600


@blueprint.get("/colormaps")
@describe(Operation("The names of the colour maps", {"application/json": {"type": "object"}}))
def colormaps() -> Response:
    """Answer with every name that `cmap` takes."""
    return _answer({"colormaps": colormap_names()})


@blueprint.get("/colormaps/<name>")
@describe(Operation("The colours of a map", {"application/json": {"type": "object"}}, failures=(404,)))
def colormap(name: str) -> Response:
    """Answer with red, green and blue, 0 to 255, of the 255 levels from black to white."""
    try:
        check_colormap(name)
    except RequestError as error:
        raise NotFound(str(error)) from None
    return _answer({"name": name, "colours": find_palette(name).tolist()})


def _answer(body: dict[str, Any]) -> Response:
    response = Response(write_json(body), mimetype="application/json")
    response.headers["Cache-Control"] = f"public, max-age={_DAY_S}"
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]  # werkzeug gives back what it was given
