"""Decompression with a limit that holds before memory is taken."""

from collections.abc import Callable

import cramjam
from isal import isal_zlib

from stamp_service.errors import PacketCorrupt, TooLarge

GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def _inflate(data: bytes, max_bytes: int, window_bits: int, what: str) -> bytes:
    inflater = isal_zlib.decompressobj(wbits=window_bits)
    try:
        plain: bytes = inflater.decompress(data, max_bytes + 1)
    except isal_zlib.IsalError:  # type: ignore[misc]  # its stub gives an instance, not a class
        raise PacketCorrupt(f"the packet's {what} data are damaged") from None
    if len(plain) > max_bytes:
        raise TooLarge(f"the packet is larger than {max_bytes} bytes when decompressed")
    if not inflater.eof:
        raise PacketCorrupt(f"the packet's {what} data end early")
    if inflater.unused_data:
        raise PacketCorrupt(f"the packet has data after its {what} data")
    return plain


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """Decompress one gzip member.

    Parameters
    ----------
    data : bytes
        The gzip file.
    max_bytes : int
        Most bytes of the result.

    Returns
    -------
    bytes
        What was compressed.

    Raises
    ------
    PacketCorrupt
        If the data are damaged, truncated, or followed by others.
    TooLarge
        If the result would be larger than `max_bytes`.
    """
    return _inflate(data, max_bytes, 31, "gzip")


def _read_plain(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise TooLarge(f"the packet is larger than {max_bytes} bytes")
    return data


def _read_deflate(data: bytes, max_bytes: int) -> bytes:
    return _inflate(data, max_bytes, -15, "deflate")


def _read_snappy(data: bytes, max_bytes: int) -> bytes:
    # AVRO appends the CRC-32 of the plain bytes, big-endian.
    packed, crc = data[:-4], data[-4:]
    try:
        if cramjam.snappy.decompress_raw_len(packed) > max_bytes:
            raise TooLarge(f"the packet is larger than {max_bytes} bytes when decompressed")
        plain = bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError:
        raise PacketCorrupt("the packet's snappy data are damaged") from None
    if isal_zlib.crc32(plain).to_bytes(4, "big") != crc:
        raise PacketCorrupt("the checksum of the packet's snappy data is wrong")
    return plain


def _zstandard_size(data: bytes) -> int | None:
    """Read the content size from the frame's header, where it is given (RFC 8878, section 3.1.1.1)."""
    if len(data) < 6 or not data.startswith(_ZSTD_MAGIC):
        raise PacketCorrupt("the packet's zstandard data are damaged")
    descriptor = data[4]
    single_segment = descriptor >> 5 & 1
    start = 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3]
    length = (single_segment, 2, 4, 8)[descriptor >> 6]
    if not length:
        return None
    size = int.from_bytes(data[start : start + length], "little")
    return size + 256 if length == 2 else size


def _read_zstandard(data: bytes, max_bytes: int) -> bytes:
    size = _zstandard_size(data)
    if size is not None and size > max_bytes:
        raise TooLarge(f"the packet is larger than {max_bytes} bytes when decompressed")
    # Frames written as a stream do not say how large they are: try ever larger buffers, up to the limit.
    room = min(max_bytes, 8 * len(data)) if size is None else size
    while True:
        plain = bytearray(room)
        try:
            written = cramjam.zstd.decompress_into(data, plain)
        except cramjam.DecompressionError:
            if size is not None or room >= max_bytes:
                reason = "are damaged" if size is not None else f"are damaged, or larger than {max_bytes} bytes"
                raise PacketCorrupt(f"the packet's zstandard data {reason}") from None
            room = min(max_bytes, 4 * room)
        else:
            return bytes(memoryview(plain)[:written])


_CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": _read_plain,
    "deflate": _read_deflate,
    "snappy": _read_snappy,
    "zstandard": _read_zstandard,
}
CODECS = tuple(_CODECS)


def decompress_block(codec: str, block: bytes, max_bytes: int) -> bytes:
    """Decompress the block of an object container file.

    Parameters
    ----------
    codec : str
        One of `CODECS`.
    block : bytes
        The block as it stands in the file.
    max_bytes : int
        Most bytes of the result.

    Returns
    -------
    bytes
        The AVRO body.

    Raises
    ------
    PacketCorrupt
        If the block is damaged.
    TooLarge
        If the result would be larger than `max_bytes`.
    """
    return _CODECS[codec](block, max_bytes)
