"""Packets: telling them by their first bytes, reading values by path, refusing what is not one."""

import gzip
import io
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import cramjam
import fastavro
import pytest

from stamp_service.errors import NotFound, PacketCorrupt, StoreTimeout, StoreUnavailable, TooLarge
from stamp_service.packets import CODECS, Packet, frame_ocf, write_ocf, write_wire
from stamp_service.packets.binary import MAX_VALUES

HUGE = b"\x80" * 8 + b"\x20"  # 2**60, zigzag
NEGATIVE = b"\x01"  # -1
SYNC = b"0123456789abcdef"


def long(value: int) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, "long", value)
    return file.getvalue()


def record_of(**fields):
    return {
        "type": "record",
        "name": "r",
        "fields": [{"name": name, "type": kind} for name, kind in fields.items()],
    }


def packet_of(body: bytes, **fields) -> Packet:
    return Packet.parse(frame_ocf(record_of(**fields), body))


def container(schema: bytes, blocks: bytes = b"\x02\x02\x00" + SYNC, codec: bytes | None = None) -> bytes:
    entries = {b"avro.schema": schema} | ({} if codec is None else {b"avro.codec": codec})
    head = b"".join(long(len(part)) + part for entry in entries.items() for part in entry)
    return b"Obj\x01" + long(len(entries)) + head + b"\x00" + SYNC + blocks


NULLABLE = b'{"type":"record","name":"r","fields":[{"name":"a","type":["null","long"]}]}'


# Reading


def test_unions_in_either_order():
    assert packet_of(b"\x02\x0e", a=["null", "long"]).get("a") == 7
    assert packet_of(b"\x00\x0e", a=["long", "null"]).get("a") == 7
    assert packet_of(b"\x02", a=["long", "null"]).get("a") is None
    assert packet_of(b"\x04\x02x", a=["long", "null", "string"]).get("a") == "x"


def test_a_null_on_the_way_is_none():
    inner = {"type": "record", "name": "inner", "fields": [{"name": "b", "type": "long"}]}
    assert packet_of(b"\x00", a=["null", inner]).get("a.b") is None
    assert packet_of(b"\x02\x02", a=["null", inner]).get("a.b") == 1


def test_the_first_path_that_exists_and_is_not_null_counts():
    inner = {"type": "record", "name": "inner", "fields": [{"name": "id", "type": "long"}]}
    null_first = packet_of(b"\x00\x0e", a=["null", inner], b="long")
    assert null_first.get("a.id", "b") == 7
    assert packet_of(b"\x02\x02\x0e", a=["null", inner], b="long").get("nowhere", "a.id", "b") == 1
    assert null_first.get("nowhere", "a.id") is None
    assert null_first.get("nowhere") is None
    assert null_first.get() is None


def test_many_values_in_one_pass():
    packet = packet_of(b"\x02\x02x\x04", a="long", b="string", c="long")
    assert packet.get_many([["c"], ["a", "b"], ["b"], ["b"], []]) == [2, 1, "x", "x", None]
    assert packet.get_many(()) == []


def test_a_record_and_a_field_of_it_at_once():
    inner = {
        "type": "record",
        "name": "inner",
        "fields": [{"name": "x", "type": "long"}, {"name": "y", "type": "long"}],
    }
    packet = packet_of(b"\x02\x02\x04", a=["null", inner])
    assert packet.get_many([["a"], ["a.y"], ["a.x"]]) == [{"x": 1, "y": 2}, 2, 1]


def test_a_path_into_one_branch_of_several():
    one = {"type": "record", "name": "one", "fields": [{"name": "x", "type": "long"}]}
    two = {"type": "record", "name": "two", "fields": [{"name": "y", "type": "long"}]}
    packet = packet_of(b"\x02\x06\x08", a=[one, two], z="long")
    assert packet.get_many([["a.x"], ["a.y"], ["a.x", "z"]]) == [None, 3, 4]


def test_arrays_and_maps_are_values_and_no_way():
    items = {"type": "array", "items": "long"}
    packet = packet_of(b"\x04\x02\x04\x00\x02\x02k\x06\x00", a=items, m={"type": "map", "values": "long"})
    assert packet.get("a") == [1, 2]
    assert packet.get("m") == {"k": 3}
    assert packet.get("m.k") is None
    assert not packet.has("m.k")
    assert packet.has("nowhere", "m")


def test_nothing_after_the_last_value_is_looked_at():
    packet = packet_of(b"\x02" + HUGE, a="long", b="bytes")
    assert packet.get("a") == 1
    with pytest.raises(PacketCorrupt):
        packet.get("b")
    with pytest.raises(PacketCorrupt):
        packet.check()


@pytest.mark.parametrize("tail", [b"", b"\x02x", b"\x04xyz"], ids=["short", "whole", "long"])
def test_all_after_the_last_value_is_looked_at_on_request(tail):
    packet = packet_of(b"\x02" + tail, a="long", b="bytes")
    if tail == b"\x02x":
        assert packet.get_many([["a"]], whole=True) == [1]
        packet.check()
        return
    for _ in range(2):
        with pytest.raises(PacketCorrupt, match="ends early" if not tail else "goes on"):
            packet.get_many([["a"]], whole=True)
        with pytest.raises(PacketCorrupt):
            packet.check()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
@pytest.mark.parametrize("sized", [False, True])
def test_histories_of_any_length_are_skipped(count, sized):
    entry = {
        "type": "record",
        "name": "e",
        "fields": [{"name": "t", "type": "double"}, {"name": "n", "type": "string"}],
    }
    lengths = ([3, 200, 64] * count)[:count]
    items = b"".join(b"12345678" + long(length) + b"x" * length for length in lengths)
    block = long(-count) + long(len(items)) + items if sized else long(count) + items
    packet = packet_of(block + block + b"\x00\x0e", a={"type": "array", "items": entry}, b="long")
    assert packet.get("b") == 7
    packet.check()
    for history in (packet.get("a"), packet.record()["a"]):
        assert [len(item["n"]) for item in history] == lengths * 2


@pytest.mark.parametrize("count", [3, 20])
def test_maps_of_any_length_are_skipped(count):
    items = b"".join(b"\x02k" + long(length) + b"x" * length for length in range(count))
    for block in (long(count) + items, long(-count) + long(len(items)) + items):
        packet = packet_of(block + b"\x00\x0e", a={"type": "map", "values": "string"}, b="long")
        assert packet.get("b") == 7
        packet.check()
        assert packet.record() == {"a": {"k": "x" * (count - 1)}, "b": 7}


def test_a_block_that_states_a_wrong_size():
    for kind in ({"type": "array", "items": "long"}, {"type": "map", "values": "null"}):
        packet = packet_of(b"\x01\x06\x02a\x00\x0e", a=kind, b="long")
        for read in (packet.check, packet.record, lambda packet=packet: packet.get("a")):
            with pytest.raises(PacketCorrupt):
                read()


def test_record_leaves_fields_out():
    packet = packet_of(b"\x02\x02x\x04", a="long", b="string", c="long")
    assert packet.record() == {"a": 1, "b": "x", "c": 2}
    assert packet.record(without={"b", "nowhere"}) == {"a": 1, "c": 2}


def test_the_largest_integers():
    for value in (2**63 - 1, -(2**63), 2**62, -(2**62) - 1):
        packet = packet_of(long(value) + b"\x0e", a="long", b="long")
        assert (packet.get("a"), packet.get("b"), packet.record()["a"]) == (value, 7, value)


def test_schemas_of_one_name_are_not_mixed_up():
    first = write_ocf(record_of(a="long", b="string"), {"a": 1, "b": "x"})
    second = write_ocf(record_of(b="string", a="long"), {"a": 2, "b": "y"})
    for _ in range(3):
        assert Packet.parse(first).get_many([["a"], ["b"]]) == [1, "x"]
        assert Packet.parse(second).get_many([["a"], ["b"]]) == [2, "y"]


def test_many_schemas_in_turn():
    packets = [write_ocf(record_of(**{f"field{n}": "long"}), {f"field{n}": n}) for n in range(100)]
    for _ in range(2):
        assert [Packet.parse(data).get(f"field{n}") for n, data in enumerate(packets)] == list(range(100))


def test_threads_share_decoders():
    schema = record_of(a="long", history={"type": "array", "items": ["null", "string"]}, b="bytes", c="string")
    record = {"a": 1, "history": ["x", None] * 30, "b": b"cutout", "c": "end"}
    data = write_ocf(schema, record)

    def read(_: int) -> list[object]:
        packet = Packet.parse(data)
        return [packet.get("b"), packet.get("c"), packet.record()]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(200))) == [[b"cutout", "end", record]] * 200


# Wire format


def test_wire_format(one_schema, wrap):
    schema = record_of(a="long")
    data = wrap(write_wire(schema, 258, {"a": 7}))
    packet = Packet.parse(data, one_schema(258, schema))
    assert (packet.format, packet.schema_id, packet.get("a"), packet.body()) == ("wire", 258, 7, b"\x0e")
    assert packet.data is data
    assert packet.schema == schema


def test_an_equal_schema_looked_up_anew_serves(one_schema):
    for number in range(3):
        assert (
            Packet.parse(
                write_wire(record_of(a="long"), 1, {"a": number}), one_schema(1, record_of(a="long"))
            ).get("a")
            == number
        )


def test_an_unknown_schema_is_named(one_schema):
    data = write_wire(record_of(a="long"), 258, {"a": 7})
    with pytest.raises(PacketCorrupt, match="258"):
        Packet.parse(data, one_schema(1, record_of(a="long")))
    with pytest.raises(PacketCorrupt, match="258"):
        Packet.parse(data)


@pytest.mark.parametrize("failure", [StoreUnavailable, StoreTimeout])
def test_a_lookup_that_fails_is_not_the_packets_fault(failure):
    class Down:
        def schema(self, schema_id):
            raise failure("registry is down")

    with pytest.raises(failure):
        Packet.parse(write_wire(record_of(a="long"), 1, {"a": 7}), Down())


def test_not_found_is_an_ordinary_error_of_lookups(one_schema):
    with pytest.raises(NotFound):
        one_schema(1, "long").schema(2)


@pytest.mark.parametrize(
    "schema", ["long", ["null"], [], {"type": "array", "items": "long"}, {"type": object()}, 7, None]
)
def test_a_looked_up_schema_that_is_no_record(one_schema, schema):
    with pytest.raises(PacketCorrupt):
        Packet.parse(b"\x00\x00\x00\x00\x01\x00", one_schema(1, schema))


# Bad input


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"O",
        b"Obj",
        b"Obj\x01",
        b"Obj\x01\x00",
        b"\x00",
        b"\x00\x00\x00\x01",
        b"\x1f\x8b",
        b"\x1f\x8b" + b"\x00" * 30,
        gzip.compress(b"", mtime=0),
        gzip.compress(b"hello", mtime=0),
        gzip.compress(gzip.compress(container(NULLABLE)), mtime=0),
        b"<html>not here</html>",
        b'{"message": "not found"}',
        b"SIMPLE  =                    T",
        b"Obj\x01" + HUGE,
        b"Obj\x01\x02" + HUGE + b"x",
        b"Obj\x01" + NEGATIVE + HUGE + b"x",
        b"Obj\x01" + b"\x02\x00\x00" * 100_000,
        b"Obj\x01" + b"\xff" * 50,
        container(NULLABLE)[4:],
    ],
)
def test_what_is_no_packet(data):
    with pytest.raises(PacketCorrupt):
        Packet.parse(data)


def test_wire_format_behind_the_magic_of_a_container(shared_data):
    wire = next((shared_data / "alerts" / "lsst").glob("*.wire")).read_bytes()
    for data in (b"Obj\x01" + wire, b"Obj\x01" + wire[5:], b"Obj\x01" + wire[1:]):
        with pytest.raises(PacketCorrupt):
            Packet.parse(data)


@pytest.mark.parametrize(
    "blocks",
    [
        b"",
        b"\x00\x00" + SYNC,
        b"\x02",
        b"\x02\x02\x00",
        b"\x02\x02\x00" + SYNC[:-1],
        b"\x02\x02\x00" + b"x" * 16,
        b"\x02\x02\x00" + SYNC + b"x",
        b"\x02\x02\x00" + SYNC + b"\x02\x02\x00" + SYNC,
        b"\x04\x04\x00\x00" + SYNC,
        NEGATIVE + b"\x02\x00" + SYNC,
        HUGE + b"\x02\x00" + SYNC,
        b"\x02" + HUGE + b"\x00" + SYNC,
        b"\x02" + NEGATIVE + b"\x00" + SYNC,
        b"\x02\x02\x00" + SYNC + (b"\x00\x00" + SYNC) * 20,
    ],
)
def test_containers_without_exactly_one_record(blocks):
    with pytest.raises(PacketCorrupt):
        Packet.parse(container(NULLABLE, blocks))


def test_empty_blocks_are_allowed():
    empty = b"\x00\x00" + SYNC
    packet = Packet.parse(container(NULLABLE, empty + b"\x02\x04\x02\x0e" + SYNC + empty))
    assert packet.get("a") == 7


def test_a_codec_that_is_not_known():
    with pytest.raises(PacketCorrupt, match="zstandard"):
        Packet.parse(container(NULLABLE, codec=b"lzma\xff"))
    assert Packet.parse(container(NULLABLE)).codec == "null"


def test_a_header_without_schema():
    with pytest.raises(PacketCorrupt, match="schema"):
        Packet.parse(b"Obj\x01\x00" + SYNC + b"\x02\x02\x00" + SYNC)


@pytest.mark.parametrize("codec", CODECS)
def test_truncation_anywhere_is_noticed(codec, wrap):
    schema = record_of(a="long", b="bytes", c={"type": "array", "items": "string"})
    data = wrap(write_ocf(schema, {"a": 5, "b": bytes(40), "c": ["x" * 20] * 9}, codec))
    assert Packet.parse(data).record()["a"] == 5
    for length in range(len(data)):
        with pytest.raises(PacketCorrupt):
            Packet.parse(data[:length])
    with pytest.raises(PacketCorrupt):
        Packet.parse(data + b"x")


def test_truncated_and_padded_wire_format(one_schema):
    schema = record_of(a="long", b="bytes")
    data = write_wire(schema, 1, {"a": 5, "b": bytes(40)})
    for broken in [data[:length] for length in range(5, len(data))] + [data + b"x"]:
        packet = Packet.parse(broken, one_schema(1, schema))
        for read in (packet.check, packet.record):
            with pytest.raises(PacketCorrupt):
                read()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (HUGE + b"abc", "bytes"),
        (NEGATIVE + b"abc", "bytes"),
        (HUGE + b"abc", "string"),
        (b"\x04\xff\xfe", "string"),
        (b"\xff" * 11, "long"),
        (b"\xff" * 9 + b"\x02", "long"),
        (b"\x80", "long"),
        (b"", "double"),
        (b"1234", "double"),
        (b"\x06", ["null", "long"]),
        (NEGATIVE, ["null", "long"]),
        (b"\x04", {"type": "enum", "name": "e", "symbols": ["A", "B"]}),
        (NEGATIVE, {"type": "enum", "name": "e", "symbols": ["A", "B"]}),
        (b"x", {"type": "fixed", "name": "f", "size": 2**60}),
        (HUGE + b"\x00", {"type": "array", "items": "long"}),
        (long(-(2**60)) + b"\x00", {"type": "array", "items": "long"}),
        (b"\x01\x00\x02\x00", {"type": "array", "items": "long"}),
        (b"\x01" + NEGATIVE + b"\x02\x00", {"type": "array", "items": "long"}),
        (b"\x01" + HUGE + b"\x02\x00", {"type": "array", "items": "long"}),
        (long(-(2**63)) + b"\x02\x00", {"type": "array", "items": "long"}),
        (HUGE + b"\x02a\x00", {"type": "map", "values": "long"}),
        (b"\x02" + HUGE + b"\x00", {"type": "map", "values": "long"}),
        (b"\x02" + NEGATIVE + b"\x00", {"type": "map", "values": "null"}),
        (b"\x02\x02\xff\x00", {"type": "map", "values": "null"}),
        (long(2**40), {"type": "int", "logicalType": "date"}),
        (long(2**62), {"type": "long", "logicalType": "timestamp-millis"}),
        (b"\x02x", {"type": "string", "logicalType": "uuid"}),
        (long(300) + b"\x7f" * 300, {"type": "bytes", "logicalType": "decimal", "precision": 4}),
    ],
)
def test_bodies_that_do_not_fit(body, kind):
    packet = packet_of(body, a=kind)
    with pytest.raises(PacketCorrupt):
        packet.get("a")
    with pytest.raises(PacketCorrupt):
        packet.record()


@pytest.mark.parametrize(
    "items", ["null", {"type": "record", "name": "e", "fields": []}, {"type": "fixed", "name": "f", "size": 0}]
)
@pytest.mark.parametrize("count", [HUGE, long(2 * MAX_VALUES), long(-(2**60)) + b"\x00"])
def test_endless_items_without_bytes(items, count):
    packet = packet_of(count + b"\x00\x0e", a={"type": "array", "items": items}, b="long")
    start = time.monotonic()
    for read in (lambda: packet.get("a"), lambda: packet.get("b"), packet.check, packet.record):
        with pytest.raises(TooLarge):
            read()
    assert time.monotonic() - start < 1


def test_few_items_without_bytes_are_fine():
    packet = packet_of(b"\x06\x00\x0e", a={"type": "array", "items": "null"}, b="long")
    assert packet.record() == {"a": [None] * 3, "b": 7}
    assert packet.get_many([["a"], ["b"]]) == [[None] * 3, 7]


def test_memory_is_bounded_where_values_are_tiny():
    entry = {"type": "record", "name": "e", "fields": [{"name": "x", "type": ["null", "long"]}]}
    count = 8 * 1024 * 1024
    packet = packet_of(long(count) + bytes(count) + b"\x00", a={"type": "array", "items": entry})
    for read in (packet.record, packet.check, lambda: packet.get("a")):
        with pytest.raises(TooLarge):
            read()


def test_many_small_blocks_count_as_well():
    entry = {"type": "record", "name": "e", "fields": [{"name": f"x{n}", "type": "null"} for n in range(999)]}
    for block in (b"\x02\x00", b"\x01\x02\x00"):
        packet = packet_of(block * 1001 + b"\x00\x0e", a={"type": "array", "items": ["null", entry]}, b="long")
        for read in (packet.check, packet.record, lambda packet=packet: packet.get("b")):
            with pytest.raises(TooLarge):
                read()


# Limits


def test_packets_beyond_the_limit(wrap):
    data = wrap(write_ocf(record_of(a="bytes"), {"a": bytes(1000)}))
    with pytest.raises(TooLarge, match="100 bytes"):
        Packet.parse(data, max_bytes=100)
    assert Packet.parse(data, max_bytes=2000).get("a") == bytes(1000)


def test_a_gzip_bomb():
    with pytest.raises(TooLarge):
        Packet.parse(gzip.compress(bytes(40_000_000)), max_bytes=1_000_000)


def test_data_after_the_gzip_member():
    data = write_ocf(record_of(a="long"), {"a": 1})
    for more in (b"x", b"\x00" * 8, gzip.compress(b"more")):
        with pytest.raises(PacketCorrupt):
            Packet.parse(gzip.compress(data) + more)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_bomb_in_a_block(codec):
    data = write_ocf(record_of(a="bytes"), {"a": bytes(20_000_000)}, codec)
    with pytest.raises(TooLarge):
        Packet.parse(data, max_bytes=len(data) + 1000)
    assert len(Packet.parse(data).get("a")) == 20_000_000


def block_of(packed: bytes, codec: bytes) -> bytes:
    return container(NULLABLE, b"\x02" + long(len(packed)) + packed + SYNC, codec)


def test_a_snappy_block_that_claims_much():
    for length in (b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\xff\xff\xff\x7f"):
        with pytest.raises((PacketCorrupt, TooLarge)):
            Packet.parse(block_of(length + b"\x00a" + b"crc!", b"snappy"))


def test_a_snappy_block_with_a_wrong_checksum():
    packed = bytes(cramjam.snappy.compress_raw(b"\x02\x0e"))
    good = packed + zlib.crc32(b"\x02\x0e").to_bytes(4, "big")
    assert Packet.parse(block_of(good, b"snappy")).get("a") == 7
    for bad in (packed + b"crc!", packed, b"", b"abc"):
        with pytest.raises(PacketCorrupt):
            Packet.parse(block_of(bad, b"snappy"))


def streamed(data: bytes) -> bytes:
    compressor = cramjam.zstd.Compressor()
    compressor.compress(data)
    return bytes(compressor.finish())


def test_a_zstandard_frame_that_does_not_say_its_size():
    assert Packet.parse(block_of(streamed(b"\x02\x0e"), b"zstandard")).get("a") == 7
    long_body = b"\x02\x0e" + bytes(3_000_000)
    assert len(Packet.parse(block_of(streamed(long_body), b"zstandard")).body()) == len(long_body)
    with pytest.raises(PacketCorrupt, match="larger than 1000000 bytes"):
        Packet.parse(block_of(streamed(bytes(3_000_000)), b"zstandard"), max_bytes=1_000_000)


@pytest.mark.parametrize("size", [0, 1, 2**62])
def test_a_zstandard_frame_that_lies_about_its_size(size):
    frame = bytes(cramjam.zstd.compress(bytes(100_000)))
    assert frame[4] >> 6 == 2  # four bytes of content size, from the sixth byte on
    lying = (
        frame[:4] + bytes([frame[4] | 0xC0]) + frame[5:6] * (1 - (frame[4] >> 5 & 1)) + size.to_bytes(8, "little")
    )
    lying += frame[9 + (1 - (frame[4] >> 5 & 1)) :]
    with pytest.raises((PacketCorrupt, TooLarge)):
        Packet.parse(block_of(lying, b"zstandard"))


@pytest.mark.parametrize("codec", [b"deflate", b"snappy", b"zstandard"])
@pytest.mark.parametrize(
    "packed", [b"", b"\x00", b"\xff" * 40, b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\xc0\x00", b"garbage" * 9]
)
def test_blocks_that_are_not_compressed_as_they_say(codec, packed):
    with pytest.raises((PacketCorrupt, TooLarge)):
        Packet.parse(block_of(packed, codec)).record()
