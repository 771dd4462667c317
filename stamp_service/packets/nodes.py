"""A writer's schema as a tree of checked nodes: what the decoders are built from.

Schemas come from outside, so all that makes them dangerous ends here: recursion, depth, types that multiply
(`A` of two `B` of two `C` …), nonsense where a type should be. A tree that was built is finite and small.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastavro.read import LOGICAL_READERS

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.schema import (
    MAX_DEPTH,
    PRIMITIVES,
    RECORDS,
    Schema,
    full_name,
    namespace_of,
    resolve_name,
)

# Rubin's schema, the largest of a survey, has some 800.
MAX_NODES = 20_000
# Decimals of any survey fit, and Python's arithmetic on them stays fast.
MAX_DECIMAL_BYTES = 64
_MAX_PRECISION = 200

_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEAST_BYTES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One type of a schema.

    Parameters
    ----------
    kind : str
        A primitive type, `record`, `enum`, `fixed`, `array`, `map` or `union`.
    least_bytes : int
        Fewest bytes of a value; 0 only for types whose values never take any.
    most_values : int
        How many values one holds, those inside arrays and maps not counted.
    nodes : int
        Size of the tree from here.
    fields : tuple of (str, Node)
        Of a record.
    branches : tuple of Node
        Of a union; the one type of the items of an array or map.
    symbols : tuple of str
        Of an enum.
    logical : mapping or None
        `logicalType`, `precision` and `scale`, where `fastavro` knows the logical type.
    """

    kind: str
    least_bytes: int
    most_values: int = 1
    nodes: int = 1
    fields: tuple[tuple[str, "Node"], ...] = ()
    branches: tuple["Node", ...] = ()
    symbols: tuple[str, ...] = ()
    logical: Mapping[str, Any] | None = None

    @property
    def item(self) -> "Node":
        """The type of an array's or map's items."""
        return self.branches[0]

    def field(self, name: str) -> "Node | None":
        """Find a record's field.

        Parameters
        ----------
        name : str
            The field's name.

        Returns
        -------
        Node or None
            Its type; None where there is none of this name.
        """
        return next((node for field, node in self.fields if field == name), None)

    def targets(self, path: tuple[str, ...]) -> Iterator["Node | None"]:
        """Walk a path through records and unions.

        Parameters
        ----------
        path : tuple of str
            Names of fields.

        Yields
        ------
        Node or None
            Every type that may stand at the end of the path; None for each way that does not lead there.
        """
        if self.kind == "union":
            for branch in self.branches:
                yield from branch.targets(path)
        elif not path:
            yield self
        elif self.kind == "record" and (node := self.field(path[0])) is not None:
            yield from node.targets(path[1:])
        else:
            yield None


class _Builder:
    def __init__(self) -> None:
        # None while a type is being built: a reference to it then is a recursion.
        self._named: dict[str, Node | None] = {}

    def build(self, schema: object, namespace: str, depth: int = 0) -> Node:
        if depth > MAX_DEPTH:
            raise PacketCorrupt("the schema is nested too deeply")
        node = self._build(schema, namespace, depth)
        if node.nodes > MAX_NODES:
            raise PacketCorrupt(f"the schema has more than {MAX_NODES} parts")
        return node

    def _build(self, schema: object, namespace: str, depth: int) -> Node:
        if isinstance(schema, str):
            return Node(schema, _LEAST_BYTES[schema]) if schema in PRIMITIVES else self._find(schema, namespace)
        if isinstance(schema, list):
            return self._build_union(schema, namespace, depth)
        kind = schema.get("type") if isinstance(schema, dict) else None
        if not isinstance(schema, dict) or not isinstance(kind, str):
            raise PacketCorrupt("the schema has a part that is not an AVRO type")
        if kind in PRIMITIVES:
            return Node(kind, _LEAST_BYTES[kind], logical=_read_logical(kind, schema))
        if kind in {"array", "map"}:
            item = self.build(schema.get("items" if kind == "array" else "values"), namespace, depth + 1)
            return Node(kind, 1, nodes=1 + item.nodes, branches=(item,))
        if kind in RECORDS or kind in {"enum", "fixed"}:
            return self._build_named(kind, schema, full_name(schema, namespace), depth)
        raise PacketCorrupt("the schema has a type that AVRO does not know")

    def _find(self, name: str, namespace: str) -> Node:
        name = resolve_name(name, namespace)
        if name not in self._named:
            raise PacketCorrupt("the schema refers to a type that it does not have")
        node = self._named[name]
        if node is None:
            raise PacketCorrupt("the schema is recursive")
        return node

    def _build_union(self, schema: list[object], namespace: str, depth: int) -> Node:
        branches = tuple(self.build(branch, namespace, depth + 1) for branch in schema)
        if not branches:
            raise PacketCorrupt("the schema has a union of nothing")
        return Node(
            "union",
            1 + min(branch.least_bytes for branch in branches),
            max(branch.most_values for branch in branches),
            1 + sum(branch.nodes for branch in branches),
            branches=branches,
        )

    def _build_named(self, kind: str, schema: dict[str, Any], name: str, depth: int) -> Node:
        if name in self._named:
            raise PacketCorrupt("the schema defines a type twice")
        self._named[name] = None
        if kind == "enum":
            node = Node(kind, 1, symbols=_read_symbols(schema))
        elif kind == "fixed":
            size = _whole_number(schema, "size", -1)
            if size < 0:
                raise PacketCorrupt("the schema has a fixed type without a size")
            node = Node(kind, size, logical=_read_logical(kind, schema))
        else:
            node = self._build_record(schema, namespace_of(name), depth)
        self._named[name] = node
        return node

    def _build_record(self, schema: dict[str, Any], namespace: str, depth: int) -> Node:
        listed = schema.get("fields")
        if not isinstance(listed, list):
            raise PacketCorrupt("the schema has a record without fields")
        fields: dict[str, Node] = {}
        nodes = 1
        for field in listed:
            if not isinstance(field, dict) or not isinstance(field.get("name"), str) or field["name"] in fields:
                raise PacketCorrupt("the schema has a field without a name of its own")
            node = self.build(field.get("type"), namespace, depth + 1)
            fields[field["name"]] = node
            nodes += node.nodes
            # Here too: types that multiply must not be summed up to the last of a long list first.
            if nodes > MAX_NODES:
                raise PacketCorrupt(f"the schema has more than {MAX_NODES} parts")
        return Node(
            "record",
            sum(node.least_bytes for node in fields.values()),
            1 + sum(node.most_values for node in fields.values()),
            nodes,
            fields=tuple(fields.items()),
        )


def _whole_number(schema: dict[str, Any], key: str, default: int) -> int:
    number = schema.get(key, default)
    return number if isinstance(number, int) and not isinstance(number, bool) else -1


def _read_symbols(schema: dict[str, Any]) -> tuple[str, ...]:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not all(
        isinstance(symbol, str) and _SYMBOL.fullmatch(symbol) for symbol in symbols
    ):
        raise PacketCorrupt("the schema has an enum without proper symbols")
    if len(set(symbols)) < len(symbols):
        raise PacketCorrupt("the schema has an enum with a symbol twice")
    return tuple(symbols)


def _read_logical(kind: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Read a logical type; an unknown one is ignored, as the specification asks."""
    logical = schema.get("logicalType")
    if f"{kind}-{logical}" not in LOGICAL_READERS:
        return None
    if logical != "decimal":
        return {"logicalType": logical}
    precision, scale = _whole_number(schema, "precision", 0), _whole_number(schema, "scale", 0)
    fits = kind == "bytes" or 0 < schema["size"] <= MAX_DECIMAL_BYTES
    if not fits or not 0 < precision <= _MAX_PRECISION or not 0 <= scale <= precision:
        raise PacketCorrupt("the schema has a decimal of impossible precision")
    return {"logicalType": logical, "precision": precision, "scale": scale}


def build_tree(schema: Schema) -> Node:
    """Check a schema and build the tree of its types.

    Parameters
    ----------
    schema : Schema
        The schema of a record, self-contained.

    Returns
    -------
    Node
        The record.

    Raises
    ------
    PacketCorrupt
        If it is not a valid schema of a record, is recursive, or larger than any survey's.
    """
    root = _Builder().build(schema, "")
    if root.kind != "record":
        raise PacketCorrupt("the schema is not that of a record")
    return root


class _Writer:
    def __init__(self) -> None:
        self._names: dict[Node, str] = {}

    def write(self, node: Node) -> Schema:
        if node.kind == "union":
            return [self.write(branch) for branch in node.branches]
        if node.kind == "array":
            return {"type": "array", "items": self.write(node.item)}
        if node.kind == "map":
            return {"type": "map", "values": self.write(node.item)}
        if node.kind in PRIMITIVES:
            return {"type": node.kind, **node.logical} if node.logical else node.kind
        return self._names.get(node) or self._define(node)

    def _define(self, node: Node) -> Schema:
        name = self._names[node] = f"type{len(self._names)}"
        if node.kind == "enum":
            return {"type": "enum", "name": name, "symbols": list(node.symbols)}
        if node.kind == "fixed":
            return {"type": "fixed", "name": name, "size": node.least_bytes, **(node.logical or {})}
        fields = [{"name": field, "type": self.write(child)} for field, child in node.fields]
        return {"type": "record", "name": name, "fields": fields}


def plain_schema(root: Node) -> Schema:
    """Write a tree as a schema with nothing in it but what decoding needs.

    Names are replaced and all other attributes dropped: `fastavro` gives meaning to some that a hostile
    schema may carry (`__fastavro_parsed`), and refuses others that decoding has no use for (defaults).

    Parameters
    ----------
    root : Node
        The record.

    Returns
    -------
    Schema
        The schema.
    """
    return _Writer().write(root)
