"""The page of one alert."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from stamp_service.errors import StampServiceError
from stamp_service.images import Stamp, colormap_names, find_palette, find_tangent
from stamp_service.packets import Summary, light_curve
from stamp_service.resolver import AnyAlert
from stamp_service.surveys import Kind, Survey
from stamp_service.web.answers import Question, ask, is_allowed
from stamp_service.web.forms import stamp_of
from stamp_service.web.records import plain_record
from stamp_service.web.services import Services, services
from stamp_service.web.viewer.cards import alert_card
from stamp_service.web.viewer.classes import what_is_said
from stamp_service.web.viewer.fields import field_notes
from stamp_service.web.viewer.links import links_elsewhere
from stamp_service.web.viewer.pages import blueprint, page
from stamp_service.web.viewer.positions import sexagesimal

# The others are offered when the page is there: a long list costs a tenth of the time until then.
_USUAL = ("gray", "gray_r", "viridis", "inferno", "magma", "cividis", "turbo", "cubehelix", "RdBu_r", "coolwarm")
_DAY_S = 24 * 3600
_COLORMAPS = tuple(dict.fromkeys((*_USUAL, *colormap_names())))


@blueprint.get("/alert/<survey>/<alert_id>")
def alert(survey: str, alert_id: str) -> Response:
    """Answer with the page; what a reader may not have is left out."""
    question = ask(survey, alert_id, "stamps")
    found = services().resolver.alert(question.survey, question.alert_id)
    told = found if is_allowed(question.survey, "metadata") else None
    summary = told.summary() if told else None
    data = _data(question, found, summary)
    return page(
        "alert.html",
        survey=question.survey,
        alert_id=question.alert_id,
        object_id=told.object_id if told else None,
        summary=summary,
        sexagesimal=sexagesimal(summary) if summary else None,
        links=links_elsewhere(question.survey, told.object_id, summary) if told and summary else {},
        data=data,
        said=what_is_said(question.survey, told.object_id) if told and told.object_id is not None else (),
        may_have_packets=is_allowed(question.survey, "packets"),
        colormaps=dict.fromkeys((*_USUAL, _colormap())),
        card=alert_card(question, found, request.host_url.rstrip("/"), request.args),
    )


@blueprint.get("/palettes.bin")
def palettes() -> Response:
    """Answer with the page's colour maps but the reversed ones, in its order: 255 colours of three bytes each."""
    colours = b"".join(find_palette(name).tobytes() for name in _COLORMAPS if not name.endswith("_r"))
    response = Response(colours, mimetype="application/octet-stream")
    response.headers["Cache-Control"] = f"public, max-age={_DAY_S}"
    return response


def _data(question: Question, found: AnyAlert, summary: Summary | None) -> dict[str, Any]:
    """Say what the page's script needs."""
    survey = question.survey
    record = found.record() if summary else {}
    position = None
    if summary and summary.ra_deg is not None and summary.dec_deg is not None:
        position = (summary.ra_deg, summary.dec_deg)
    return {
        "survey": survey.name,
        "alert_id": question.alert_id,
        "row0": survey.orientation.row0,
        "colours": find_palette(_colormap()).tolist(),
        "colormaps": _COLORMAPS,
        "kinds": _kinds(services(), found, position),
        "light_curve": light_curve(survey, record),
        "record": plain_record(record),
        "notes": field_notes(found) if summary else {},
    }


def _colormap() -> str:
    wanted = request.args.get("cmap")
    return wanted if wanted in _COLORMAPS else _COLORMAPS[0]


def _kinds(here: Services, found: AnyAlert, position: tuple[float, float] | None) -> dict[Kind, dict[str, Any]]:
    cutouts = found.cutouts()
    return {kind: _kind(here, found.survey, kind, cutouts.get(kind), position) for kind in found.survey.kinds}


def _kind(
    here: Services, survey: Survey, kind: Kind, cutout: bytes | None, position: tuple[float, float] | None
) -> dict[str, Any]:
    """Say how a cutout is drawn by default, and where its pixels are on the sky."""
    if cutout is None:
        return {"missing": "was not published"}
    try:
        stamp = stamp_of(here, cutout)
    except StampServiceError as error:
        return {"missing": f"cannot be read: {error}"}
    described = survey.cutouts[kind]
    return {
        "interval": described.drawing.interval,
        "stretch": described.drawing.stretch,
        "masks": described.mask_values,
        **_sky(stamp, survey, position),
    }


def _sky(stamp: Stamp, survey: Survey, position: tuple[float, float] | None) -> Mapping[str, Any]:
    tangent = find_tangent(stamp.header, stamp.pixels.shape, survey, position)
    if tangent is None:
        return {"scale_arcsec": survey.pixel_scale_arcsec, "sky": None}
    north, west = tangent.directions()
    place = {"ra_deg": tangent.ra_deg, "dec_deg": tangent.dec_deg, "matrix": tangent.matrix}
    return {"scale_arcsec": tangent.scale_arcsec, "sky": place | {"up": north, "right": west}}
