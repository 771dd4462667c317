"""The service's own API: surveys, alerts, stamps."""

from typing import Any, Literal

from flask import Blueprint, Response

from stamp_service.errors import CutoutAbsent
from stamp_service.images import Style, draw_triptych, pack_fits
from stamp_service.resolver import AnyAlert
from stamp_service.surveys import Kind, Survey
from stamp_service.web.answers import Question, answer, ask
from stamp_service.web.forms import MEDIA_TYPES, CutoutForm, Form, StyleQuery, stamp_of
from stamp_service.web.lists import describe_alert, measured_words
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.records import plain_record, write_json
from stamp_service.web.services import services

blueprint = Blueprint("v1", __name__, url_prefix="/v1")

_FAILURES = (400, 401, 403, 404, 413, 502, 503, 504)
_PACKET_MEDIA_TYPE = "application/octet-stream"


def _operation(summary: str, *media_types: str, query: type[StyleQuery] | None = None) -> Operation:
    return Operation(
        summary=summary,
        query=query,
        produces={media_type: {} for media_type in media_types},
        failures=_FAILURES,
        secured=True,
    )


@blueprint.get("/surveys")
@describe(Operation("The surveys that are served", {"application/json": {"type": "object"}}))
def surveys() -> Response:
    """Answer with every survey: what its ids look like, what it publishes, what is open."""
    here = services()
    listed = [
        {
            "name": survey.name,
            "title": survey.title,
            "alert_id": {"type": survey.alert_id.type, "pattern": survey.alert_id.pattern},
            "object_id": {"pattern": survey.object_id.pattern},
            "kinds": survey.kinds,
            "stores": here.resolver.store_names(survey),
            "anonymous": sorted(survey.access.without_token(key_configured=here.access.key_configured)),
        }
        for survey in here.surveys.values()
    ]
    response = Response(write_json({"surveys": listed}), mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


@blueprint.get("/alerts/<survey>/<alert_id>")
@describe(_operation("The metadata of an alert", "application/json"))
def alert_metadata(survey: str, alert_id: str) -> Response:
    """Answer with the record and what follows from it, as strict JSON."""
    question = ask(survey, alert_id, "metadata")
    return answer(
        question,
        "metadata",
        lambda _: write_json(plain_record(_metadata(question))),
        "application/json",
        f"{question.alert_id}.json",
    )


def _alert(question: Question) -> AnyAlert:
    return services().resolver.alert(question.survey, question.alert_id, question.object_id)


def _metadata(question: Question) -> dict[str, Any]:
    alert = _alert(question)
    name, alert_id = question.survey.name, question.alert_id
    described = describe_alert(name, alert_id, alert.object_id, alert.summary(), alert.kinds())
    return described | {"record": alert.record()}


@blueprint.get("/alerts/<survey>/<alert_id>.avro")
@describe(_operation("The packet of an alert", _PACKET_MEDIA_TYPE))
def alert_packet(survey: str, alert_id: str) -> Response:
    """Answer with the packet, byte for byte as it was published."""
    question = ask(survey, alert_id, "packets")
    return answer(
        question,
        "packet",
        lambda _: services().resolver.packet(question.survey, question.alert_id),
        _PACKET_MEDIA_TYPE,
        f"{question.alert_id}.avro",
        attachment=True,
    )


@blueprint.get(
    "/stamps/<survey>/<alert_id>/<any(science, template, difference):kind>"
    ".<any('png', 'fits', 'fits.gz', 'npy', 'json'):form>"
)
@describe(_operation("One stamp of an alert", *dict.fromkeys(MEDIA_TYPES.values()), query=StyleQuery))
def stamp(survey: str, alert_id: str, kind: Kind, form: Form, query: StyleQuery) -> Response:
    """Answer with one stamp: drawn, as FITS, as an array."""
    question = ask(survey, alert_id, "stamps")
    wanted = CutoutForm(kind, form, query.style(question, kind))
    return answer(
        question,
        wanted.identity,
        lambda tag: wanted.make(services(), question, tag),
        MEDIA_TYPES[form],
        f"{question.alert_id}_{kind}.{form}",
        attachment=form in {"fits", "fits.gz", "npy"},
    )


@blueprint.get("/stamps/<survey>/<alert_id>.<any('png', 'fits'):form>")
@describe(_operation("All stamps of an alert", "image/png", "application/fits", query=StyleQuery))
def all_stamps(survey: str, alert_id: str, form: Literal["png", "fits"], query: StyleQuery) -> Response:
    """Answer with a labelled triptych, or with one FITS file with an extension per kind."""
    question = ask(survey, alert_id, "stamps")
    styles = {kind: query.style(question, kind) for kind in question.survey.kinds}
    return answer(
        question,
        f"all {form} {styles if form == 'png' else ''}",
        (lambda _: _triptych(question, styles)) if form == "png" else (lambda _: _all_fits(question)),
        MEDIA_TYPES[form],
        f"{question.alert_id}.{form}",
        attachment=form == "fits",
    )


def _cutouts(alert: AnyAlert) -> dict[Kind, bytes]:
    cutouts = alert.cutouts()
    if not cutouts:
        raise CutoutAbsent(f"{alert.survey.name} alert {alert.alert_id} was published without stamps")
    return cutouts


def _triptych(question: Question, styles: dict[Kind, Style]) -> bytes:
    here = services()
    alert = _alert(question)
    cutouts = _cutouts(alert)
    stamps = {kind: stamp_of(here, cutouts[kind]) if kind in cutouts else None for kind in question.survey.kinds}
    with here.metrics.stage("draw"):
        return draw_triptych(
            stamps,
            question.survey,
            styles=styles,
            title=triptych_title(question.survey, question.alert_id, alert),
            max_pixels=here.settings.max_stamp_px,
        )


def triptych_title(survey: Survey, alert_id: str, alert: AnyAlert) -> list[str]:
    """Name an alert; say what was measured only where everybody may know it.

    Parameters
    ----------
    survey : Survey
        Its survey.
    alert_id : str
        Its id.
    alert : Alert or LakeAlert
        The alert.

    Returns
    -------
    list of str
        One line or two.
    """
    name = f"{survey.name.upper()} {alert_id}"
    if not services().access.is_public(survey, "metadata"):
        return [name]
    return [name, "   ".join(measured_words(alert.object_id, alert.summary()))]


def _all_fits(question: Question) -> bytes:
    here = services()
    alert = _alert(question)
    cutouts = _cutouts(alert)
    open_metadata = here.access.is_public(question.survey, "metadata")
    return pack_fits(
        cutouts,
        survey=question.survey.name,
        alert_id=question.alert_id,
        object_id=alert.object_id if open_metadata else None,
        max_bytes=here.settings.max_cutout_bytes,
        max_pixels=here.settings.max_stamp_px,
    )
