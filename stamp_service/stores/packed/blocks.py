"""What packs are made of: a header, and one block per packet.

A pack is an object container file as AVRO's specification has it. Its name is its sync marker, so that a block
tells by itself which pack it is of. The writer schema is that of the packets with one field in front,
`stamp_service`: the alert id, a checksum and what `templates` needs. Readers that ask with the survey's own schema
do not see it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import cramjam
from isal import isal_zlib

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.packets.binary import read_length, read_long
from stamp_service.packets.compression import decompress_block
from stamp_service.packets.container import MAGIC, SYNC_BYTES, read_metadata
from stamp_service.packets.writer import encode_bytes, encode_long
from stamp_service.stores.packed.templates import (
    CRC_BYTES,
    DIGEST_BYTES,
    Form,
    Parts,
    Template,
    put_together,
)

Codec = Literal["zstandard", "deflate"]
# Level 2 of zstandard: higher ones take 1.3 to 1.7 times as long for at most 1 % of the bytes, and lower ones make
# Rubin's and ATLAS's packets larger. Level 2 of isal, of 3, likewise.
_ZSTANDARD_LEVEL, _DEFLATE_LEVEL = 2, 2
# No deflate stream can begin like this: it would be a stored block whose two lengths contradict each other.
_ZSTANDARD_MAGIC = b"\x28\xb5\x2f\xfd"
# What a block holds besides a packet: id, checksum, digest, lengths, and ATLAS's second marker.
_FURTHER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class PackHeader:
    """What a pack's header says.

    Parameters
    ----------
    template : Template
        What its packets share.
    codec : str
        How its blocks are compressed.
    marker : bytes
        Its sync marker, 16 bytes.
    size_bytes : int
        Where its first block starts.
    """

    template: Template
    codec: Codec
    marker: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What a block holds: a packet, taken apart.

    Parameters
    ----------
    alert_id : str
        Whose packet it is.
    crc : bytes
        Checksum of id and packet.
    digest : bytes
        Of the template.
    frame : bytes
        What is the packet's own.
    body : bytes
        Its record.
    """

    alert_id: str
    crc: bytes
    digest: bytes
    frame: bytes
    body: bytes

    def packet(self, template: Template) -> bytes:
        """Put the packet together again.

        Parameters
        ----------
        template : Template
            What the pack's packets share.

        Returns
        -------
        bytes
            The packet.

        Raises
        ------
        PacketCorrupt
            If it is not what was put.
        """
        try:
            packet = put_together(template, self.frame, self.body)
        except IndexError:
            packet = None
        if packet is None or checksum(self.alert_id, packet) != self.crc:
            raise PacketCorrupt("the stored packet is damaged")
        return packet


def checksum(alert_id: str, packet: bytes) -> bytes:
    """Compute the CRC-32 of an alert id and its packet.

    Parameters
    ----------
    alert_id : str
        The id.
    packet : bytes
        The packet.

    Returns
    -------
    bytes
        Four bytes, big-endian.
    """
    crc: int = isal_zlib.crc32(packet, isal_zlib.crc32(alert_id.encode()))
    return crc.to_bytes(CRC_BYTES, "big")


def _zstandard(plain: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(plain, _ZSTANDARD_LEVEL))


def _deflate(plain: bytes) -> bytes:
    return bytes(isal_zlib.compress(plain, _DEFLATE_LEVEL, -15))


_COMPRESS: dict[Codec, Callable[[bytes], bytes]] = {"zstandard": _zstandard, "deflate": _deflate}


def write_header(template: Template, codec: Codec, marker: bytes) -> bytes:
    """Write a pack's header.

    Parameters
    ----------
    template : Template
        What its packets share.
    codec : str
        How its blocks are compressed.
    marker : bytes
        Its sync marker, 16 bytes.

    Returns
    -------
    bytes
        The header; blocks follow.
    """
    metadata = {
        b"avro.codec": codec.encode(),
        b"avro.schema": template.schema,
        b"stamp_service.form": template.form.encode(),
        # In text, because some readers take all metadata for text.
        b"stamp_service.header": base64.b64encode(template.header),
    }
    entries = b"".join(encode_bytes(key) + encode_bytes(value) for key, value in metadata.items())
    return MAGIC + encode_long(len(metadata)) + entries + encode_long(0) + marker


def read_header(data: bytes) -> PackHeader | None:
    """Read a pack's header.

    Parameters
    ----------
    data : bytes
        The pack, or its beginning.

    Returns
    -------
    PackHeader or None
        The header; None if the data end before it does, or are no pack.
    """
    try:
        metadata, position = read_metadata(data)
    except (IndexError, PacketCorrupt):
        return None
    marker = data[position : position + SYNC_BYTES]
    form, codec = (
        metadata.get(key, b"").decode("ascii", "replace") for key in (b"stamp_service.form", b"avro.codec")
    )
    whole = data.startswith(MAGIC) and len(marker) == SYNC_BYTES and b"avro.schema" in metadata
    if not whole or form not in get_args(Form) or codec not in _COMPRESS:
        return None
    try:
        header = base64.b64decode(metadata.get(b"stamp_service.header", b""), validate=True)
    except ValueError:
        return None
    template = Template(cast(Form, form), header, metadata[b"avro.schema"])
    return PackHeader(template, codec, marker, position + SYNC_BYTES)


def write_block(alert_id: str, packet: bytes, parts: Parts, codec: Codec, marker: bytes) -> bytes:
    """Write a packet's block.

    Parameters
    ----------
    alert_id : str
        Whose packet it is.
    packet : bytes
        The packet.
    parts : Parts
        The same, taken apart.
    codec : str
        The pack's codec.
    marker : bytes
        The pack's sync marker.

    Returns
    -------
    bytes
        The block with the marker behind it.
    """
    own = (checksum(alert_id, packet), parts.digest, encode_bytes(parts.frame), parts.body)
    record = b"".join((encode_bytes(alert_id.encode()), *own))
    return encode_long(1) + encode_bytes(_COMPRESS[codec](record)) + marker


def end_of_block(data: bytes, start: int, marker: bytes) -> int | None:
    """Find where a block ends.

    Parameters
    ----------
    data : bytes
        What holds it.
    start : int
        Where it starts.
    marker : bytes
        The pack's sync marker.

    Returns
    -------
    int or None
        The position after its marker; None if there is no whole block of one record.
    """
    try:
        count, position = read_long(data, start)
        size, position = read_length(data, position)
    except (IndexError, PacketCorrupt):
        return None
    end = position + size + SYNC_BYTES
    whole = count == 1 and end <= len(data) and data[end - SYNC_BYTES : end] == marker
    return end if whole else None


def read_block(block: bytes, marker: bytes, max_packet_bytes: int) -> Kept:
    """Read a packet's block.

    Parameters
    ----------
    block : bytes
        The block with the marker behind it, and nothing else.
    marker : bytes
        The pack's sync marker.
    max_packet_bytes : int
        The largest packet allowed.

    Returns
    -------
    Kept
        What it holds.

    Raises
    ------
    PacketCorrupt
        If it is damaged, or not of this pack.
    TooLarge
        If the packet is larger.
    """
    if end_of_block(block, 0, marker) != len(block):
        raise PacketCorrupt("the stored packet is damaged")
    _, position = read_long(block, 0)
    _, position = read_length(block, position)
    data = block[position:-SYNC_BYTES]
    codec = "zstandard" if data.startswith(_ZSTANDARD_MAGIC) else "deflate"
    try:
        return _read_record(decompress_block(codec, data, max_packet_bytes + _FURTHER_BYTES))
    except TooLarge:
        raise TooLarge(f"the packet is larger than {max_packet_bytes} bytes") from None
    except (PacketCorrupt, IndexError, UnicodeDecodeError):
        raise PacketCorrupt("the stored packet is damaged") from None


def _read_record(record: bytes) -> Kept:
    size, start = read_length(record, 0)
    crc = start + size
    digest = crc + CRC_BYTES
    frame_size, frame = read_length(record, digest + DIGEST_BYTES)
    body = frame + frame_size
    if body > len(record):
        raise PacketCorrupt("the stored packet is damaged")
    return Kept(
        record[start:crc].decode(),
        record[crc:digest],
        record[digest : digest + DIGEST_BYTES],
        record[frame:body],
        record[body:],
    )
