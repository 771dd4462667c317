"""Reading the values that were asked for, as `fastavro` would return them."""

from collections.abc import Callable
from struct import Struct
from typing import Any

from fastavro.read import LOGICAL_READERS

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.binary import Reading, close_block, open_block, read_length, read_long
from stamp_service.packets.nodes import MAX_DECIMAL_BYTES, Node

# From the position of a value to the value and the position after it.
Reader = Callable[[Reading, int], tuple[Any, int]]

_FLOAT = Struct("<f")
_DOUBLE = Struct("<d")


def _read_null(reading: Reading, position: int) -> tuple[None, int]:  # noqa: ARG001 - every reader is called alike
    return None, position


def _read_boolean(reading: Reading, position: int) -> tuple[bool, int]:
    return reading.buffer[position] != 0, position + 1


def _read_long(reading: Reading, position: int) -> tuple[int, int]:
    return read_long(reading.buffer, position)


def _read_float(reading: Reading, position: int) -> tuple[float, int]:
    return _FLOAT.unpack_from(reading.buffer, position)[0], position + 4


def _read_double(reading: Reading, position: int) -> tuple[float, int]:
    return _DOUBLE.unpack_from(reading.buffer, position)[0], position + 8


def _read_bytes(reading: Reading, position: int) -> tuple[bytes, int]:
    length, position = read_length(reading.buffer, position)
    stop = position + length
    return reading.buffer[position:stop], stop


def _read_text(reading: Reading, position: int) -> tuple[str, int]:
    data, position = _read_bytes(reading, position)
    return data.decode(), position


_PRIMITIVES: dict[str, Reader] = {
    "null": _read_null,
    "boolean": _read_boolean,
    "int": _read_long,
    "long": _read_long,
    "float": _read_float,
    "double": _read_double,
    "bytes": _read_bytes,
    "string": _read_text,
}


def _read_fixed(size: int) -> Reader:
    def read(reading: Reading, position: int) -> tuple[bytes, int]:
        return reading.buffer[position : position + size], position + size

    return read


def _read_enum(symbols: tuple[str, ...]) -> Reader:
    def read(reading: Reading, position: int) -> tuple[str, int]:
        index, position = read_long(reading.buffer, position)
        if not 0 <= index < len(symbols):
            raise PacketCorrupt("the packet holds an enum without such a symbol")
        return symbols[index], position

    return read


def _read_union(branches: list[Reader]) -> Reader:
    def read(reading: Reading, position: int) -> tuple[Any, int]:
        index, position = read_long(reading.buffer, position)
        if not 0 <= index < len(branches):
            raise PacketCorrupt("the packet holds a union without such a branch")
        return branches[index](reading, position)

    return read


def _read_record(fields: list[tuple[str, Reader]]) -> Reader:
    def read(reading: Reading, position: int) -> tuple[dict[str, Any], int]:
        record = {}
        for name, field in fields:
            record[name], position = field(reading, position)
        return record, position

    return read


def _read_array(node: Node) -> Reader:
    item = value_reader(node.item)

    def read(reading: Reading, position: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            count, position, stop = open_block(reading, position, node.item.least_bytes, node.item.most_values)
            if count == 0:
                return items, position
            for _ in range(count):
                value, position = item(reading, position)
                items.append(value)
            close_block(position, stop)

    return read


def _read_map(node: Node) -> Reader:
    item = value_reader(node.item)

    def read(reading: Reading, position: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        while True:
            count, position, stop = open_block(
                reading, position, 1 + node.item.least_bytes, 1 + node.item.most_values
            )
            if count == 0:
                return items, position
            for _ in range(count):
                key, position = _read_text(reading, position)
                items[key], position = item(reading, position)
            close_block(position, stop)

    return read


def _read_logical(plain: Reader, kind: str, logical: dict[str, Any]) -> Reader:
    convert: Callable[..., Any] = LOGICAL_READERS[f"{kind}-{logical['logicalType']}"]

    def read(reading: Reading, position: int) -> tuple[Any, int]:
        value, position = plain(reading, position)
        if kind == "bytes" and len(value) > MAX_DECIMAL_BYTES:
            raise PacketCorrupt("the packet holds a decimal of impossible length")
        try:
            return convert(value, logical), position
        except Exception:  # a conversion of another package, fed with values from outside
            raise PacketCorrupt(f"the packet holds a {logical['logicalType']} that is none") from None

    return read


_COMPOSITES: dict[str, Callable[[Node], Reader]] = {
    "record": lambda node: _read_record([(name, value_reader(child)) for name, child in node.fields]),
    "union": lambda node: _read_union([value_reader(branch) for branch in node.branches]),
    "array": _read_array,
    "map": _read_map,
    "enum": lambda node: _read_enum(node.symbols),
    "fixed": lambda node: _read_fixed(node.least_bytes),
}


def value_reader(node: Node) -> Reader:
    """Make the reader of values of a type.

    Parameters
    ----------
    node : Node
        The type.

    Returns
    -------
    Reader
        From the start of a value to the value and its end. It may read past the end of the body; whoever
        runs it checks the position that comes out.
    """
    reader = _PRIMITIVES.get(node.kind) or _COMPOSITES[node.kind](node)
    return reader if node.logical is None else _read_logical(reader, node.kind, dict(node.logical))
