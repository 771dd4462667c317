"""Tables of sorted keys in LevelDB's format, which is what the index of a TensorFlow checkpoint is.

The format is described in leveldb's doc/table_format.md. A table is small here, so it is read whole, and every
byte of it has to be accounted for: blocks of data, a block about them, the index of the blocks, the footer.
"""

import struct
from collections.abc import Iterator

from stamp_service.classifiers.conversion.crc32c import masked_crc32c
from stamp_service.classifiers.conversion.protobuf import read_varint
from stamp_service.errors import ConfigurationError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
# After each block: how it is compressed, and the CRC of both.
_TRAILER_BYTES = 5


def read_table(data: bytes) -> dict[bytes, bytes]:
    """Read all of a table.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    dict of bytes to bytes
        Its values by key, in its order.

    Raises
    ------
    ConfigurationError
        If it is not such a table, is damaged, or is compressed.
    """
    if len(data) < _FOOTER_BYTES or data[-8:] != struct.pack("<Q", _MAGIC):
        raise ConfigurationError("The checkpoint's index is not one, or is truncated")
    body_bytes = len(data) - _FOOTER_BYTES
    footer = data[body_bytes:-8]
    about, position = _read_handle(footer, 0)
    index, position = _read_handle(footer, position)
    if any(footer[position:]):
        raise _damaged("there is more in its footer than belongs there")
    handles = [_read_handle(value, 0)[0] for _, value in _entries(_read_block(data, index))]
    end = 0
    for start, size in [*handles, about, index]:
        if start != end:
            raise _damaged("its blocks do not follow each other")
        end = start + size + _TRAILER_BYTES
    if end != body_bytes:
        raise _damaged("its blocks do not fill it")
    _read_block(data, about)
    return dict(entry for handle in handles for entry in _entries(_read_block(data, handle)))


def _damaged(how: str) -> ConfigurationError:
    return ConfigurationError(f"The checkpoint's index is damaged: {how}")


def _read_handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Read where a block starts and its size, and where that was written to an end."""
    start, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (start, size), position


def _read_block(data: bytes, handle: tuple[int, int]) -> bytes:
    start, size = handle
    block = data[start : start + size + _TRAILER_BYTES]
    if len(block) < size + _TRAILER_BYTES:
        raise _damaged("a block ends behind it")
    if struct.pack("<I", masked_crc32c(block[:-4])) != block[-4:]:
        raise _damaged("a checksum is wrong")
    if block[size]:
        raise ConfigurationError("The checkpoint's index is compressed, which TensorFlow's own never are")
    return block[:size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """List keys and values; of each key, what it shares with the one before is not written again."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise _damaged("a block has no end")
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        size, position = read_varint(block, position)
        value_at = position + unshared
        if shared > len(key) or value_at + size > end:
            raise _damaged("an entry ends behind its block")
        key = key[:shared] + block[position:value_at]
        yield key, block[value_at : value_at + size]
        position = value_at + size
