"""Lists of alerts: an object's, and those of a time and a place; from the index."""

import hashlib
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from stamp_service.errors import RequestError
from stamp_service.index import Cone, IndexedAlert
from stamp_service.packets import Summary
from stamp_service.surveys import Kind, Survey
from stamp_service.times import MJD_EPOCH
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.records import write_json
from stamp_service.web.services import services

blueprint = Blueprint("lists", __name__, url_prefix="/v1")

# Unlike alerts, lists grow.
_MAX_AGE_S = 5
# Later ones are Julian dates, or years, months and days in a row.
_LAST_MJD = 1_000_000
_NUMBER = r"[0-9]{1,%d}(\.[0-9]{0,15})?"
_CONE = rf"[-+ ]?{_NUMBER % 3},[-+ ]?{_NUMBER % 2},{_NUMBER % 6}"
_LONGEST_CONE = 64
_FAILURES = (400, 401, 403, 404, 503, 504)
_OPTIONAL_TEXT, _OPTIONAL_NUMBER = {"type": ["string", "null"]}, {"type": ["number", "null"]}
_ALERT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["survey", "alert_id", "object_id", "time_mjd", "ra_deg", "dec_deg", "kinds", "links"],
    "properties": {
        "survey": {"type": "string"},
        "alert_id": {"type": "string"},
        "object_id": _OPTIONAL_TEXT,
        "time_mjd": _OPTIONAL_NUMBER,
        "ra_deg": _OPTIONAL_NUMBER,
        "dec_deg": _OPTIONAL_NUMBER,
        "band": _OPTIONAL_TEXT,
        "magnitude": _OPTIONAL_NUMBER,
        "flux_njy": _OPTIONAL_NUMBER,
        "real_bogus": _OPTIONAL_NUMBER,
        "kinds": {"type": "array", "items": {"type": "string"}},
        "links": {"type": "object"},
    },
}


# Patterns are for clients to read: what does not match is refused in words, further down.
class SearchQuery(BaseModel):
    """Which alerts of a survey."""

    since: str | None = Field(
        None,
        max_length=32,
        description="Not before this time: a modified Julian date, or ISO 8601, which is UTC unless it says more.",
    )
    until: str | None = Field(None, max_length=32, description="Before this time, likewise.")
    cone: str | None = Field(
        None,
        max_length=_LONGEST_CONE,
        json_schema_extra={"pattern": f"^{_CONE}$"},
        description="Where: `ra,dec,radius`, ICRS, in degrees, degrees and arcsec.",
    )
    order: Literal["oldest", "newest"] = Field("oldest", description="Which alerts come first.")
    limit: int = Field(100, ge=1, le=1000, description="Most alerts of a page.")
    after: str | None = Field(
        None,
        max_length=512,
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
        description="Where the page starts, as `next` of the former says.",
    )

    def next_page(self, after: str) -> str:
        """Write the query of the next page.

        Parameters
        ----------
        after : str
            Where it starts.

        Returns
        -------
        str
            A query string.
        """
        return urlencode(self.model_dump(exclude_none=True, exclude_defaults=True) | {"after": after}, safe=",:")


def _schema(**properties: object) -> dict[str, Any]:
    alerts = {"type": "array", "items": _ALERT_SCHEMA}
    return {
        "type": "object",
        "required": ["survey", "alerts", *properties],
        "properties": {"survey": {"type": "string"}, "alerts": alerts} | properties,
    }


@blueprint.get("/objects/<survey>/<object_id>/alerts")
@describe(
    Operation(
        "The alerts of an object, oldest first",
        {"application/json": _schema(object_id={"type": "string"})},
        failures=_FAILURES,
        secured=True,
    )
)
def object_alerts(survey: str, object_id: str) -> Response:
    """Answer with all alerts of an object that the index has."""
    found, public = _ask(survey)
    checked = found.check_object_id(object_id)
    alerts = services().index.alerts_of(found.name, checked)
    return answer_list({"survey": found.name, "object_id": checked, "alerts": _listed(alerts)}, public=public)


@blueprint.get("/alerts/<survey>")
@describe(
    Operation(
        "The alerts of a time and a place, oldest first",
        {"application/json": _schema(next=_OPTIONAL_TEXT)},
        query=SearchQuery,
        failures=_FAILURES,
        secured=True,
    )
)
def search(survey: str, query: SearchQuery) -> Response:
    """Answer with a page of alerts that the index has, and where the next one is."""
    found, public = _ask(survey)
    page = services().index.search(
        found.name,
        since_mjd=read_mjd(query.since, "since"),
        until_mjd=read_mjd(query.until, "until"),
        cone=_cone(query.cone),
        limit=query.limit,
        after=query.after,
        newest_first=query.order == "newest",
    )
    following = page.after and f"{request.script_root}/v1/alerts/{found.name}?{query.next_page(page.after)}"
    return answer_list({"survey": found.name, "alerts": _listed(page.alerts), "next": following}, public=public)


def _ask(survey: str) -> tuple[Survey, bool]:
    here = services()
    found = here.surveys.named(survey, "survey")
    return found, here.access.check(found, "metadata", request.headers.get("Authorization"))


def read_mjd(text: str | None, parameter: str) -> float | None:
    """Read a time that came from outside.

    Parameters
    ----------
    text : str or None
        A modified Julian date, or ISO 8601, which is UTC unless it says more.
    parameter : str
        What the request calls it, for the error.

    Returns
    -------
    float or None
        Modified Julian date; None if none was given.

    Raises
    ------
    RequestError
        If it is neither.
    """
    if text is None:
        return None
    try:
        mjd = float(text)
    except ValueError:
        mjd = _iso_mjd(text)
    if math.isnan(mjd) or abs(mjd) >= _LAST_MJD:
        raise RequestError(f"{parameter} is neither a modified Julian date nor an ISO 8601 time", parameter)
    return mjd


def _iso_mjd(text: str) -> float:
    try:
        # A plus sign in an address is a space.
        time = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - MJD_EPOCH).total_seconds() / 86400
    except (ValueError, OverflowError):
        return math.nan


def _cone(text: str | None) -> Cone | None:
    if text is None:
        return None
    if re.fullmatch(_CONE, text) is None:
        raise RequestError("cone is not of the form ra,dec,radius in degrees, degrees and arcsec", "cone")
    try:
        return Cone(*map(float, text.split(",")))
    except ValueError as error:
        raise RequestError(f"cone: {error}", "cone") from None


def _listed(alerts: Sequence[IndexedAlert]) -> list[dict[str, Any]]:
    return [describe_alert(one.survey, one.alert_id, one.object_id, one, one.kinds) for one in alerts]


def describe_alert(
    survey: str, alert_id: str, object_id: str | None, measured: Summary | IndexedAlert, kinds: Sequence[Kind]
) -> dict[str, Any]:
    """Say of an alert what can be said of any survey's, and where there is more.

    Parameters
    ----------
    survey : str
        Name of its survey.
    alert_id : str
        Its id.
    object_id : str or None
        The object's.
    measured : Summary or IndexedAlert
        Time, position, band and brightness.
    kinds : sequence of str
        The cutouts that it was published with.

    Returns
    -------
    dict
        What JSON can hold.
    """
    base = f"{request.script_root}/v1"
    name = f"{survey}/{alert_id}"
    return {
        "survey": survey,
        "alert_id": alert_id,
        "object_id": object_id,
        "time_mjd": measured.time_mjd,
        "ra_deg": measured.ra_deg,
        "dec_deg": measured.dec_deg,
        "band": measured.band,
        "magnitude": measured.magnitude,
        "flux_njy": measured.flux_njy,
        "real_bogus": measured.real_bogus,
        "kinds": kinds,
        "links": {
            "metadata": f"{base}/alerts/{name}",
            "packet": f"{base}/alerts/{name}.avro",
            "stamps": {kind: f"{base}/stamps/{name}/{kind}.png" for kind in kinds},
            "triptych": f"{base}/stamps/{name}.png",
        },
    }


def measured_words(object_id: str | None, measured: Summary | IndexedAlert) -> list[str]:
    """Say in words what was measured.

    Parameters
    ----------
    object_id : str or None
        The object's id.
    measured : Summary or IndexedAlert
        Time, band and brightness.

    Returns
    -------
    list of str
        What is known of object, time, band and brightness.
    """
    forms = (
        ("{}", object_id),
        ("MJD {:.4f}", measured.time_mjd),
        ("{} band", measured.band),
        ("{:.2f} mag", measured.magnitude),
        ("{:.0f} nJy", measured.flux_njy),
    )
    return [form.format(value) for form, value in forms if value is not None]


def answer_list(body: dict[str, Any], *, public: bool) -> Response:
    """Answer with a list that may be another one soon.

    Parameters
    ----------
    body : dict
        What JSON can hold.
    public : bool
        Whether everybody may have it, so that shared caches may keep the answer.

    Returns
    -------
    flask.Response
        200 or 304.
    """
    text = write_json(body)
    response = Response(text, mimetype="application/json")
    response.headers["Cache-Control"] = f"{'public' if public else 'private'}, max-age={_MAX_AGE_S}"
    if not public:
        response.headers["Vary"] = "Authorization"
    response.set_etag(hashlib.blake2b(text, digest_size=12).hexdigest())
    response.make_conditional(request)
    return response
