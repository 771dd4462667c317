"""Packets under keys that end in `.gz`.

Whoever looks into such a bucket expects gzip there (Rubin's layout is `v2/alerts/…/….avro.gz`), while a store
promises to return what was put, byte for byte. So a packet that is not gzipped is gzipped by us with a mark in
the gzip header, and the mark says that the gzip goes away again on the way out. A packet that came gzipped has no
mark and stays as it is. Any other program's gunzip skips the mark, as RFC 1952 has it: the mark is an extra
field (FLG.FEXTRA) with the subfield id `St` and no content; the time is zero.
"""

import zlib

from stamp_service.errors import TooLarge
from stamp_service.packets.compression import GZIP_MAGIC, gunzip

# magic, deflate, FEXTRA, time 0, no level, unknown system, 4 bytes of extra: subfield "St" of length 0
_MARKED_HEADER = GZIP_MAGIC + b"\x08\x04\x00\x00\x00\x00\x00\xff\x04\x00St\x00\x00"


def gzip_packet(packet: bytes) -> bytes:
    """Gzip a packet for a `.gz` key unless it came gzipped.

    Parameters
    ----------
    packet : bytes
        The packet as it came.

    Returns
    -------
    bytes
        Gzip, which `gunzip_packet` turns back into the very same packet.
    """
    # One that carries our mark itself, because someone copied it out of a bucket, would lose it: wrap it too.
    if packet.startswith(GZIP_MAGIC) and not packet.startswith(_MARKED_HEADER):
        return packet
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = deflate.compress(packet) + deflate.flush()
    size = len(packet) & 0xFFFFFFFF
    return _MARKED_HEADER + body + zlib.crc32(packet).to_bytes(4, "little") + size.to_bytes(4, "little")


def gunzip_packet(stored: bytes, limit_bytes: int) -> bytes:
    """Undo `gzip_packet`.

    Parameters
    ----------
    stored : bytes
        What lies under a `.gz` key.
    limit_bytes : int
        The largest packet allowed.

    Returns
    -------
    bytes
        The packet that was put: still gzipped if it came so.

    Raises
    ------
    TooLarge
        If the packet exceeds the limit.
    PacketCorrupt
        If what we wrote there has been damaged.
    """
    if stored.startswith(_MARKED_HEADER):
        return gunzip(stored, limit_bytes)
    if len(stored) > limit_bytes:
        raise TooLarge(f"the packet is larger than {limit_bytes} bytes")
    return stored


def limit_gzipped(limit_bytes: int) -> int:
    """Say how large a packet of the largest size may become when it is gzipped.

    Parameters
    ----------
    limit_bytes : int
        The largest packet allowed.

    Returns
    -------
    int
        A little more: what cannot be compressed grows by 5 bytes per 16 kB, and by header and trailer.
    """
    return limit_bytes + limit_bytes // 1024 + 64
