"""The page of recent alerts and of search.

There is one page, with a link to the next one. A reader without scripts follows it; `search.js` fetches it when
the end of the list comes near, and moves the next page's alerts into its own list. So alerts are written in one
place, the template, and the stamps of a page come as one contact sheet, whose address the list carries.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from flask import redirect, url_for
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response

from stamp_service.errors import RequestError, StoreUnavailable
from stamp_service.index import Cone, IndexedAlert
from stamp_service.surveys import Survey
from stamp_service.surveys.definition import MAX_ID_LENGTH
from stamp_service.times import MJD_EPOCH
from stamp_service.web.answers import is_allowed
from stamp_service.web.lists import read_mjd
from stamp_service.web.openapi import parse, read_query
from stamp_service.web.probabilities import best_classes
from stamp_service.web.services import services
from stamp_service.web.viewer.naming import Found, find_named
from stamp_service.web.viewer.newest import Classes, Listing, Wanted, list_newest
from stamp_service.web.viewer.pages import blueprint, page
from stamp_service.web.viewer.understanding import LONGEST_TEXT, NamedThing, possible_names, read_place

_FILTERS = ("survey", "since", "until", "cone", "object", "class", "real_bogus")


class Filters(BaseModel):
    """What the page is asked for; empty fields of its form count as not given."""

    q: str | None = Field(None, max_length=LONGEST_TEXT)
    survey: str | None = Field(None, max_length=32)
    since: str | None = Field(None, max_length=32)
    until: str | None = Field(None, max_length=32)
    cone: str | None = Field(None, max_length=100)
    object: str | None = Field(None, max_length=MAX_ID_LENGTH)
    class_name: str | None = Field(None, max_length=100, alias="class")
    real_bogus: float | None = Field(None, ge=0, le=1)
    limit: int = Field(50, ge=1, le=100)
    after: str | None = Field(None, max_length=8000)


@dataclass(slots=True)
class Shown:
    """What the page shows, gathered step by step.

    Parameters
    ----------
    listing : Listing
        The alerts.
    choice : sequence of NamedThing
        What has the id that was typed, if that is more than one thing.
    notices : list of str
        What the reader should know, in sentences.
    title : str
        The heading.
    status : int
        HTTP status.
    examples : IndexedAlert or None
        An alert to make examples of, where what was typed made no sense.
    lists : bool
        Whether there is a list, if an empty one.
    """

    listing: Listing = field(default_factory=lambda: Listing([], {}, 0, None))
    choice: Sequence[NamedThing] = ()
    notices: list[str] = field(default_factory=list)
    title: str = "Recent alerts"
    status: int = 200
    examples: IndexedAlert | None = None
    lists: bool = True


@blueprint.get("/")
def search() -> Response:
    """Answer with a page of alerts, or lead to what was typed into the box."""
    given = {name: value.strip() for name, value in read_query().items() if value.strip()}
    readable = [survey for survey in services().surveys.values() if _may_read(survey)]
    shown = Shown()
    try:
        filters = parse(Filters, given)
        wanted = _wanted(filters, readable)
    except RequestError as error:
        shown.notices.append(f"{error}.")
        shown.status, shown.lists = 400, False
        return _page(shown, given, readable)
    if filters.q is not None:
        place = read_place(filters.q)
        possible = [one for one in possible_names(services().surveys, filters.q) if _may_open(one)]
        found = find_named(services(), possible) if possible else Found()
        if len(found.things) == 1:
            return redirect(_address_of(found.things[0]))
        if found.things or place is None:
            _explain(shown, filters.q, found, possible)
            _give_examples(shown, readable)
            return _page(shown, given, readable)
        given["cone"] = _written(place)
        wanted = _wanted(parse(Filters, given), readable)
        shown.title = f"Within {place.radius_arcsec:g}″ of {place.ra_deg:.6f} {place.dec_deg:+.6f}"
    elif given.keys() & set(_FILTERS):
        shown.title = "Search"
    _fill(shown, wanted, filters.after)
    return _page(shown, given, readable)


def _may_read(survey: Survey) -> bool:
    """Say whether alerts may be listed: a list tells what they measured, and shows their stamps."""
    return is_allowed(survey, "metadata") and is_allowed(survey, "stamps")


def _may_open(thing: NamedThing) -> bool:
    """Say whether a page may be told of: an alert's is shown, with less on it, for its stamps alone."""
    return is_allowed(thing.survey, "stamps") if thing.what == "alert" else _may_read(thing.survey)


def _wanted(filters: Filters, readable: Sequence[Survey]) -> Wanted:
    surveys = readable
    if filters.survey is not None:
        named = services().surveys.named(filters.survey, "survey")
        surveys = [survey for survey in readable if survey.name == named.name]
        if not surveys:
            raise RequestError(f"The alerts of {named.name} are listed for readers with a token only", "survey")
    if filters.object is not None:
        surveys = [survey for survey in surveys if survey.object_id.matches(filters.object)]
        if not surveys:
            raise RequestError("object: this is no object id of a survey that is listed here", "object")
    return Wanted(
        surveys=[survey.name for survey in surveys],
        since_mjd=read_mjd(filters.since, "since"),
        until_mjd=read_mjd(filters.until, "until"),
        cone=_cone(filters.cone),
        object_id=filters.object,
        least_real_bogus=filters.real_bogus,
        class_name=filters.class_name,
        limit=filters.limit,
    )


def _cone(text: str | None) -> Cone | None:
    if text is None:
        return None
    place = read_place(text)
    if place is None:
        raise RequestError("cone: write right ascension, declination and a radius, such as 150.1 2.2 30", "cone")
    return place


def _written(place: Cone) -> str:
    return f"{place.ra_deg:.7f},{place.dec_deg:.7f},{place.radius_arcsec:.6g}"


def _fill(shown: Shown, wanted: Wanted, after: str | None) -> None:
    """List the alerts, or say why that cannot be done now."""

    def look_up(alerts: Sequence[IndexedAlert]) -> Classes:
        try:
            return _classes(alerts)
        except StoreUnavailable as error:
            if wanted.class_name is not None:
                raise
            shown.notices.append(f"Classes are not shown: {error}.")
            return {}

    try:
        shown.listing = list_newest(services().index, wanted, look_up, after)
    except RequestError as error:
        shown.notices.append(f"{error}.")
        shown.status = 400
    except StoreUnavailable as error:
        shown.notices.append(
            f"Alerts cannot be listed now: {error}. Single alerts can still be opened by their id."
        )
        shown.status, shown.lists = 503, False


def _classes(alerts: Sequence[IndexedAlert]) -> Classes:
    known: dict[tuple[str, str | None], Any] = {}
    for survey in services().surveys.values():
        asked = {one.object_id for one in alerts if one.survey == survey.name and one.object_id is not None}
        if asked:
            known |= {(survey.name, oid): said for oid, said in best_classes(survey, asked).items()}
    return known


def _explain(shown: Shown, text: str, found: Found, possible: Sequence[NamedThing]) -> None:
    shown.lists, shown.choice = False, found.things
    if found.things:
        shown.title = f"{text} is the id of several things"
    elif found.troubles:
        shown.title = f"Whether there is {text} could not be found out"
    elif possible:
        shown.title = f"Nothing here is called {text}"
        shown.notices.append(
            "It looks like an id, but no store has such an alert and no alert is of such an object."
        )
    else:
        shown.title = "That is neither an id nor a position"
    shown.notices += [f"{trouble}." for trouble in found.troubles]


def _give_examples(shown: Shown, readable: Sequence[Survey]) -> None:
    """Take the newest alert there is, so that the examples work."""
    wanted = Wanted([survey.name for survey in readable], limit=1)
    try:
        newest = list_newest(services().index, wanted, lambda _: {}).alerts
    except StoreUnavailable:
        return
    shown.examples = newest[0] if newest else None


def _page(shown: Shown, given: Mapping[str, str], readable: Sequence[Survey]) -> Response:
    alerts = shown.listing.alerts
    names = ",".join(f"{one.survey}/{quote(one.alert_id, safe='')}" for one in alerts)
    response = page(
        "search.html",
        status=shown.status,
        shown=shown,
        q=given.get("q", ""),
        given=given,
        is_filtered=bool(given.keys() & set(_FILTERS)),
        surveys=readable,
        cards=[_card(one, shown.listing.classes) for one in alerts],
        sheet=f"{url_for('batch.sheet')}?alerts={names}&tile=63" if alerts else None,
        following=_following(shown.listing.after, given),
        address_of=_address_of,
        address=url_for("viewer.search", _external=True),
    )
    # Which surveys are on it depends on who asks.
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Authorization"
    return response


def _following(after: str | None, given: Mapping[str, str]) -> str | None:
    if after is None:
        return None
    kept = {name: value for name, value in given.items() if name in (*_FILTERS, "limit")}
    return f"{url_for('viewer.search')}?{urlencode(kept | {'after': after}, safe=',:~')}"


def _address_of(thing: NamedThing) -> str:
    if thing.what == "alert":
        return url_for("viewer.alert", survey=thing.survey.name, alert_id=thing.name)
    return url_for("viewer.object", survey=thing.survey.name, object_id=thing.name)


def _card(alert: IndexedAlert, classes: Classes) -> dict[str, Any]:
    """Write what is shown of an alert."""
    said = classes.get((alert.survey, alert.object_id), ())
    return {
        "alert": alert,
        "name": f"{alert.survey.upper()} {alert.alert_id}",
        "time": _date(alert.time_mjd),
        "brightness": _brightness(alert),
        "kinds": ", ".join(alert.kinds) or "no",
        "classes": [(one.classes[0], f"{one.classifier_name} {one.classifier_version}") for one in said],
    }


def _date(time_mjd: float | None) -> str | None:
    """Write a time as a date; None where there is none that anybody could read."""
    try:
        return None if time_mjd is None else f"{MJD_EPOCH + timedelta(days=time_mjd):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError):
        return None


def _brightness(alert: IndexedAlert) -> str | None:
    for value, digits, unit in ((alert.magnitude, 2, "mag"), (alert.flux_njy, 0, "nJy")):
        if value is not None and math.isfinite(value):
            return f"{value:.{digits}f} {unit}"
    return None
