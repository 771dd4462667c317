"""Health, the API's description, and the page that shows it."""

import orjson
from flask import Blueprint, Response, current_app, render_template

from stamp_service import __version__
from stamp_service.web.openapi import Operation, describe, document
from stamp_service.web.services import services

blueprint = Blueprint("operations", __name__, template_folder="templates")

_STATUS_SCHEMA = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["ok", "degraded", "unavailable"]},
        "stores": {"type": "object"},
        "index": {"type": "string"},
    },
}


def _status(body: dict[str, object], status: int = 200) -> Response:
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/v1/health/live")
@describe(Operation("Whether the process answers", {"application/json": _STATUS_SCHEMA}))
def live() -> Response:
    """Answer that the process runs; asks no store."""
    return _status({"status": "ok", "version": __version__})


@blueprint.get("/v1/health/ready")
@describe(Operation("Whether stores and index answer", {"application/json": _STATUS_SCHEMA}, statuses=(200, 503)))
def ready() -> Response:
    """Answer 200 if every store can be asked, 503 and which one cannot otherwise; say how the index is.

    Stamps need no index, and taking the service away for it would take them away too.
    """
    here = services()
    stores = here.resolver.check()
    index = here.index_health.problem()
    healthy = all(problem is None for problem in stores.values())
    body: dict[str, object] = {
        "status": ("ok" if index is None else "degraded") if healthy else "unavailable",
        "stores": {name: problem or "ok" for name, problem in stores.items()},
        "index": index or "ok",
    }
    return _status(body, 200 if healthy else 503)


def _document() -> dict[str, object]:
    return document(current_app, services().surveys)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answer with the OpenAPI 3.1 document."""
    response = Response(orjson.dumps(_document()), mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


@blueprint.get("/docs")
def docs() -> Response:
    """Answer with the same as a page that loads nothing from elsewhere."""
    response = Response(render_template("docs.html", document=_document()), mimetype="text/html")
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; img-src 'self'"
    response.headers["Cache-Control"] = "public, max-age=60"
    return response
