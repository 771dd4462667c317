"""Random schemas, records and damage: decoding equals fastavro's, and nothing but our errors comes out."""

import datetime
import decimal
import io
import json
import string
import time
import uuid
from random import Random
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.packets import CODECS, Packet, encode_body, frame_ocf, frame_wire, write_ocf
from stamp_service.packets.binary import Reading
from stamp_service.packets.nodes import build_tree
from stamp_service.packets.plans import run_step
from stamp_service.packets.skips import Skipper

LIMIT = 1 << 20
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL = (
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
    {"type": "long", "logicalType": "unheard-of"},
)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Maker:
    """Makes a random schema of a record, and records of it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.named: dict[str, Any] = {}

    def name(self) -> str:
        return f"type_{len(self.named)}"

    def record_schema(self, depth: int = 3) -> dict[str, Any]:
        namespace = self.random.choice([None, "some.where", ""])
        schema = {"type": "record", "name": self.name(), "fields": []} | (
            {} if namespace is None else {"namespace": namespace}
        )
        self.named[schema["name"]] = schema
        names = self.random.sample(string.ascii_lowercase, self.random.randint(0, 6))
        schema["fields"] = [{"name": name, "type": self.schema(depth - 1)} for name in names]
        return schema

    def schema(self, depth: int, *, in_union: bool = False) -> Any:
        kinds = ["primitive"] * 6 + ["logical", "enum", "fixed"]
        if depth > 0:
            kinds += ["record", "record", "array", "map"] + ["union"] * 4 * (not in_union)
        kind = self.random.choice(kinds)
        if kind == "primitive":
            return self.random.choice(PRIMITIVES)
        if kind == "logical":
            return dict(self.random.choice(LOGICAL))
        if kind == "record":
            return self.record_schema(depth)
        if kind == "array":
            return {"type": "array", "items": self.schema(depth - 1)}
        if kind == "map":
            return {"type": "map", "values": self.schema(depth - 1)}
        if kind == "union":
            return self.union(depth)
        schema = {"type": kind, "name": self.name()}
        self.named[schema["name"]] = schema
        size = self.random.choice([0, 1, 5]) if kind == "fixed" else None
        return schema | ({"size": size} if kind == "fixed" else {"symbols": ["RED", "GREEN", "BLUE"]})

    def union(self, depth: int) -> list[Any]:
        other = self.schema(depth - 1, in_union=True)
        branches = ["null", other] if other != "null" else ["null"]
        if paths_of(other) and self.random.random() < 0.3:
            branches.append({"type": "record", "name": self.name(), "fields": [{"name": "a", "type": "long"}]})
            self.named[branches[-1]["name"]] = None
        self.random.shuffle(branches)
        return branches

    def value(self, schema: Any) -> Any:
        random = self.random
        if isinstance(schema, list):
            return self.value(random.choice(schema))
        if isinstance(schema, dict):
            if "logicalType" in schema:
                return self.logical(schema["logicalType"])
            kind = schema["type"]
            if kind == "record":
                return {field["name"]: self.value(field["type"]) for field in schema["fields"]}
            if kind == "array":
                return [self.value(schema["items"]) for _ in range(random.choice([0, 1, 3, 20]))]
            if kind == "map":
                return {str(key): self.value(schema["values"]) for key in range(random.choice([0, 1, 3]))}
            return random.choice(schema["symbols"]) if kind == "enum" else random.randbytes(schema["size"])
        size = random.choice([0, 1, 5, 63, 64, 127, 128, 300])
        return {
            "null": None,
            "boolean": random.random() < 0.5,
            "int": random.choice([0, -1, 63, 64, -(2**31), 2**31 - 1]),
            "long": random.choice([0, -1, 64, 2**40, -(2**63), 2**63 - 1, 2**62, random.getrandbits(60)]),
            "float": random.choice([0.0, -1.5, float("nan"), float("inf")]),
            "double": random.random(),
            "bytes": random.randbytes(size),
            "string": "ä" * (size // 2) + "x" * (size % 2),
        }[schema]

    def logical(self, logical: str) -> Any:
        return {
            "date": datetime.date(2026, 1, 1),
            "timestamp-micros": datetime.datetime(2026, 1, 1, 5, tzinfo=datetime.UTC),
            "time-micros": datetime.time(3, 4, 5, 6),
            "uuid": uuid.UUID(int=self.random.getrandbits(128)),
            "decimal": decimal.Decimal("-12.34"),
            "unheard-of": 7,
        }[logical]


def paths_of(schema: Any, prefix: str = "") -> list[str]:
    """List the dotted paths through records and unions."""
    if isinstance(schema, list):
        return [path for branch in schema for path in paths_of(branch, prefix)]
    if not isinstance(schema, dict) or schema["type"] != "record":
        return []
    paths = []
    for field in schema["fields"]:
        path = prefix + field["name"]
        paths += [path, *paths_of(field["type"], path + ".")]
    return paths


def walk(record: Any, schema: Any, path: list[str]) -> Any:
    """Look a path up in what fastavro decoded."""
    if isinstance(schema, list):
        branches = [branch for branch in schema if paths_of(branch)]
        found = (walk(record, branch, path) for branch in (branches if path else schema))
        return next((value for value in found if value is not None), None)
    if not path:
        return record
    fields = {field["name"]: field["type"] for field in schema["fields"]} if paths_of(schema) else {}
    if path[0] not in fields or not isinstance(record, dict) or path[0] not in record:
        return None
    return walk(record[path[0]], fields[path[0]], path[1:])


def made(seed: int) -> tuple[Any, bytes, Random]:
    """Make a schema, the body of a record of it, and a source of more chance."""
    maker = Maker(seed)
    schema = maker.record_schema()
    return schema, encode_body(schema, maker.value(schema)), maker.random


seeds = st.integers(0, 2**32 - 1)


@few
@given(seeds)
def test_values_are_those_of_fastavro(seed):
    schema, body, random = made(seed)
    truth = fastavro.schemaless_reader(
        io.BytesIO(body), fastavro.parse_schema(json.loads(json.dumps(schema))), None
    )
    packet = Packet.parse(frame_ocf(schema, body, random.choice(CODECS)))
    packet.check()
    assert repr(packet.record()) == repr(truth)
    paths = [*paths_of(schema), "nowhere", "a.b.c.d.e.f"]
    groups = [random.choices(paths, k=random.choice([1, 1, 2])) for _ in range(6)]
    expected = [
        next((value for path in group if (value := walk(truth, schema, path.split("."))) is not None), None)
        for group in groups
    ]
    assert repr(packet.get_many(groups)) == repr(expected)
    assert [repr(packet.get(*group)) for group in groups] == [repr(value) for value in expected]


def damaged(body: bytes, random: Random) -> bytes:
    """Change, cut, repeat or insert some bytes."""
    changed = bytearray(body)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(changed) + 1)
        what = random.randrange(4)
        if what == 0 and place < len(changed):
            changed[place] = random.choice([0, 1, 2, 0x7F, 0x80, 0xFF, random.randrange(256)])
        elif what == 1:
            del changed[place : place + random.randint(1, 9)]
        elif what == 2:
            changed[place:place] = random.choice(
                [b"\xff" * 9 + b"\x01", b"\x80" * 10, b"\xfe" * 8 + b"\x0f", b"\x00"]
            )
        else:
            del changed[place:]
    return bytes(changed)


def outcome(read: Any) -> str | None:
    """Run something that may only succeed or fail as it should, and soon."""
    start = time.monotonic()
    try:
        read()
    except (PacketCorrupt, TooLarge) as error:
        return type(error).__name__
    finally:
        assert time.monotonic() - start < 5
    return None


@few
@given(seeds)
def test_damaged_bodies_are_told_from_whole_ones(seed):
    schema, body, random = made(seed)
    body = damaged(body, random)
    root = build_tree(schema)
    ends: list[list[int]] = [[], []]
    for use_patterns in (False, True):
        step = Skipper(root, use_patterns=use_patterns).step(root)
        outcome(lambda step=step, use=use_patterns: ends[use].append(run_step(step, Reading(body, len(body)), 0)))
    assert ends[False] == ends[True]
    packet = Packet.parse(frame_ocf(schema, body))
    fits = outcome(packet.check)
    assert fits is None or outcome(packet.record) == fits
    paths = paths_of(schema)
    outcome(packet.record)
    whole = outcome(lambda: packet.get_many([[path] for path in paths], whole=True))
    # It may find more, in the values that it decodes.
    assert fits is None or whole is not None
    outcome(lambda: packet.get_many([[path] for path in paths]))
    for path in paths[:3]:
        outcome(lambda path=path: packet.get(path))


@few
@given(seeds, st.sampled_from(CODECS))
def test_damaged_packets_only_raise_our_errors(seed, codec):
    schema, body, random = made(seed)

    def read(data: bytes) -> None:
        packet = Packet.parse(data, max_bytes=LIMIT)
        packet.get(*paths_of(schema)[-1:])
        packet.record()

    outcome(lambda: read(damaged(frame_ocf(schema, body, codec), random)))


@few
@given(st.binary(max_size=300), st.sampled_from([b"", b"Obj\x01", b"\x00\x00\x00\x00\x01", b"\x1f\x8b\x08"]))
def test_noise_only_raises_our_errors(noise, magic):
    class Lookup:
        def schema(self, schema_id: int) -> Any:
            return {"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "bytes"]}]}

    outcome(lambda: Packet.parse(magic + noise, Lookup(), LIMIT).record())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([*PRIMITIVES, "record", "r", "x.r", "array", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "name", "fields", "items", "symbols", "size"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@few
@given(json_values)
def test_strange_schemas_only_raise_our_errors(strange):
    for schema in (strange, {"type": "record", "name": "r", "fields": [{"name": "a", "type": strange}]}):
        text = json.dumps(schema).encode()
        data = b"Obj\x01\x02\x16avro.schema" + _long(len(text)) + text + b"\x00"
        outcome(lambda data=data: Packet.parse(data + b"s" * 16 + b"\x02\x02\x00" + b"s" * 16).record())


def _long(value: int) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, "long", value)
    return file.getvalue()


@pytest.fixture(scope="module")
def samples(shared_data) -> list[bytes]:
    """One real packet of every sort."""
    names = [
        "ztf/1105522281015015000.avro",
        "ztf_snappy/000010510116973199.avro",
        "atlas/01a59897o0020c_000002.avro",
    ]
    return [(shared_data / "alerts" / name).read_bytes() for name in names]


@settings(few, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(seeds)
def test_damaged_real_packets_only_raise_our_errors(samples, seed):
    random = Random(seed)
    data = random.choice(samples)
    if random.random() < 0.5:
        whole = Packet.parse(data)
        data = frame_ocf(whole.schema, damaged(whole.body(), random), random.choice(CODECS))
    else:
        data = damaged(data, random)

    def read() -> None:
        packet = Packet.parse(data, max_bytes=LIMIT)
        outcome(lambda: packet.get("cutoutDifference.stampData"))
        outcome(packet.check)
        packet.record()

    outcome(read)


def test_the_writer_and_the_framing_agree():
    schema, body, _ = made(5)
    record = Packet.parse(frame_ocf(schema, body)).record()
    assert write_ocf(schema, record) == frame_ocf(schema, encode_body(schema, record))
    assert frame_wire(7, body)[:5] == b"\x00\x00\x00\x00\x07"
