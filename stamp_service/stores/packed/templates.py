"""A packet taken apart: what all packets of its kind share, what is its own, and its record.

The shared part stands once in a pack, so that the packet's record can stand there as a record, and the packet can
still be put together again byte for byte:

- `ocf`, a file that is not compressed: shared is its header up to the sync marker; its own are the sync marker and
  whatever follows the record's block (ATLAS's files end with an empty one).
- `wire`: shared are the five bytes before the record, nothing is its own.
- `verbatim`, everything else: the whole packet is kept as one field of bytes. That is how gzipped packets are
  kept, damaged ones, those whose schema is not known, and files with compressed blocks: compressing again gives
  the same bytes only as long as nobody updates the compressor, and an archive outlives that.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import orjson

from stamp_service.errors import PacketCorrupt, StoreUnavailable, TooLarge
from stamp_service.packets import Packet, SchemaLookup
from stamp_service.packets.binary import read_length
from stamp_service.packets.bounded import Bounded
from stamp_service.packets.container import MAGIC, SYNC_BYTES, find_header
from stamp_service.packets.packet import WIRE_HEADER_BYTES, WIRE_MAGIC
from stamp_service.packets.writer import encode_bytes, encode_long

Form = Literal["ocf", "wire", "verbatim"]
# The field that packs add in front of a record, and the namespace of its types.
FIELD = "stamp_service"
DIGEST_BYTES = 8
CRC_BYTES = 4
_MAX_TEMPLATES = 64
_FIELD_SCHEMA: dict[str, Any] = {
    "name": FIELD,
    "doc": "How the packet is put together again that this record was cut out of.",
    "type": {
        "type": "record",
        "name": "PackedPacket",
        "namespace": FIELD,
        "fields": [
            {"name": "alert_id", "type": "string"},
            {
                "name": "crc32",
                "doc": "Of the alert id and the packet, big-endian.",
                "type": {"type": "fixed", "name": "Crc32", "size": CRC_BYTES},
            },
            {
                "name": "template",
                "doc": "Digest of what the file's metadata say under stamp_service.form and stamp_service.header.",
                "type": {"type": "fixed", "name": "Digest", "size": DIGEST_BYTES},
            },
            {"name": "frame", "doc": "What is the packet's own besides its record.", "type": "bytes"},
        ],
    },
}


@dataclass(frozen=True)
class Template:
    """What the packets of a pack share.

    Parameters
    ----------
    form : str
        How packets are put together.
    header : bytes
        What all of them begin with.
    schema : bytes
        The pack's writer schema, as JSON: the packets' own, with one field in front.
    """

    form: Form
    header: bytes
    schema: bytes

    @cached_property
    def digest(self) -> bytes:
        """Tell it from others; 8 bytes."""
        shared = b"\0".join((self.form.encode(), len(self.header).to_bytes(8, "big"), self.header, self.schema))
        return blake2b(shared, digest_size=DIGEST_BYTES).digest()


class Parts(NamedTuple):
    """A packet, taken apart."""

    template: Template
    digest: bytes
    frame: bytes
    body: bytes


def _make(form: Form, header: bytes, schema: dict[str, Any]) -> tuple[Template, bytes]:
    fields = [_FIELD_SCHEMA, *schema["fields"]]
    template = Template(form, header, orjson.dumps(schema | {"fields": fields}))
    return template, template.digest


_VERBATIM = _make(
    "verbatim",
    b"",
    {"type": "record", "name": "Packet", "namespace": FIELD, "fields": [{"name": "packet", "type": "bytes"}]},
)
# Hashing 20 kB of header costs once: `find_header` hands out the same object, which remembers its hash.
_known: Bounded[bytes, tuple[dict[str, Any], tuple[Template, bytes]]] = Bounded(_MAX_TEMPLATES)


def keep_verbatim(packet: bytes) -> Parts:
    """Take a packet as it is.

    Parameters
    ----------
    packet : bytes
        Any bytes.

    Returns
    -------
    Parts
        The packet in one piece.
    """
    return Parts(*_VERBATIM, b"", encode_bytes(packet))


def take_apart(packet: bytes, schemas: SchemaLookup | None, max_bytes: int, parsed: Packet | None = None) -> Parts:
    """Take a packet apart so that it can be put together again.

    Parameters
    ----------
    packet : bytes
        Any bytes; they need not be a packet.
    schemas : SchemaLookup or None
        Where schemas of wire-format packets come from.
    max_bytes : int
        Most bytes of the packet.
    parsed : Packet, optional
        The same, if it was parsed already.

    Returns
    -------
    Parts
        Its parts, of which `put_together` was seen to make the very same bytes.
    """
    try:
        parts = _take_apart(packet, parsed or Packet.parse(packet, schemas, max_bytes))
    except (PacketCorrupt, TooLarge, StoreUnavailable):
        parts = None
    if parts is None or put_together(parts.template, parts.frame, parts.body) != packet:
        return keep_verbatim(packet)
    return parts


def _take_apart(packet: bytes, parsed: Packet) -> Parts | None:
    if parsed.codec != "null" or not packet.startswith((MAGIC, WIRE_MAGIC)):
        return None
    # One record that does not fit the schema would keep other readers from the rest of the pack.
    parsed.check()
    body, form, header, frame = parsed.body(), parsed.format, packet[:WIRE_HEADER_BYTES], b""
    if form == "ocf":
        header = find_header(packet).text
        start = len(header) + SYNC_BYTES
        end = start + len(_count_and_size(body)) + len(body) + SYNC_BYTES
        frame = packet[len(header) : start] + packet[end:]
    template = _template(form, header, parsed.schema)
    return None if template is None else Parts(*template, frame, body)


def _count_and_size(body: bytes) -> bytes:
    return encode_long(1) + encode_long(len(body))


def _template(form: Form, header: bytes, schema: dict[str, Any]) -> tuple[Template, bytes] | None:
    known = _known.get(header)
    if known is not None and known[0] is schema:
        return known[1]
    if any(field["name"] == FIELD for field in schema["fields"]):
        return None
    made = _make(form, header, schema)
    _known.put(header, (schema, made))
    return made


def put_together(template: Template, frame: bytes, body: bytes) -> bytes:
    """Put a packet together again.

    Parameters
    ----------
    template : Template
        What it shares with others.
    frame : bytes
        What is its own.
    body : bytes
        Its record.

    Returns
    -------
    bytes
        The packet.

    Raises
    ------
    PacketCorrupt
        If it was kept verbatim and its length is not a length.
    IndexError
        If it was kept verbatim and is empty.
    """
    if template.form == "verbatim":
        _, start = read_length(body, 0)
        return body[start:]
    if template.form == "wire":
        return template.header + body
    sync, tail = frame[:SYNC_BYTES], frame[SYNC_BYTES:]
    return b"".join((template.header, sync, _count_and_size(body), body, sync, tail))
