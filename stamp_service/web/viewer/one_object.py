"""The page of one object: its alerts, its light curve, its stamps over time, what classifiers say."""

from collections.abc import Sequence
from dataclasses import replace

from flask import Response, request
from pydantic import Field

from stamp_service.errors import NotFound, StampServiceError, StoreUnavailable
from stamp_service.images import AnimationForm, Tile, draw_animation
from stamp_service.index import IndexedAlert
from stamp_service.packets import Measurement, light_curve
from stamp_service.surveys import Kind, Survey
from stamp_service.web.answers import Question, ask
from stamp_service.web.forms import CutoutForm, StyleQuery, stamp_of
from stamp_service.web.lists import describe_alert
from stamp_service.web.openapi import parse
from stamp_service.web.services import services
from stamp_service.web.viewer.cards import object_card
from stamp_service.web.viewer.classes import what_is_said
from stamp_service.web.viewer.links import links_elsewhere
from stamp_service.web.viewer.pages import blueprint, page
from stamp_service.web.viewer.positions import sexagesimal

# Of an object with more alerts than this, the strip shows the latest.
_MOST_FRAMES = 100


class AnimationQuery(StyleQuery):
    """How an object's stamps are shown one after the other."""

    frame_ms: int = Field(250, ge=20, le=10_000)


@blueprint.get("/object/<survey>/<object_id>", endpoint="object")
def object_page(survey: str, object_id: str) -> Response:
    """Answer with the page."""
    found, alerts = _alerts(survey, object_id)
    latest = alerts[-1]
    frames = alerts[-_MOST_FRAMES:]
    data = {
        "survey": found.name,
        "object_id": object_id,
        "alerts": [describe_alert(one.survey, one.alert_id, one.object_id, one, one.kinds) for one in frames],
        "light_curve": _measurements(found, alerts),
        "kinds": found.kinds,
    }
    return page(
        "object.html",
        survey=found,
        object_id=object_id,
        alerts=alerts,
        latest=latest,
        sexagesimal=sexagesimal(latest),
        links=links_elsewhere(found, object_id, latest),
        said=what_is_said(found, object_id),
        card=object_card(found, object_id, alerts, request.host_url.rstrip("/")),
        data=data,
    )


@blueprint.get("/object/<survey>/<object_id>/<any(science, template, difference):kind>.<any(gif, png):form>")
def object_animation(survey: str, object_id: str, kind: Kind, form: AnimationForm) -> Response:
    """Answer with the object's stamps of a kind, oldest first."""
    found, alerts = _alerts(survey, object_id)
    query = parse(AnimationQuery, request.args.to_dict())
    here = services()
    tiles = [tile for one in alerts[-_MOST_FRAMES:] if (tile := _tile(found, one, kind, query)) is not None]
    if not tiles:
        raise NotFound(f"There is no {kind} stamp of {found.name} object {object_id} that can be shown.")
    drawn = draw_animation(
        tiles,
        form=form,
        side_px=query.size or 252,
        frame_ms=query.frame_ms,
        max_pixels=here.settings.max_stamp_px,
    )
    response = Response(drawn, mimetype=f"image/{form}")
    response.headers["Content-Disposition"] = f"attachment; filename={found.name}_{object_id}_{kind}.{form}"
    response.headers["Cache-Control"] = "private, max-age=60"
    return response


def _alerts(survey: str, object_id: str) -> tuple[Survey, list[IndexedAlert]]:
    """Check what is asked, and find the object's alerts; its page tells what alerts measured."""
    here = services()
    found = here.surveys.named(survey)
    checked = found.check_object_id(object_id)
    for permission in ("metadata", "stamps"):
        here.access.check(found, permission, request.headers.get("Authorization"))
    return found, here.index.alerts_of(found.name, checked)


def _tile(survey: Survey, alert: IndexedAlert, kind: Kind, query: AnimationQuery) -> Tile | None:
    """Decode a stamp; None if that alert has none that can be read."""
    if kind not in alert.kinds:
        return None
    here = services()
    question: Question = ask(survey.name, alert.alert_id, "stamps")
    style = query.style(question, kind)
    try:
        cutout = CutoutForm(kind, "png", style).cutout(here, question)
        return Tile(stamp_of(here, cutout), survey, kind, style)
    except StoreUnavailable:
        raise
    except StampServiceError:
        return None


def _measurements(survey: Survey, alerts: Sequence[IndexedAlert]) -> list[Measurement]:
    """Join the history that the latest alert carries with what the index knows of the others."""
    history: list[Measurement] = []
    try:
        record = services().resolver.alert(survey, alerts[-1].alert_id).record()
        history = light_curve(survey, record)
    except StampServiceError:
        pass  # the index knows enough for a light curve
    known = {one.alert_id for one in history}
    others = [point for one in alerts if one.alert_id not in known and (point := _point(one)) is not None]
    # None of them is special here.
    same = [replace(one, source="detection") if one.source == "alert" else one for one in history]
    return sorted([*same, *others], key=lambda one: one.time_mjd)


def _point(alert: IndexedAlert) -> Measurement | None:
    value = alert.magnitude if alert.magnitude is not None else alert.flux_njy
    if value is None or alert.time_mjd is None:
        return None
    return Measurement(
        source="detection",
        time_mjd=alert.time_mjd,
        band=alert.band,
        value=value,
        error=None,
        unit="nJy" if alert.magnitude is None else "mag",
        alert_id=alert.alert_id,
    )
