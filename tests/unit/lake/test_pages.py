"""Pages: headers, codecs, levels and values, and what is refused."""

import random
import struct

import cramjam
import pytest
from isal import isal_zlib

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.columns import Chunk
from stamp_service.lake.pages import CODECS, PageHeader, find_values, parse_header, unpack, walk_pages

# A data page v1 of 3 plain values in Thrift's compact protocol: 12 bytes compressed from 20.
HEADER = bytes.fromhex("15 00 15 28 15 18 2c 15 06 15 00 15 06 15 06 00 00".replace(" ", ""))


def test_a_header_is_parsed_and_measured():
    assert parse_header(HEADER + b"page") == PageHeader(len(HEADER), 12, 20, 3, plain=True)


def test_a_page_is_compared_with_its_checksum():
    # Thrift's numbers are signed.
    header = parse_header(HEADER)._replace(checksum=isal_zlib.crc32(b"page") - (1 << 32))
    header.check(memoryview(b"page"))
    with pytest.raises(PacketCorrupt):
        header.check(memoryview(b"Page"))


@pytest.mark.parametrize("at", [1, 8, 10, 12])
def test_pages_of_other_kinds_are_not_plain(at):
    # Another type of page, a dictionary's encoding, deprecated levels; field 8 below is the number of values.
    other = bytearray(HEADER)
    other[at] += 4
    header = parse_header(bytes(other))
    assert header.plain == (at == 8)


def test_garbage_is_no_header():
    source = random.Random(3)
    for _ in range(300):
        data = bytearray(HEADER)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            header = parse_header(bytes(data[: source.randint(0, len(data))]))
        except PacketCorrupt:
            continue
        assert min(header.compressed, header.uncompressed, header.rows) >= 0


@pytest.mark.parametrize("data", [b"", b"\x1c" * 60_000, b"\xff" * 60_000, b"\x15" + b"\xff" * 60_000])
def test_hostile_headers_are_refused(data):
    with pytest.raises(PacketCorrupt):
        parse_header(data)


def read_from(data):
    return lambda start, length: memoryview(data)[start : start + length]


def test_pages_are_walked_to_the_last_row():
    data = b"PAR1" + (HEADER + bytes(12)) * 2
    pages = list(walk_pages(read_from(data), Chunk(4, len(data) - 4, 10, 6, "SNAPPY", False)))
    assert [(page.start, page.body, page.first_row) for page in pages] == [(4, 21, 10), (33, 50, 13)]


def test_headers_longer_than_the_first_look_are_read_again():
    data = b"PAR1" + (HEADER + bytes(12)) * 2
    assert len(list(walk_pages(read_from(data), Chunk(4, len(data) - 4, 0, 6, "SNAPPY", False), 5))) == 2


@pytest.mark.parametrize("rows", [1, 5, 7])
def test_pages_that_do_not_add_up_are_refused(rows):
    data = b"PAR1" + (HEADER + bytes(12)) * 2
    with pytest.raises(PacketCorrupt):
        list(walk_pages(read_from(data), Chunk(4, len(data) - 4, 0, rows, "SNAPPY", False)))


def test_a_chunk_of_empty_pages_ends():
    empty = HEADER[:8].replace(b"\x15\x18", b"\x15\x00") + b"\x00" + HEADER[9:]
    data = b"PAR1" + empty * 50
    with pytest.raises(PacketCorrupt):
        list(walk_pages(read_from(data), Chunk(4, len(data) - 4, 0, 1, "SNAPPY", False)))


PACKED = {
    "UNCOMPRESSED": bytes,
    "SNAPPY": cramjam.snappy.compress_raw,
    "GZIP": cramjam.gzip.compress,
    "ZSTD": cramjam.zstd.compress,
    "BROTLI": cramjam.brotli.compress,
}


@pytest.mark.parametrize("codec", CODECS)
def test_pages_are_unpacked_to_the_size_they_must_have(codec):
    plain = random.Random(5).randbytes(3000) + bytes(3000)
    body = bytes(PACKED[codec](plain))
    assert unpack(codec, body, len(plain)) == plain
    for wrong in (0, len(plain) - 1, len(plain) + 1):
        with pytest.raises(PacketCorrupt):
            unpack(codec, body, wrong)
    for length in (0, 3, len(body) // 2, len(body) - 20):
        with pytest.raises(PacketCorrupt):
            unpack(codec, body[:length], len(plain))


def test_a_bomb_stops_at_the_size_it_claims():
    with pytest.raises(PacketCorrupt):
        unpack("GZIP", isal_zlib.compress(bytes(50_000_000), wbits=31), 1000)


def plain_page(levels, values):
    return memoryview(levels + b"".join(struct.pack("<I", len(value)) + value for value in values))


@pytest.mark.parametrize(
    ("levels", "max_level"),
    [
        ("02000000 03 15", 1),  # packed in bits: 1 group, 1 0 1 0 1
        ("04000000 03 2200 00", 2),  # two bits each: 2 0 2 0 and 0 …: the fifth is null
        ("0a000000 0201 0200 0201 0200 0201", 1),  # runs of one
    ],
    ids=["bits", "two bits", "runs"],
)
def test_nulls_end_where_the_value_before_them_does(levels, max_level):
    head = bytes.fromhex(levels.replace(" ", ""))
    values = [b"one", b"", b"three"] if max_level == 1 else [b"one", b""]
    found = find_values(plain_page(head, values), 5, max_level)
    start = len(head)
    last = start + 20 if max_level == 1 else start + 11
    assert found.start == start
    assert found.ends == [start + 7, start + 7, start + 11, start + 11, last]


def test_columns_without_nulls_have_no_levels():
    assert find_values(plain_page(b"", [b"a", b"bc"]), 2, 0).ends == [5, 11]


@pytest.mark.parametrize(
    "page",
    [
        b"",
        bytes.fromhex("ffffffff"),
        bytes.fromhex("02000000 06"),  # a run without its value
        bytes.fromhex("01000000 ff"),  # a varint without its end
        bytes.fromhex("02000000 0601 02000000 61"),  # a value that ends after the page
        bytes.fromhex("02000000 0600 61"),  # something after the last value
        bytes.fromhex("06000000 808080808080"),  # a varint without an end
    ],
)
def test_pages_that_do_not_fit_are_refused(page):
    with pytest.raises(PacketCorrupt):
        find_values(memoryview(page), 3, 1)
