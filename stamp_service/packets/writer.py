"""Writing packets: for the demo, for tests, and to re-frame a body."""

from hashlib import blake2b
from io import BytesIO
from typing import Any
from zlib import DEFLATED, compressobj, crc32

import cramjam
import fastavro
import orjson

from stamp_service.packets.compression import CODECS
from stamp_service.packets.container import MAGIC
from stamp_service.packets.packet import WIRE_MAGIC
from stamp_service.packets.schema import Schema, record_of


def encode_body(schema: Schema, record: dict[str, Any]) -> bytes:
    """Encode a record.

    Parameters
    ----------
    schema : Schema
        The schema to write with: a record, or a list of named types with the record last.
    record : dict
        Field names to values.

    Returns
    -------
    bytes
        The AVRO body.
    """
    file = BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(record_of(schema)), record)
    return file.getvalue()


def encode_long(value: int) -> bytes:
    """Encode an integer that is not negative, zigzag and of variable length.

    Parameters
    ----------
    value : int
        The integer.

    Returns
    -------
    bytes
        Its encoding.
    """
    rest = value << 1
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def encode_bytes(data: bytes) -> bytes:
    """Encode bytes, or a text's UTF-8.

    Parameters
    ----------
    data : bytes
        The bytes.

    Returns
    -------
    bytes
        The length and the bytes.
    """
    return encode_long(len(data)) + data


def _compress(codec: str, body: bytes) -> bytes:
    if codec == "deflate":
        deflater = compressobj(6, DEFLATED, -15)
        return deflater.compress(body) + deflater.flush()
    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(body)) + crc32(body).to_bytes(4, "big")
    if codec == "zstandard":
        return bytes(cramjam.zstd.compress(body))
    return body


def frame_ocf(schema: Schema, body: bytes, codec: str = "null", sync_marker: bytes | None = None) -> bytes:
    """Wrap an encoded record into an object container file.

    Parameters
    ----------
    schema : Schema
        The schema that it was encoded with.
    body : bytes
        The AVRO body of one record.
    codec : str
        `null`, `deflate`, `snappy` or `zstandard`.
    sync_marker : bytes, optional
        16 bytes; by default derived from the content, so that the same record gives the same file.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    ValueError
        If the codec is unknown or the sync marker is not 16 bytes long.
    """
    if codec not in CODECS:
        raise ValueError(f"codec is not one of {', '.join(CODECS)}")
    metadata = {b"avro.codec": codec.encode(), b"avro.schema": orjson.dumps(record_of(schema))}
    entries = b"".join(encode_bytes(key) + encode_bytes(value) for key, value in metadata.items())
    header = MAGIC + encode_long(len(metadata)) + entries + encode_long(0)
    sync = blake2b(header + body, digest_size=16).digest() if sync_marker is None else sync_marker
    if len(sync) != 16:
        raise ValueError("a sync marker has 16 bytes")
    return header + sync + encode_long(1) + encode_bytes(_compress(codec, body)) + sync


def write_ocf(
    schema: Schema, record: dict[str, Any], codec: str = "null", sync_marker: bytes | None = None
) -> bytes:
    """Write a packet as an object container file.

    Parameters
    ----------
    schema : Schema
        The schema to write with: a record, or a list of named types with the record last.
    record : dict
        Field names to values.
    codec : str
        `null`, `deflate`, `snappy` or `zstandard`.
    sync_marker : bytes, optional
        16 bytes; by default derived from the content, so that the same record gives the same file.

    Returns
    -------
    bytes
        The packet.

    Raises
    ------
    ValueError
        If the codec is unknown or the sync marker is not 16 bytes long.
    """
    return frame_ocf(schema, encode_body(schema, record), codec, sync_marker)


def frame_wire(schema_id: int, body: bytes) -> bytes:
    """Wrap an encoded record into Confluent wire format.

    Parameters
    ----------
    schema_id : int
        Id of the schema that it was encoded with.
    body : bytes
        The AVRO body of one record.

    Returns
    -------
    bytes
        The packet.
    """
    return WIRE_MAGIC + schema_id.to_bytes(4, "big") + body


def write_wire(schema: Schema, schema_id: int, record: dict[str, Any]) -> bytes:
    """Write a packet in Confluent wire format.

    Parameters
    ----------
    schema : Schema
        The schema to write with: a record, or a list of named types with the record last.
    schema_id : int
        Its id.
    record : dict
        Field names to values.

    Returns
    -------
    bytes
        The packet.
    """
    return frame_wire(schema_id, encode_body(schema, record))
