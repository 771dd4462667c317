"""AVRO object container files: header, the one block, the one record.

https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from dataclasses import dataclass
from threading import Lock

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.binary import read_length, read_long
from stamp_service.packets.compression import CODECS, decompress_block
from stamp_service.packets.decoder import Decoder
from stamp_service.packets.schema import read_schema

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
_MAX_BLOCKS = 8
# A file's header has two entries; some writers add a few of their own.
_MAX_METADATA = 64
# Headers of one survey differ only with its schema. Those that are kept are few and of usual size.
_MAX_HEADERS = 32
_MAX_KEPT_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What a file's header says, without its sync marker.

    Parameters
    ----------
    text : bytes
        The header up to the sync marker, which differs in every file.
    codec : str
        How blocks are compressed.
    decoder : Decoder
        Of the header's schema.
    """

    text: bytes
    codec: str
    decoder: Decoder


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The one record of a packet, still encoded.

    Parameters
    ----------
    decoder : Decoder
        Of the schema that it was written with.
    buffer : bytes
        The bytes that hold the body: the packet itself, or what was decompressed from it.
    start : int
        Where the body starts.
    end : int
        Where it ends.
    codec : str
        How it was compressed.
    """

    decoder: Decoder
    buffer: bytes
    start: int
    end: int
    codec: str = "null"


class _Headers:
    """The headers met last: parsing 20 kB of schema takes longer than all else, and comparing it 1 µs."""

    def __init__(self) -> None:
        self._recent: tuple[Header, ...] = ()
        self._lock = Lock()

    def find(self, data: bytes) -> Header:
        recent = self._recent
        for place, header in enumerate(recent):
            if data.startswith(header.text):
                if place:
                    self._keep(header)
                return header
        header = _read_header(data)
        if len(header.text) <= _MAX_KEPT_BYTES:
            self._keep(header)
        return header

    def _keep(self, header: Header) -> None:
        with self._lock:
            others = tuple(other for other in self._recent if other is not header)
            self._recent = (header, *others)[:_MAX_HEADERS]


_headers = _Headers()


def find_header(data: bytes) -> Header:
    """Read a file's header, unless it is among those that were met last.

    Parameters
    ----------
    data : bytes
        The file, at least up to its sync marker.

    Returns
    -------
    Header
        The header; files that begin alike get the same object as a rule.

    Raises
    ------
    PacketCorrupt
        If it is damaged, ends early, or its schema is invalid.
    """
    try:
        return _headers.find(data)
    except IndexError:
        raise PacketCorrupt("the packet ends early") from None


def read_metadata(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """Read the metadata of a file's header.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.

    Returns
    -------
    metadata : dict of bytes to bytes
        The entries, in the file's order.
    position : int
        Where the sync marker starts.

    Raises
    ------
    IndexError
        If the data end within a number.
    PacketCorrupt
        If they end elsewhere, or make no sense.
    """
    metadata: dict[bytes, bytes] = {}
    entries = 0
    position = len(MAGIC)
    while True:
        count, position = read_long(data, position)
        if count == 0:
            break
        if count < 0:
            count = -count
            _, position = read_length(data, position)
        entries += count
        if entries > _MAX_METADATA:
            raise PacketCorrupt("the packet's header has too many entries")
        for _ in range(count):
            key, position = _read_bytes(data, position)
            metadata[key], position = _read_bytes(data, position)
    return metadata, position


def _read_header(data: bytes) -> Header:
    metadata, position = read_metadata(data)
    codec = metadata.get(b"avro.codec", b"null").decode("ascii", "replace")
    if codec not in CODECS:
        raise PacketCorrupt(f"the packet is compressed with none of {', '.join(CODECS)}")
    if b"avro.schema" not in metadata:
        raise PacketCorrupt("the packet has no schema")
    schema = read_schema(metadata[b"avro.schema"])
    if not isinstance(schema, dict):
        raise PacketCorrupt("the schema is not that of a record")
    return Header(data[:position], codec, Decoder(schema))


def _read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    length, position = read_length(data, position)
    stop = position + length
    if stop > len(data):
        raise PacketCorrupt("the packet ends early")
    return data[position:stop], stop


def open_container(data: bytes, max_bytes: int) -> Contents:
    """Find the one record of an object container file.

    Parameters
    ----------
    data : bytes
        The whole file.
    max_bytes : int
        Most bytes of its decompressed block.

    Returns
    -------
    Contents
        The record, still encoded.

    Raises
    ------
    PacketCorrupt
        If the file is damaged or does not hold exactly one record.
    TooLarge
        If the decompressed block is too large.
    """
    try:
        header = find_header(data)
        start, end = _find_record(data, len(header.text))
    except IndexError:
        raise PacketCorrupt("the packet ends early") from None
    if header.codec == "null":
        return Contents(header.decoder, data, start, end)
    body = decompress_block(header.codec, data[start:end], max_bytes)
    return Contents(header.decoder, body, 0, len(body), header.codec)


def _find_record(data: bytes, position: int) -> tuple[int, int]:
    """Find the block with the one record; others may be empty, as the last is in ATLAS's files."""
    sync = data[position : position + SYNC_BYTES]
    position += SYNC_BYTES
    record = None
    for _ in range(_MAX_BLOCKS):
        if position == len(data):
            break
        count, start = read_long(data, position)
        size, start = read_length(data, start)
        end = start + size
        position = end + SYNC_BYTES
        if position > len(data):
            raise PacketCorrupt("the packet ends early")
        if data[end:position] != sync:
            raise PacketCorrupt("the packet's block does not end with its sync marker")
        if count and (count != 1 or record is not None):
            raise PacketCorrupt("the packet holds more than one record")
        if count:
            record = start, end
    else:
        raise PacketCorrupt("the packet goes on after its record")
    if record is None:
        raise PacketCorrupt("the packet holds no record")
    return record
