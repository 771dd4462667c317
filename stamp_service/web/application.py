"""The application factory."""

import logging

from flask import Flask, Response, request

from stamp_service.cache import ByteCache
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.stores import open_schemas, open_stores
from stamp_service.surveys import load_surveys
from stamp_service.web import alerce, alertdb, batch, errors, logs, operations, v1
from stamp_service.web.access import Access
from stamp_service.web.metrics import Metrics
from stamp_service.web.services import Services, attach

# A thousand stamps in a batch, or one packet in a form; nothing else has a body.
_FORM_OVERHEAD_BYTES = 64 * 1024
_READABLE_HEADERS = (
    "Content-Disposition, Content-Range, ETag, Retry-After, X-Request-ID, "
    "X-Sheet-Columns, X-Sheet-Missing, X-Sheet-Tile-Px"
)


def create_app(settings: Settings) -> Flask:
    """Build the service from its settings.

    Parameters
    ----------
    settings : Settings
        The configuration.

    Returns
    -------
    flask.Flask
        The WSGI application.

    Raises
    ------
    ConfigurationError
        If a survey file or key file is unusable.
    """
    logs.configure_logging(settings.log_level)
    app = Flask(__name__, static_folder="static")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_packet_bytes + _FORM_OVERHEAD_BYTES
    surveys = load_surveys(settings.surveys_dir)
    metrics = Metrics(app)
    schemas = open_schemas(settings)
    resolver = Resolver(
        open_stores(settings, surveys),
        schemas,
        cache_bytes=settings.packet_cache_bytes,
        max_packet_bytes=settings.max_packet_bytes,
        observer=metrics,
    )
    access = Access(settings)
    attach(
        app,
        Services(
            settings=settings,
            surveys=surveys,
            schemas=schemas,
            resolver=resolver,
            access=access,
            pictures=ByteCache(settings.picture_cache_bytes),
            metrics=metrics,
        ),
    )
    logs.install(app)
    errors.install(app, {"alerce": errors.message, "alerce_writing": errors.message, "alertdb": errors.detail})
    for blueprint in (v1.blueprint, batch.blueprint, alerce.blueprint, alertdb.blueprint, operations.blueprint):
        app.register_blueprint(blueprint)
    if access.writable:
        app.register_blueprint(alerce.writing)
    app.after_request(_open_to_other_origins)
    logging.getLogger("stamp_service").debug("serving %s", ", ".join(surveys))
    return app


def _open_to_other_origins(response: Response) -> Response:
    """Let pages of other origins read; what they could write needs a token that they do not have."""
    headers = response.headers
    headers["Access-Control-Allow-Origin"] = "*"
    headers["X-Content-Type-Options"] = "nosniff"
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-None-Match, Range, X-Request-ID"
        headers["Access-Control-Max-Age"] = "86400"
    elif "Origin" in request.headers:
        headers["Access-Control-Expose-Headers"] = _READABLE_HEADERS
    return response
