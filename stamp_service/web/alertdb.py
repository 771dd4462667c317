"""Rubin's alert database API (DMTN-183): gzipped wire-format packets, and the schemas to read them with."""

import orjson
from flask import Blueprint, Response

from stamp_service.errors import NotFound
from stamp_service.images import gzip_cutout
from stamp_service.packets import Packet, frame_wire, open_alert, wire_id_of
from stamp_service.web.answers import Question, answer, ask
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.services import services

blueprint = Blueprint("alertdb", __name__, url_prefix="/alertdb/v1")

_SURVEY = "lsst"
_SCHEMA_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_PACKET_MEDIA_TYPE = "application/octet-stream"


def _operation(summary: str, media_type: str, failures: tuple[int, ...] = ()) -> Operation:
    return Operation(
        summary=summary,
        produces={media_type: {}},
        failures=failures,
        secured=bool(failures),
        error_schema="Detail",
        error_media_type="application/json",
    )


@blueprint.get("/alerts/<alert_id>")
@describe(_operation("The packet of an LSST alert", _PACKET_MEDIA_TYPE, (400, 401, 403, 404, 502, 503, 504)))
def alert(alert_id: str) -> Response:
    """Answer with the packet in Confluent wire format, gzipped."""
    question = ask(_SURVEY, alert_id, "packets")
    return answer(
        question, "alertdb", lambda _: _gzipped_wire(question), _PACKET_MEDIA_TYPE, f"{question.alert_id}.avro.gz"
    )


def _gzipped_wire(question: Question) -> bytes:
    here = services()
    survey, alert_id = question.survey, question.alert_id
    data = here.resolver.packet(survey, alert_id)
    packet = open_alert(survey, alert_id, data, here.schemas, here.settings.max_packet_bytes).packet
    if packet.format == "wire":
        return gzip_cutout(packet.data)
    return gzip_cutout(_as_wire(packet))


def _as_wire(packet: Packet) -> bytes:
    """Frame the body of a container file, if its schema is one that clients can ask for by number."""
    schema_id = wire_id_of(packet.schema)
    if schema_id is None:
        raise NotFound("this alert is stored as an AVRO container whose schema has no number")
    services().schemas.schema(schema_id)
    return frame_wire(schema_id, packet.body())


@blueprint.get("/schemas/<schema_id>")
@describe(_operation("A schema by its number", _SCHEMA_MEDIA_TYPE, (404, 502, 503, 504)))
def schema(schema_id: str) -> Response:
    """Answer with the AVRO schema that packets of this number were written with."""
    if not (schema_id.isascii() and schema_id.isdigit() and len(schema_id) < 10):
        raise NotFound("schema not found")
    response = Response(orjson.dumps(services().schemas.schema(int(schema_id))), mimetype=_SCHEMA_MEDIA_TYPE)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@blueprint.get("/health")
@describe(_operation("Whether the service is up", "text/plain"))
def health() -> Response:
    """Answer OK."""
    return Response(b"OK", mimetype="text/plain")
