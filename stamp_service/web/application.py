"""The application factory."""

import logging
from functools import partial

from flask import Flask, has_request_context, request

from stamp_service.cache import ByteCache
from stamp_service.index import open_index
from stamp_service.lake.lakes import open_lakes
from stamp_service.logs import configure_logging
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.sources import open_sources
from stamp_service.stores import open_schemas
from stamp_service.surveys import load_surveys
from stamp_service.web import (
    alerce,
    alertdb,
    batch,
    classification,
    colormaps,
    errors,
    fink,
    lists,
    operations,
    probabilities,
    v1,
    viewer,
    xmatch,
)
from stamp_service.web.access import Access
from stamp_service.web.answers import note_lake_read
from stamp_service.web.exchange import REQUEST_ID, Exchange
from stamp_service.web.health import IndexHealth
from stamp_service.web.metrics import Metrics
from stamp_service.web.services import Services, attach

# A thousand stamps in a batch, or one packet in a form; nothing else has a body.
_FORM_OVERHEAD_BYTES = 64 * 1024
_SHAPES: dict[str, errors.Shape] = {
    "alerce": errors.message,
    "alerce_writing": errors.message,
    "alertdb": errors.detail,
    "fink": errors.status_and_text,
    "stamp_classifier": errors.status_and_content,
    "viewer": viewer.failure_page,
}


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
    configure_logging(settings.log_level, _which_request)
    app = Flask(__name__, static_folder="static")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_packet_bytes + _FORM_OVERHEAD_BYTES
    surveys = load_surveys(settings.surveys_dir)
    metrics = Metrics(app)
    schemas = open_schemas(settings)
    lakes = open_lakes(settings, surveys, partial(note_lake_read, metrics))
    index = open_index(settings)
    resolver = Resolver(
        open_sources(settings, surveys, lakes),
        schemas,
        index=index,
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
            lakes=lakes,
            index=index,
            index_health=IndexHealth(index),
            resolver=resolver,
            access=access,
            pictures=ByteCache(settings.picture_cache_bytes),
            metrics=metrics,
        ),
    )
    app.wsgi_app = Exchange(app.wsgi_app, metrics)  # type: ignore[method-assign]  # as Flask documents it
    _add_routes(app, settings, writable=access.writable)
    logging.getLogger("stamp_service").debug("serving %s", ", ".join(surveys))
    return app


def _add_routes(app: Flask, settings: Settings, *, writable: bool) -> None:
    errors.install(app, _SHAPES)
    xmatch.install(app, settings)
    classification.install(app, settings)
    probabilities.install(app, settings)
    for module in (
        v1,
        colormaps,
        lists,
        probabilities,
        xmatch,
        classification,
        batch,
        alerce,
        alertdb,
        fink,
        operations,
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(classification.posting)
    viewer.install(app)
    if writable:
        app.register_blueprint(alerce.writing)


def _which_request() -> dict[str, object]:
    """Say for the log which request a line is about."""
    return {"request_id": request.environ.get(REQUEST_ID)} if has_request_context() else {}
