"""CRC-32C (Castagnoli) as TensorFlow writes it, of megabytes and with numpy alone.

A CRC is linear over GF(2): that of two pieces together is the first one's, moved past as many zero bytes as the
second is long, XOR the second one's (what `crc32_combine` of zlib does for one pair). So the pieces of one byte
are joined to pieces of two, those to pieces of four, and so on, all pieces of a length at once.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Registers = NDArray[np.uint32]

# Castagnoli's polynomial, bits reversed (RFC 3720, section 12.1).
_POLYNOMIAL = 0x82F63B78
# These bytes take the register from zero, where pieces start, to all ones, where the algorithm does.
_START = bytes.fromhex("54641f64")
# Bytes that are done at once: what the tables of 32-bit numbers of them take stays in a processor's cache.
_AT_ONCE = 2**17
# Added to a CRC, once turned, that is kept beside its data (LevelDB, util/crc32c.h).
_MASK_DELTA = 0xA282EAD8


def _move(registers: Registers, mover: Registers) -> Registers:
    """Move registers `(n,)` past zero bytes, as many as the mover's."""
    octets = registers.view(np.uint8).reshape(-1, 4)
    moved: Registers = mover[0][octets[:, 0]]
    for place in (1, 2, 3):
        moved ^= mover[place][octets[:, place]]
    return moved


@cache
def _mover(level: int) -> Registers:
    """Make tables `(4, 256)`: where each byte of a register is after `2 ** level` zero bytes."""
    if level:
        half = _mover(level - 1)
        return _move(half.ravel(), half).reshape(4, 256)
    registers = (np.arange(256) << (8 * np.arange(4))[:, None]).astype("<u4")
    for _ in range(8):
        registers = (registers >> 1) ^ (registers & 1) * np.uint32(_POLYNOMIAL)
    return registers


def _remainder(data: NDArray[np.uint8]) -> Registers:
    """CRC register `(1,)` after data, from zero; zeros before the data change nothing."""
    registers: Registers = _mover(0)[0][data]
    level = 0
    while len(registers) > 1:
        if len(registers) % 2:
            registers = np.concatenate([np.zeros(1, registers.dtype), registers])
        # Each stands for `2 ** level` bytes, so that is what its left neighbour is moved past.
        registers = _move(np.ascontiguousarray(registers[::2]), _mover(level)) ^ registers[1::2]
        level += 1
    return registers


def crc32c(data: bytes | memoryview) -> int:
    """Compute the CRC-32C of some bytes.

    Parameters
    ----------
    data : bytes or memoryview
        Any bytes.

    Returns
    -------
    int
        The CRC (RFC 3720, appendix B.4), 32 bits.
    """
    register = _remainder(np.frombuffer(_START, np.uint8))
    octets = np.frombuffer(data, np.uint8)
    # What is left over first, so that all further pieces are of one length.
    first = len(octets) % _AT_ONCE
    if first:
        register = _remainder(np.concatenate([np.frombuffer(_START, np.uint8), octets[:first]]))
    for start in range(first, len(octets), _AT_ONCE):
        register = _move(register, _mover(_AT_ONCE.bit_length() - 1)) ^ _remainder(
            octets[start : start + _AT_ONCE]
        )
    return int(register[0]) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | memoryview) -> int:
    """Compute the CRC-32C of some bytes, masked as LevelDB and TensorFlow store it beside them.

    Parameters
    ----------
    data : bytes or memoryview
        Any bytes.

    Returns
    -------
    int
        The CRC turned right by 15 bits, plus a constant, 32 bits.
    """
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
