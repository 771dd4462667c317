"""Snappy's fragments: found where the encoder put them, refused where they are not independent."""

import random

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.lake.snappy import (
    FRAGMENT_BYTES,
    SnappyCorrupt,
    decompress,
    decompress_fragments,
    fragment_offsets,
    varint,
)


def content(size, seed=1):
    """Bytes that compress by about a half, with matches at many distances."""
    source = random.Random(seed)
    words = [source.randbytes(source.randint(3, 90)) for _ in range(40)]
    parts = bytearray()
    while len(parts) < size:
        parts += source.choice(words) + source.randbytes(9)
    return bytes(parts[:size])


def literal(data):
    return bytes([61 << 2]) + (len(data) - 1).to_bytes(2, "little") + data


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200_000), st.integers(0, 99))
def test_every_fragment_of_an_encoded_block_is_a_block_in_itself(size, seed):
    plain = content(size, seed)
    block = bytes(cramjam.snappy.compress_raw(plain))
    offsets = fragment_offsets(block, size)
    assert len(offsets) == -(-size // FRAGMENT_BYTES)
    ends = [*offsets[1:], len(block)]
    pieces = [block[start:end] for start, end in zip(offsets, ends, strict=True)]
    sizes = [min(FRAGMENT_BYTES, size - at) for at in range(0, size, FRAGMENT_BYTES)]
    assert b"".join(map(bytes, map(decompress_fragments, pieces, sizes))) == plain


def test_neighbouring_fragments_are_read_together():
    plain = content(3 * FRAGMENT_BYTES)
    block = bytes(cramjam.snappy.compress_raw(plain))
    first, second, _ = fragment_offsets(block, len(plain)).tolist()
    del first
    assert bytes(decompress_fragments(block[second:], 2 * FRAGMENT_BYTES)) == plain[FRAGMENT_BYTES:]


def test_a_copy_from_an_earlier_fragment_is_refused():
    plain = content(FRAGMENT_BYTES) + b"tail"
    inside = varint(len(plain)) + literal(plain[:FRAGMENT_BYTES]) + literal(b"tail")
    assert fragment_offsets(inside, len(plain)).tolist() == [3, 3 + 3 + FRAGMENT_BYTES]
    size = FRAGMENT_BYTES + 4
    # A copy of 4 bytes, 4 back: tag 01, offset's high bits 0.
    reaching_back = varint(size) + literal(plain[:FRAGMENT_BYTES]) + bytes([1, 4])
    assert bytes(decompress(reaching_back, size))[-4:] == plain[FRAGMENT_BYTES - 4 : FRAGMENT_BYTES]
    assert fragment_offsets(reaching_back, size) is None


def test_an_element_across_a_boundary_is_refused():
    plain = content(FRAGMENT_BYTES + 8)
    across = varint(len(plain)) + literal(plain[:-16]) + literal(plain[-16:])
    assert bytes(decompress(across, len(plain))) == plain
    assert fragment_offsets(across, len(plain)) is None


@pytest.mark.parametrize("distance", [0, 5])
def test_copies_from_before_the_start_are_refused(distance):
    assert fragment_offsets(varint(8) + bytes([3 << 2]) + b"abcd" + bytes([1, distance]), 8) is None


def test_blocks_of_another_length_are_refused():
    block = bytes(cramjam.snappy.compress_raw(content(1000)))
    for other in (0, 999, 1001, 1 << 20):
        assert fragment_offsets(block, other) is None
        with pytest.raises(SnappyCorrupt):
            decompress(block, other)


def test_cut_and_lengthened_blocks_are_refused():
    plain = content(5000)
    block = bytes(cramjam.snappy.compress_raw(plain))
    for length in range(len(block)):
        assert fragment_offsets(block[:length], len(plain)) is None
    assert fragment_offsets(block + b"\0a", len(plain)) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 100_000))
def test_garbage_is_refused_or_a_block(elements, size):
    block = varint(size) + elements
    offsets = fragment_offsets(block, size)
    if offsets is not None:
        assert len(decompress(block, size)) == size


def test_offsets_are_small_numbers():
    assert fragment_offsets(bytes(cramjam.snappy.compress_raw(b"x")), 1).dtype == np.uint32
