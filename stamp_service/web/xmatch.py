"""Cross-matches of one alert: which entries of a configured catalogue lie where it is."""

from typing import TYPE_CHECKING

import numpy as np
from flask import Blueprint, Flask, Response, current_app
from pydantic import BaseModel, Field

from stamp_service.errors import NotFound, RequestError
from stamp_service.settings import Settings
from stamp_service.web.answers import ask
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.records import plain_record, write_json
from stamp_service.web.services import services

if TYPE_CHECKING:
    from astropy.table import Table

    from stamp_service.xmatch import NamedCatalogues

blueprint = Blueprint("xmatch", __name__, url_prefix="/v1")

# Catalogues change, unlike alerts.
_MAX_AGE_S = 3600
_MAX_MATCHES = 1000
_LARGEST_DISTANCE_ARCSEC = 180
_EXTENSION = "stamp_service.xmatch"


class XmatchQuery(BaseModel):
    """What to match an alert with."""

    catalogue: str = Field(max_length=32, description="A catalogue that the service is configured with, by name.")
    distance: float = Field(
        5.0, gt=0, le=_LARGEST_DISTANCE_ARCSEC, description="Largest distance on the sky, in arcsec."
    )


def install(app: Flask, settings: Settings) -> None:
    """Give an application its catalogues.

    Parameters
    ----------
    app : flask.Flask
        The application.
    settings : Settings
        Name the catalogues.

    Raises
    ------
    ConfigurationError
        If one of them is no catalogue.
    """
    app.extensions[_EXTENSION] = _open(settings) if settings.catalogues else None


def _open(settings: Settings) -> "NamedCatalogues":
    from stamp_service.xmatch import NamedCatalogues  # noqa: PLC0415 - astropy's tables take a second to import

    return NamedCatalogues(settings)


@blueprint.get("/alerts/<survey>/<alert_id>/xmatch")
@describe(
    Operation(
        summary="The entries of a catalogue close to an alert",
        produces={"application/json": {"type": "object"}},
        query=XmatchQuery,
        failures=(400, 401, 403, 404, 413, 502, 503, 504),
        secured=True,
    )
)
def xmatch(survey: str, alert_id: str, query: XmatchQuery) -> Response:
    """Answer with the entries of a catalogue, the closest first."""
    question = ask(survey, alert_id, "metadata")
    catalogues: NamedCatalogues | None = current_app.extensions[_EXTENSION]
    if catalogues is None:
        raise RequestError("catalogue is not one of those that are configured: none", "catalogue")
    catalogues.check(query.catalogue)
    summary = services().resolver.alert(question.survey, question.alert_id).summary()
    if summary.ra_deg is None or summary.dec_deg is None:
        raise NotFound(f"{question.survey.name} alert {question.alert_id} has no position")
    found = catalogues.matches(query.catalogue, summary.ra_deg, summary.dec_deg, query.distance)
    body = {
        "survey": question.survey.name,
        "alert_id": question.alert_id,
        "ra_deg": summary.ra_deg,
        "dec_deg": summary.dec_deg,
        "catalogue": query.catalogue,
        "distance_arcsec": query.distance,
        "found": len(found),
        "matches": _rows(found[:_MAX_MATCHES]),
    }
    response = Response(write_json(plain_record(body)), mimetype="application/json")
    response.headers["Cache-Control"] = f"{'public' if question.public else 'private'}, max-age={_MAX_AGE_S}"
    if not question.public:
        response.headers["Vary"] = "Authorization"
    return response


def _rows(table: "Table") -> list[dict[str, object]]:
    """List rows with values that JSON has; what is masked is null."""
    columns = {name: np.ma.asarray(table[name]).tolist() for name in table.colnames}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
