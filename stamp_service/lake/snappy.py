"""Snappy blocks, and the independent fragments that its C++ and Java encoders cut them into.

A raw Snappy block is the length of its content, as a varint, and then elements: literals, and copies of what
came before (https://github.com/google/snappy/blob/main/format_description.txt). The encoders compress every
64 KiB of the content on its own, so no element crosses such a boundary and no copy reaches beyond it: the
elements of one fragment, with a length before them, are a block in themselves.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt

from stamp_service.lake.extras import extra

FRAGMENT_BYTES = 1 << 16

_Walk = Callable[[npt.NDArray[np.uint8], int, int, npt.NDArray[np.uint32]], bool]


class SnappyCorrupt(ValueError):
    """These bytes are no Snappy block, or not the one that was expected."""


def varint(number: int) -> bytes:
    """Write a length as Snappy does: seven bits in a byte, the lowest first.

    Parameters
    ----------
    number : int
        The length, not negative.

    Returns
    -------
    bytes
        One to five bytes.
    """
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def decompress(block: bytes | memoryview, size: int) -> memoryview:
    """Decompress a whole block.

    Parameters
    ----------
    block : bytes-like
        The block.
    size : int
        The length that its content must have, bytes.

    Returns
    -------
    memoryview
        Its content.

    Raises
    ------
    SnappyCorrupt
        If the block is damaged, or of another length.
    """
    try:
        if cramjam.snappy.decompress_raw_len(block) != size:
            raise SnappyCorrupt("another length")
        plain = memoryview(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        raise SnappyCorrupt("damaged") from None
    if len(plain) != size:
        raise SnappyCorrupt("another length")
    return plain


def decompress_fragments(elements: bytes, size: int) -> memoryview:
    """Decompress one or several neighbouring fragments.

    Parameters
    ----------
    elements : bytes
        Their elements, without a length.
    size : int
        The length of their content, bytes.

    Returns
    -------
    memoryview
        Their content.

    Raises
    ------
    SnappyCorrupt
        If they are damaged, or of another length.
    """
    return decompress(varint(size) + elements, size)


def fragment_offsets(block: bytes | memoryview, size: int) -> npt.NDArray[np.uint32] | None:
    """Find where in a block each fragment starts.

    Parameters
    ----------
    block : bytes-like
        The block.
    size : int
        The length of its content, bytes.

    Returns
    -------
    ndarray of shape (n_fragments,), uint32, or None
        Offset of each fragment's first element in the block; None if an element crosses a boundary, a copy reaches
        before its fragment, or the block is not one of this length.
    """
    prefix = varint(size)
    if block[: len(prefix)] != prefix:
        return None
    offsets = np.zeros(-(-size // FRAGMENT_BYTES), np.uint32)
    whole = _compiled_walk()(np.frombuffer(block, np.uint8), len(prefix), size, offsets)
    return offsets if whole else None


@cache
def _compiled_walk() -> _Walk:
    numba: Any = extra("numba")
    try:
        compiled: _Walk = numba.njit(nogil=True, cache=True)(_walk)
    except RuntimeError:  # no folder that numba could keep the machine code in
        compiled = numba.njit(nogil=True)(_walk)
    return compiled


def _walk(block: npt.NDArray[np.uint8], at: int, size: int, offsets: npt.NDArray[np.uint32]) -> bool:
    """Walk over a block's elements, note where fragments start, and say whether all of them are independent."""
    done = 0  # bytes of the content so far
    room = 0  # bytes until the current fragment's end
    while at < block.size:
        if room == 0:
            if done >= size:
                return False
            offsets[done >> 16] = at
            room = min(1 << 16, size - done)
        tag = int(np.int64(block[at]))  # numba: uint64 and int64 make a float
        form = tag & 3
        # Bytes after the tag: a literal's length, or a copy's offset.
        extra_bytes = max((tag >> 2) - 59, 0) if form == 0 else (1, 2, 4)[form - 1]
        if at + 1 + extra_bytes > block.size:
            return False
        number = 0
        for i in range(extra_bytes):
            number |= int(np.int64(block[at + 1 + i])) << (8 * i)
        at += 1 + extra_bytes
        if form == 0:
            length = (number if extra_bytes else tag >> 2) + 1
            at += length
        else:
            length = (tag >> 2) + 1
            if form == 1:
                length = ((tag >> 2) & 7) + 4
                number |= (tag >> 5) << 8
            if number == 0 or number > (done & 0xFFFF):
                return False
        if length > room:
            return False
        room -= length
        done += length
    return done == size and at == block.size
