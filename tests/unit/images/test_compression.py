"""Gzip in and out, with a limit."""

import gzip
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.images import gunzip_cutout, gzip_cutout

TEXT = os.urandom(4096) + bytes(16_000)


@given(st.binary(max_size=5000).filter(lambda data: not data.startswith(b"\x1f\x8b")))
@settings(max_examples=50)
def test_what_goes_in_comes_out(data):
    packed = gzip_cutout(data)
    assert gzip.decompress(packed) == data
    assert gunzip_cutout(packed, len(data) or 1) == data
    assert gunzip_cutout(data, len(data)) == data


def test_gzips_once_and_always_the_same():
    packed = gzip_cutout(TEXT)
    assert gzip_cutout(packed) == packed == gzip_cutout(TEXT)


def test_joins_members_and_allows_zeros_after_them():
    members = gzip.compress(TEXT[:5000]) + gzip.compress(b"") + gzip.compress(TEXT[5000:])
    assert gunzip_cutout(members + bytes(100), len(TEXT)) == TEXT


@pytest.mark.parametrize("end", [2, 9, 12, 100, -9, -8, -4, -1])
def test_refuses_what_is_cut_short(end):
    with pytest.raises(PacketCorrupt):
        gunzip_cutout(gzip.compress(TEXT)[:end], 1 << 20)


@pytest.mark.parametrize("place", [2, 3, 50, -8, -1])
def test_refuses_what_is_damaged(place):
    damaged = bytearray(gzip.compress(TEXT))
    damaged[place] ^= 0xFF
    with pytest.raises(PacketCorrupt):
        gunzip_cutout(bytes(damaged), 1 << 20)


def test_refuses_rubbish_after_the_last_member():
    with pytest.raises(PacketCorrupt):
        gunzip_cutout(gzip.compress(TEXT) + b"rubbish", 1 << 20)


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda text: gzip.compress(text[:9]) + gzip.compress(text[9:])]
)
def test_refuses_more_than_the_limit(pack):
    assert gunzip_cutout(pack(TEXT), len(TEXT)) == TEXT
    with pytest.raises(TooLarge):
        gunzip_cutout(pack(TEXT), len(TEXT) - 1)


def test_a_bomb_costs_no_more_than_the_limit():
    bomb = gzip.compress(bytes(1 << 26))
    with pytest.raises(TooLarge):
        gunzip_cutout(bomb, 1 << 16)
    with pytest.raises(TooLarge):
        gunzip_cutout(gzip.compress(bytes(1 << 15)) * 3, 1 << 16)


def test_refuses_thousands_of_members():
    with pytest.raises(PacketCorrupt, match="members"):
        gunzip_cutout(gzip.compress(b"") * 100_000, 1 << 20)
