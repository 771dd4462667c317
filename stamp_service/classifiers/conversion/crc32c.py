"""CRC-32C (Castagnoli), as TensorFlow writes it, over megabytes and with numpy alone.

A CRC is linear over GF(2): the CRC of two pieces is the first one's, moved past as many zero bytes as the second
is long, XOR the second one's. So pieces of one byte are joined to pieces of two, those to pieces of four, all
pieces of one length at once. See Adler's `crc32_combine` in zlib for the same idea, one pair at a time.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

# Castagnoli's polynomial, bits reversed (RFC 3720, section 12.1).
_POLYNOMIAL = 0x82F63B78
# Bytes that take the register from zero to all ones, where the algorithm starts.
_START = bytes.fromhex("de 90 a4 d6")
_BLOCK_LEVEL = 18
# TensorFlow and LevelDB turn and shift a CRC that is stored beside its data (leveldb, doc/table_format.md).
_MASK_DELTA = 0xA282EAD8


@cache
def _byte_table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


@cache
def _mover(level: int) -> Words:
    """Tables `(4, 256)` that move a register past `2 ** level` zero bytes: one for each byte of the register."""
    if level:
        half = _mover(level - 1)
        return _move(_move(np.arange(1024, dtype=np.uint32), half, as_tables=True), half).reshape(4, 256)
    registers = np.arange(256, dtype=np.uint32) << (8 * np.arange(4, dtype=np.uint32)[:, None])
    return _byte_table()[registers & 0xFF] ^ (registers >> np.uint32(8))
