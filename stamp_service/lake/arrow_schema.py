"""From a packet's AVRO schema to the Arrow schema of its row, as Spark's AVRO reader makes it.

Names and nesting are the packet's. Every column, and every field within, may be null whatever the packet's schema
says: that is how Spark writes Parquet, and it lets packets of several schema versions share a file.

https://spark.apache.org/docs/latest/sql-data-sources-avro.html, "Supported types for Avro -> Spark SQL conversion"
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.extras import extra
from stamp_service.packets import Schema
from stamp_service.packets.nodes import Node, build_tree

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_DECIMAL_DIGITS = 38

# AVRO's union of two numbers is the type that holds both.
_WIDER = {frozenset({"int", "long"}): "long", frozenset({"float", "double"}): "double"}

_PLAIN = {
    "boolean": "bool_",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "bytes": "binary",
    "fixed": "binary",
    "string": "string",
    "enum": "string",
}
_LOGICAL: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "date": lambda arrow, _: arrow.date32(),
    "timestamp-millis": lambda arrow, _: arrow.timestamp("us", tz="UTC"),
    "timestamp-micros": lambda arrow, _: arrow.timestamp("us", tz="UTC"),
    "local-timestamp-millis": lambda arrow, _: arrow.timestamp("us"),
    "local-timestamp-micros": lambda arrow, _: arrow.timestamp("us"),
    "time-millis": lambda arrow, _: arrow.time32("ms"),
    "time-micros": lambda arrow, _: arrow.time64("us"),
    "decimal": lambda arrow, logical: arrow.decimal128(logical["precision"], logical["scale"]),
}


def arrow_schema(schema: Schema) -> "pa.Schema":
    """Translate the schema of a packet.

    Parameters
    ----------
    schema : Schema
        The AVRO schema of a record, self-contained.

    Returns
    -------
    pyarrow.Schema
        A column per field, in order. A field that is always null has none.

    Raises
    ------
    PacketCorrupt
        If it is not the schema of a record, or has a type that a column cannot have: a union of unlike types.
    ConfigurationError
        If pyarrow is not installed.
    """
    arrow = extra("pyarrow")
    return arrow.schema(list(_fields(arrow, build_tree(schema))))


def unite(schemas: Iterable["pa.Schema"]) -> "pa.Schema":
    """Make the schema that rows of several schemas share: all fields by name, numbers as wide as the widest.

    Parameters
    ----------
    schemas : iterable of pyarrow.Schema
        One at least.

    Returns
    -------
    pyarrow.Schema
        The first's fields, then what others have besides.

    Raises
    ------
    PacketCorrupt
        If two have a field of one name and unlike types.
    ConfigurationError
        If pyarrow is not installed.
    """
    arrow = extra("pyarrow")
    try:
        return arrow.unify_schemas(list(schemas), promote_options="permissive")
    except arrow.ArrowException:
        raise PacketCorrupt("the packet's schema has a field that is of an unlike type in other packets") from None


def _fields(arrow: Any, record: Node) -> Iterable[Any]:  # noqa: ANN401 - pyarrow has no types
    for name, node in record.fields:
        kind = _type(arrow, node)
        if kind is not None:
            yield arrow.field(name, kind)


def _type(arrow: Any, node: Node) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Translate a type; None for what is always null."""
    if node.kind in _COMPOSITES:
        return _COMPOSITES[node.kind](arrow, node)
    if node.logical is not None:
        return _logical_type(arrow, dict(node.logical))
    return getattr(arrow, _PLAIN[node.kind])()


def _record_type(arrow: Any, node: Node) -> Any:  # noqa: ANN401 - pyarrow has no types
    fields = list(_fields(arrow, node))
    return arrow.struct(fields) if fields else None


def _array_type(arrow: Any, node: Node) -> Any:  # noqa: ANN401 - pyarrow has no types
    item = _type(arrow, node.item)
    return None if item is None else arrow.list_(arrow.field("element", item))


def _map_type(arrow: Any, node: Node) -> Any:  # noqa: ANN401 - pyarrow has no types
    item = _type(arrow, node.item)
    return None if item is None else arrow.map_(arrow.string(), item)


def _union_type(arrow: Any, node: Node) -> Any:  # noqa: ANN401 - pyarrow has no types
    branches = [branch for branch in node.branches if branch.kind != "null"]
    if len(branches) < 2:
        return _type(arrow, branches[0]) if branches else None
    wider = _WIDER.get(frozenset(branch.kind for branch in branches))
    if wider is None or any(branch.logical for branch in branches):
        raise PacketCorrupt("the packet's schema has a union of types that no column of a lake can have")
    return getattr(arrow, _PLAIN[wider])()


def _logical_type(arrow: Any, logical: dict[str, Any]) -> Any:  # noqa: ANN401 - pyarrow has no types
    name = logical["logicalType"]
    make = _LOGICAL.get(name)
    if make is None or logical.get("precision", 0) > _MAX_DECIMAL_DIGITS:
        raise PacketCorrupt(f"the packet's schema has a {name} that no column of a lake can have")
    return make(arrow, logical)


_COMPOSITES: dict[str, Callable[[Any, Node], Any]] = {
    "null": lambda _arrow, _node: None,
    "union": _union_type,
    "record": _record_type,
    "array": _array_type,
    "map": _map_type,
}
