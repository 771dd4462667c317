"""ALeRCE's two stamp APIs: same parameters, same bytes where that matters.

`/get_stamp`, `/get_avro`, `/get_avro_info` and `/put_avro` are the service that the ALeRCE explorer, SN Hunter and
the `alerce` package use; `/stamps_api/…` is the multi-survey API of 2026.
"""

from typing import Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from stamp_service.errors import PacketCorrupt, RequestError
from stamp_service.images import default_style
from stamp_service.packets import Alert, open_alert
from stamp_service.surveys import Kind, Survey
from stamp_service.web.answers import Names, Question, answer, ask
from stamp_service.web.forms import MEDIA_TYPES, CutoutForm, Form
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.records import plain_record, write_json
from stamp_service.web.services import Services, services

blueprint = Blueprint("alerce", __name__)
writing = Blueprint("alerce_writing", __name__)

_FAILURES = (400, 401, 403, 404, 502, 503, 504)
_PACKET_MEDIA_TYPE = "app/avro+binary"
_FIRST_NAMES = Names("survey_id", "candid", "oid")
_SECOND_NAMES = Names("survey_id", "measurement_id", "oid")
_CUTOUT_FIELDS: dict[str, Kind] = {
    "cutoutScience": "science",
    "cutoutTemplate": "template",
    "cutoutDifference": "difference",
}


class AlertQuery(BaseModel):
    """Names an alert the way ALeRCE's service does."""

    candid: str = Field(description="Alert id.")
    oid: str | None = Field(None, description="Object id; the alert must be of this object.")
    survey_id: str = Field("ztf", description="The survey.")

    def ask(self, permission: Literal["stamps", "metadata", "packets"]) -> Question:
        """Check what was asked; see `answers.ask`.

        Parameters
        ----------
        permission : str
            `stamps`, `metadata` or `packets`.

        Returns
        -------
        Question
            What was asked.
        """
        return ask(self.survey_id, self.candid, permission, self.oid, _FIRST_NAMES)


class StampQuery(AlertQuery):
    """Names a stamp the way ALeRCE's service does."""

    type: Kind = Field(description="Which cutout.")
    format: Literal["png", "fits"] = Field(description="Picture or data.")


class MeasurementQuery(BaseModel):
    """Names an alert the way ALeRCE's multi-survey API does."""

    measurement_id: str = Field(description="Alert id.")
    oid: str | None = Field(None, description="Object id; the alert must be of this object.")
    survey_id: str = Field("lsst", description="The survey.")

    def ask(self, permission: Literal["stamps", "packets"]) -> Question:
        """Check what was asked; see `answers.ask`.

        Parameters
        ----------
        permission : str
            `stamps` or `packets`.

        Returns
        -------
        Question
            What was asked.
        """
        return ask(self.survey_id, self.measurement_id, permission, self.oid, _SECOND_NAMES)


class MeasurementStampQuery(MeasurementQuery):
    """Names a stamp the way ALeRCE's multi-survey API does."""

    stamp_type: Literal["cutoutScience", "cutoutTemplate", "cutoutDifference"] = Field(description="Which cutout.")
    file_format: Literal["png", "fits"] = Field("png", description="Picture or data.")
    is_compressed: bool = Field(True, description="Whether FITS is gzipped.")


def _operation(summary: str, query: type[BaseModel], *media_types: str) -> Operation:
    return Operation(
        summary=summary,
        query=query,
        produces={media_type: {} for media_type in media_types},
        failures=_FAILURES,
        secured=True,
        error_schema="Message",
        error_media_type="application/json",
    )


def _stamp(question: Question, kind: Kind, form: Form, filename: str) -> Response:
    wanted = CutoutForm(kind, form, default_style(question.survey, kind))
    return answer(
        question,
        wanted.identity,
        lambda tag: wanted.make(services(), question, tag),
        MEDIA_TYPES[form],
        filename,
        attachment=True,
    )


def _packet(question: Question) -> Response:
    return answer(
        question,
        "packet",
        lambda _: services().resolver.packet(question.survey, question.alert_id, question.object_id),
        _PACKET_MEDIA_TYPE,
        f"{question.alert_id}.avro",
        attachment=True,
    )


@blueprint.get("/get_stamp")
@describe(_operation("One stamp of an alert", StampQuery, "image/png", "application/fits+gzip"))
def get_stamp(query: StampQuery) -> Response:
    """Answer with one stamp, as PNG or as the stored cutout, gzipped."""
    question = query.ask("stamps")
    form: Form = "png" if query.format == "png" else "fits.gz"
    prefix = f"{question.object_id}_" if question.object_id else ""
    return _stamp(question, query.type, form, f"{prefix}{question.alert_id}_{query.type}.{form}")


@blueprint.get("/get_avro")
@describe(_operation("The packet of an alert", AlertQuery, _PACKET_MEDIA_TYPE))
def get_avro(query: AlertQuery) -> Response:
    """Answer with the packet, byte for byte as it was published."""
    return _packet(query.ask("packets"))


@blueprint.get("/get_avro_info")
@describe(_operation("The record of an alert without its cutouts", AlertQuery, "application/json"))
def get_avro_info(query: AlertQuery) -> Response:
    """Answer with the record; `candidate.candid` is text, since JavaScript cannot hold it as a number."""
    question = query.ask("metadata")

    def make(_: str) -> bytes:
        alert = services().resolver.alert(question.survey, question.alert_id, question.object_id)
        record = alert.record()
        candidate = record.get("candidate")
        if isinstance(candidate, dict) and "candid" in candidate:
            candidate["candid"] = str(candidate["candid"])
        return write_json(plain_record(record, big_integers_as_text=False))

    return answer(question, "info", make, "application/json", f"{question.alert_id}.json")


@blueprint.get("/stamps_api/stamp")
@describe(
    _operation(
        "One stamp of a measurement",
        MeasurementStampQuery,
        "image/png",
        "application/fits",
        "application/fits+gzip",
    )
)
def stamps_api_stamp(query: MeasurementStampQuery) -> Response:
    """Answer with one stamp; FITS is gzipped once, or not at all."""
    question = query.ask("stamps")
    form: Form = "png"
    if query.file_format == "fits":
        form = "fits.gz" if query.is_compressed else "fits"
    prefix = f"{question.object_id}_" if question.object_id else ""
    filename = f"{prefix}{question.alert_id}_{query.stamp_type}.{form}"
    return _stamp(question, _CUTOUT_FIELDS[query.stamp_type], form, filename)


@blueprint.get("/stamps_api/avro")
@blueprint.get("/stamps_api/get_avro")  # what the `alerce` package asks for
@describe(_operation("The packet of a measurement", MeasurementQuery, _PACKET_MEDIA_TYPE))
def stamps_api_avro(query: MeasurementQuery) -> Response:
    """Answer with the packet, byte for byte as it was published."""
    return _packet(query.ask("packets"))


@writing.post("/put_avro")
@describe(
    Operation(
        summary="Store a packet",
        produces={"application/json": {"type": "object"}},
        form={
            "type": "object",
            "required": ["candid", "avro"],
            "properties": {
                "candid": {"type": "string"},
                "survey_id": {"type": "string", "default": "ztf"},
                "avro": {"type": "string", "contentMediaType": "application/octet-stream"},
            },
        },
        failures=(400, 401, 403, 409, 413, 502, 503, 504),
        secured=True,
        error_schema="Message",
        error_media_type="application/json",
        statuses=(200, 201),
    )
)
def put_avro() -> Response:
    """Store a packet under its id, once it is known to decode and to be the alert it is said to be."""
    here = services()
    here.access.check_writer(request.headers.get("Authorization"))
    survey = here.surveys.named(request.form.get("survey_id", "ztf"), "survey_id")
    candid = survey.check_alert_id(request.form.get("candid", ""), "candid")
    upload = request.files.get("avro")
    if upload is None:
        raise RequestError("avro: a file is needed", "avro")
    stored = here.resolver.put(_open(here, survey, candid, upload.read()))
    body = {"survey_id": survey.name, "candid": candid, "stored": stored}
    return Response(write_json(body), 201 if stored else 200, mimetype="application/json")


def _open(here: Services, survey: Survey, candid: str, packet: bytes) -> Alert:
    """Look through a packet, so that what is stored can be served; it is the sender's fault if it cannot be."""
    try:
        alert = open_alert(survey, candid, packet, here.schemas, here.settings.max_packet_bytes)
        alert.outline()  # looks through all of it
        _ = alert.object_id
    except PacketCorrupt as error:
        raise RequestError(f"avro: {error}", "avro") from None
    return alert
