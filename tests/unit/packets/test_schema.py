"""Schemas: put together from parts, numbered as Rubin does, and refused where they are dangerous."""

import json
import time

import fastavro
import pytest

from stamp_service.errors import PacketCorrupt
from stamp_service.packets import Packet, assemble_schema, read_schema, rubin_namespace, wire_id_of
from stamp_service.packets.nodes import build_tree, plain_schema
from stamp_service.packets.schema import MAX_SCHEMA_BYTES


def record(name="r", /, **fields):
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": key, "type": kind} for key, kind in fields.items()],
    }


# Parts


def test_rubins_parts_make_one_schema(lsst_parts):
    for parts in (lsst_parts, lsst_parts[::-1]):
        schema = assemble_schema(parts, "lsst.v9_0.alert")
        fastavro.parse_schema(json.loads(json.dumps(schema)))
        names = [field["name"] for field in schema["fields"]]
        alert = next(part for part in lsst_parts if part["name"] == "alert")
        assert names == [field["name"] for field in alert["fields"]]
        assert schema["doc"] == alert["doc"]
        assert wire_id_of(schema) == 900


def test_a_type_is_written_out_where_it_is_first_used():
    parts = [
        record("x.point", n="long"),
        {"type": "enum", "name": "colour", "namespace": "y", "symbols": ["RED"]},
        record("x.top", a=["null", "point"], b="x.point", c={"type": "array", "items": "y.colour"}, d="y.colour"),
    ]
    schema = assemble_schema(parts, "x.top")
    first, second, third, fourth = (field["type"] for field in schema["fields"])
    assert first[1]["fields"] == [{"name": "n", "type": "long"}]
    assert second == "x.point"
    assert third["items"]["symbols"] == ["RED"]
    assert fourth == "y.colour"
    parsed = fastavro.parse_schema(schema)
    assert parsed["name"] == "x.top"


def test_types_without_namespace_keep_their_meaning():
    parts = [
        record("plain", n="long"),
        record("x.top", a="x.inner", b={"type": "map", "values": "y.plain"}),
        record("x.inner", c="long"),
        record("y.plain", m="int"),
    ]
    schema = assemble_schema(parts, "x.top")
    assert build_tree(schema).field("b").item.field("m").kind == "int"
    nested = record("x.top", a=record("inner", b="long") | {"namespace": ""})
    assert build_tree(assemble_schema([nested], "x.top")).field("a").field("b").kind == "long"


def test_parts_that_are_missing_or_broken(lsst_parts):
    without = [part for part in lsst_parts if part["name"] != "diaSource"]
    for parts, name in [
        (without, "lsst.v9_0.alert"),
        (lsst_parts, "lsst.v9_1.alert"),
        ([], "x"),
        ([record("r", a=7)], "r"),
    ]:
        with pytest.raises(PacketCorrupt):
            assemble_schema(parts, name)


def test_parts_nested_without_end():
    deep = "long"
    for _ in range(500):
        deep = {"type": "array", "items": deep}
    with pytest.raises(PacketCorrupt, match="deep"):
        assemble_schema([record("r", a=deep)], "r")
    chain = [record(f"r{n}", a=f"r{n + 1}") for n in range(500)]
    with pytest.raises(PacketCorrupt, match="deep"):
        assemble_schema(chain, "r0")


# Numbers


@pytest.mark.parametrize(("namespace", "number"), [("lsst.v9_0", 900), ("lsst.v7_4", 704), ("lsst.v10_12", 1012)])
def test_rubins_numbers(namespace, number):
    assert wire_id_of(record("r") | {"namespace": namespace}) == number
    assert wire_id_of(record(f"{namespace}.r")) == number
    assert wire_id_of([record("other"), record(f"{namespace}.r")]) == number
    assert rubin_namespace(number) == namespace


@pytest.mark.parametrize(
    "name", ["r", "ztf.alert.r", "lsst.v9.r", "lsst.v9_0.more.r", "lsst.v9_100.r", "xlsst.v9_0.r"]
)
def test_other_namespaces_have_no_number(name):
    assert wire_id_of(record(name)) is None


@pytest.mark.parametrize("schema", ["long", [], ["long"], {"type": "record"}])
def test_what_has_no_name_has_no_number(schema):
    with pytest.raises(PacketCorrupt):
        wire_id_of(schema)


# What comes from outside


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type":' * 50_000,
        b" " * (MAX_SCHEMA_BYTES + 1),
        b'{"type":"record","name":"r","fields":[],"size":' + b"1" * 5000 + b"}",
    ],
)
def test_text_that_is_no_schema(text):
    with pytest.raises(PacketCorrupt):
        read_schema(text)


def container(schema: object) -> bytes:
    text = json.dumps(schema).encode()
    length = bytearray()
    rest = 2 * len(text)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return b"Obj\x01\x02\x16avro.schema" + bytes(length) + text + b"\x00" + b"s" * 16 + b"\x02\x02\x00" + b"s" * 16


def multiplying(levels: int) -> dict:
    """`r0` of two `r1` of two `r2` …: 2**levels values without a byte."""
    schema = record(f"r{levels}", a="null", b="null")
    for level in reversed(range(levels)):
        schema = record(f"r{level}", a=schema, b=f"r{level + 1}")
    return schema


def nested(levels: int, wrap) -> object:
    schema: object = "long"
    for _ in range(levels):
        schema = wrap(schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        record("r", next=["null", "r"]),
        record("r", children={"type": "array", "items": "r"}),
        record("r", a=record("s", b="r")),
        record("r", a=nested(200, lambda inner: {"type": "array", "items": inner})),
        record("r", a=nested(200, lambda inner: ["null", inner])),
        multiplying(50),
        record("r", **{f"f{number}": ["null", "long"] for number in range(10_000)}),
        record("r", a=["null"] * 30_000),
        record("r", a="unknown"),
        record("r", a="Record"),
        record("r", a="s", b=record("s")),
        record("r", a=record("s"), b=record("s")),
        record("r", a=None),
        record("r", a=[]),
        record("r", a={}),
        record("r", a={"type": "unheard-of"}),
        record("r", a={"type": {"type": "string"}}),
        record("r", a={"type": ["null", "long"]}),
        record("r", a={"type": "array"}),
        record("r", a={"type": "map", "items": "long"}),
        record("r", a={"type": "record"}),
        record("r", a={"type": "record", "name": 7, "fields": []}),
        record("r", a={"type": "record", "name": "s"}),
        record("r", a={"type": "record", "name": "s", "fields": {}}),
        record("r", a={"type": "record", "name": "s", "fields": ["long"]}),
        record("r", a={"type": "record", "name": "s", "fields": [{"type": "long"}]}),
        record("r", a={"type": "enum", "name": "e"}),
        record("r", a={"type": "enum", "name": "e", "symbols": [1]}),
        record("r", a={"type": "enum", "name": "e", "symbols": ["A", "A"]}),
        record("r", a={"type": "enum", "name": "e", "symbols": ["a b"]}),
        record("r", a={"type": "fixed", "name": "f"}),
        record("r", a={"type": "fixed", "name": "f", "size": -1}),
        record("r", a={"type": "fixed", "name": "f", "size": True}),
        record("r", a={"type": "fixed", "name": "f", "size": 1.5}),
        record("r", a={"type": "bytes", "logicalType": "decimal"}),
        record("r", a={"type": "bytes", "logicalType": "decimal", "precision": 10**9}),
        record("r", a={"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -3}),
        record("r", a={"type": "fixed", "name": "f", "size": 10**6, "logicalType": "decimal", "precision": 2}),
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "null"}] * 2},
        {"type": "array", "items": "long"},
        {"type": "long"},
        "long",
        [record("r", a="long")],
        ["null", record("r", a="long")],
    ],
)
def test_schemas_that_are_refused(schema):
    start = time.monotonic()
    with pytest.raises(PacketCorrupt):
        Packet.parse(container(schema))
    assert time.monotonic() - start < 2


def test_attributes_that_fastavro_trusts_are_dropped():
    trap = record("r", a="null") | {"__fastavro_parsed": True, "__named_schemas": {"r": 7}}
    assert Packet.parse(
        container(trap).replace(b"\x02\x02\x00" + b"s" * 16, b"\x02\x00" + b"s" * 16)
    ).record() == {"a": None}


def test_wrong_defaults_do_not_matter():
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "a", "type": ["long", "null"], "default": None},
            {"name": "b", "type": "long", "default": "x"},
        ],
    }
    data = container(schema).replace(b"\x02\x02\x00" + b"s" * 16, b"\x02\x04\x02\x0e" + b"s" * 16)
    assert Packet.parse(data).record() == {"a": None, "b": 7}


def test_names_of_fields_are_never_code():
    names = ["a.b", "__class__", "'); import os; ('", "\x00", "(?s)[", "ä" * 50, ""]
    schema = record("r", **dict.fromkeys(names, "long"))
    body = bytes(2 * number for number in range(len(names)))
    data = container(schema)[: -(3 + 16)] + b"\x02" + bytes([2 * len(body)]) + body + b"s" * 16
    packet = Packet.parse(data)
    assert packet.record() == {name: number for number, name in enumerate(names)}
    assert packet.get_many([["__class__"], ["(?s)["], ["a.b"]]) == [1, 4, None]


def test_plain_schemas_say_the_same(lsst_parts):
    tree = build_tree(assemble_schema(lsst_parts, "lsst.v9_0.alert"))
    plain = plain_schema(tree)
    again = build_tree(plain)
    assert (again.nodes, again.least_bytes, again.most_values) == (tree.nodes, tree.least_bytes, tree.most_values)
    assert len(json.dumps(plain)) < 30_000
