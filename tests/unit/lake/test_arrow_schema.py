"""AVRO types as columns of a lake."""

import pyarrow as pa
import pytest

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.arrow_schema import arrow_schema, unite


def record(*types):
    fields = [{"name": f"f{index}", "type": kind} for index, kind in enumerate(types)]
    return {"type": "record", "name": "alert", "fields": fields}


INNER = {"type": "record", "name": "inner", "fields": [{"name": "x", "type": "int"}]}


@pytest.mark.parametrize(
    ("avro", "arrow"),
    [
        ("int", pa.int32()),
        ("long", pa.int64()),
        ("float", pa.float32()),
        ("double", pa.float64()),
        ("string", pa.string()),
        ("boolean", pa.bool_()),
        ("bytes", pa.binary()),
        ({"type": "fixed", "name": "four", "size": 4}, pa.binary()),
        ({"type": "enum", "name": "band", "symbols": ["g", "r"]}, pa.string()),
        (["null", "float"], pa.float32()),
        (["float", "null"], pa.float32()),
        (["null", "int", "long"], pa.int64()),
        (["double", "float"], pa.float64()),
        ({"type": "array", "items": ["null", "int"]}, pa.list_(pa.field("element", pa.int32()))),
        ({"type": "map", "values": "long"}, pa.map_(pa.string(), pa.int64())),
        (INNER, pa.struct([("x", pa.int32())])),
        (["null", INNER], pa.struct([("x", pa.int32())])),
        ({"type": "array", "items": INNER}, pa.list_(pa.field("element", pa.struct([("x", pa.int32())])))),
        ({"type": "int", "logicalType": "date"}, pa.date32()),
        ({"type": "long", "logicalType": "timestamp-millis"}, pa.timestamp("us", tz="UTC")),
        ({"type": "long", "logicalType": "timestamp-micros"}, pa.timestamp("us", tz="UTC")),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, pa.timestamp("us")),
        ({"type": "int", "logicalType": "time-millis"}, pa.time32("ms")),
        ({"type": "long", "logicalType": "time-micros"}, pa.time64("us")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, pa.decimal128(9, 2)),
        ({"type": "long", "logicalType": "of our own"}, pa.int64()),
    ],
)
def test_a_type_is_what_spark_makes_of_it_and_may_be_null(avro, arrow):
    (field,) = arrow_schema(record(avro))
    assert field.type == arrow
    assert field.nullable


@pytest.mark.parametrize(
    "avro", ["null", ["null"], {"type": "array", "items": "null"}, {"type": "map", "values": "null"}]
)
def test_what_is_always_null_has_no_column(avro):
    assert arrow_schema(record(avro, "int")).names == ["f1"]


def test_a_record_of_nothing_has_no_column():
    assert arrow_schema(record({"type": "record", "name": "empty", "fields": []})).names == []


@pytest.mark.parametrize(
    "avro",
    [
        ["int", "string"],
        ["null", "bytes", INNER],
        ["int", "float"],
        [{"type": "int", "logicalType": "date"}, "long"],
        {"type": "string", "logicalType": "uuid"},
        {"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 2},
    ],
)
def test_a_type_that_no_column_can_have_is_refused(avro):
    with pytest.raises(PacketCorrupt, match="no column of a lake"):
        arrow_schema(record(avro))


def test_schemas_are_united_by_name():
    one = pa.schema([("a", pa.int32()), ("s", pa.struct([("x", pa.float32())]))])
    other = pa.schema(
        [("b", pa.string()), ("s", pa.struct([("y", pa.int64()), ("x", pa.float64())])), ("a", pa.int64())]
    )
    assert unite([one, other]) == pa.schema(
        [("a", pa.int64()), ("s", pa.struct([("x", pa.float64()), ("y", pa.int64())])), ("b", pa.string())]
    )


def test_unlike_types_are_not_united():
    with pytest.raises(PacketCorrupt, match="unlike"):
        unite([pa.schema([("a", pa.struct([("x", pa.int32())]))]), pa.schema([("a", pa.string())])])
