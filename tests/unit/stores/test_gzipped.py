"""Packets under `.gz` keys."""

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.stores.gzipped import gunzip_packet, gzip_packet, limit_gzipped

PACKET = b"Obj\x01" + bytes(range(256)) * 10


@settings(max_examples=100)
@given(st.binary(max_size=2000), st.integers(0, 3))
def test_whatever_is_put_comes_back(packet, times):
    for _ in range(times):
        packet = gzip_packet(packet) if times % 2 else gzip.compress(packet)
    assert gunzip_packet(gzip_packet(packet), 10_000) == packet


def test_everybody_reads_it_and_its_bytes_are_always_the_same():
    assert gzip.decompress(gzip_packet(PACKET)) == PACKET
    assert gzip_packet(PACKET) == gzip_packet(PACKET)
    assert gzip_packet(PACKET)[4:8] == bytes(4)  # no time


def test_what_came_gzipped_stays_as_it_is():
    packet = gzip.compress(PACKET, mtime=5)
    assert gzip_packet(packet) == packet
    assert gunzip_packet(packet, 10_000) == packet


def test_gzip_of_others_with_extra_fields_is_not_taken_for_ours():
    other = gzip.compress(PACKET)
    extra = other[:3] + b"\x04" + other[4:10] + b"\x04\x00Ab\x00\x00" + other[10:]
    assert gzip.decompress(extra) == PACKET
    assert gunzip_packet(gzip_packet(extra), 10_000) == extra


def test_a_bomb_is_refused():
    with pytest.raises(TooLarge):
        gunzip_packet(gzip_packet(bytes(10_000_001)), 10_000_000)


def test_a_gzipped_packet_beyond_the_limit_is_refused():
    with pytest.raises(TooLarge):
        gunzip_packet(gzip.compress(random.Random(3).randbytes(10_000)), 9_000)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40], lambda b: b[:-8] + bytes(8)])
def test_damage_is_noticed(damage):
    with pytest.raises(PacketCorrupt):
        gunzip_packet(damage(gzip_packet(PACKET)), 10_000)


@pytest.mark.parametrize("size", [0, 1, 1000, 20_000, 1_000_000])
def test_the_largest_packet_fits_once_gzipped(size):
    assert len(gzip_packet(random.Random(4).randbytes(size))) <= limit_gzipped(size)
