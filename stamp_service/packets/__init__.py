"""Packets: from bytes to alerts, without any input or output."""

from stamp_service.packets.alert import Alert, id_text, open_alert, recognise
from stamp_service.packets.compression import CODECS
from stamp_service.packets.light_curve import Measurement, light_curve
from stamp_service.packets.packet import MAX_PACKET_BYTES, Packet, SchemaLookup
from stamp_service.packets.schema import (
    Schema,
    assemble_schema,
    read_schema,
    rubin_namespace,
    wire_id_of,
)
from stamp_service.packets.summary import Summary, summarise, summary_paths
from stamp_service.packets.writer import encode_body, frame_ocf, frame_wire, write_ocf, write_wire

__all__ = [
    "CODECS",
    "MAX_PACKET_BYTES",
    "Alert",
    "Measurement",
    "Packet",
    "Schema",
    "SchemaLookup",
    "Summary",
    "assemble_schema",
    "encode_body",
    "frame_ocf",
    "frame_wire",
    "id_text",
    "light_curve",
    "open_alert",
    "read_schema",
    "recognise",
    "rubin_namespace",
    "summarise",
    "summary_paths",
    "wire_id_of",
    "write_ocf",
    "write_wire",
]
