"""What the views share: one object per application."""

from dataclasses import dataclass

from flask import Flask, current_app

from stamp_service.cache import ByteCache
from stamp_service.index import AlertIndex
from stamp_service.lake.lakes import Lakes
from stamp_service.packets import SchemaLookup
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.surveys import Surveys
from stamp_service.web.access import Access
from stamp_service.web.health import IndexHealth
from stamp_service.web.metrics import Metrics

_EXTENSION = "stamp_service"


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that answer requests.

    Parameters
    ----------
    settings : Settings
        The configuration.
    surveys : Surveys
        The surveys that are defined.
    schemas : SchemaLookup
        Schemas of wire-format packets.
    lakes : Lakes
        The Parquet lakes that are registered.
    index : AlertIndex
        Which alerts there are.
    index_health : IndexHealth
        Whether the index answers.
    resolver : Resolver
        Finds packets.
    access : Access
        Says who may have what.
    pictures : ByteCache
        Drawn PNGs by entity tag.
    metrics : Metrics
        Counters and histograms.
    """

    settings: Settings
    surveys: Surveys
    schemas: SchemaLookup
    lakes: Lakes
    index: AlertIndex
    index_health: IndexHealth
    resolver: Resolver
    access: Access
    pictures: ByteCache[str]
    metrics: Metrics


def attach(app: Flask, parts: Services) -> None:
    """Give an application its services.

    Parameters
    ----------
    app : flask.Flask
        The application.
    parts : Services
        What its views share.
    """
    app.extensions[_EXTENSION] = parts


def services() -> Services:
    """Find the services of the application that handles the current request.

    Returns
    -------
    Services
        The application's.
    """
    found: Services = current_app.extensions[_EXTENSION]
    return found
