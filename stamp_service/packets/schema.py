"""AVRO schemas as JSON: reading them, putting their named parts together, Rubin's numbering."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from stamp_service.errors import PacketCorrupt

Schema = dict[str, Any] | list[Any] | str

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
RECORDS = frozenset({"record", "error"})
NAMED = RECORDS | {"enum", "fixed"}

# Schemas come from outside. The longest of a survey has some 50 kB and 4 levels of records.
MAX_SCHEMA_BYTES = 1024 * 1024
MAX_DEPTH = 64

# A file of one named type does not say which id a registry gave to its record; Rubin's namespaces do.
_RUBIN_NAMESPACE = re.compile(r"lsst\.v([0-9]{1,5})_([0-9]{1,2})")


def read_schema(text: bytes) -> Schema:
    """Read a schema's JSON.

    Parameters
    ----------
    text : bytes
        JSON, as in the header of an object container file.

    Returns
    -------
    dict, list or str
        The schema, not yet checked.

    Raises
    ------
    PacketCorrupt
        If it is not JSON, or larger than any schema of a survey.
    """
    if len(text) > MAX_SCHEMA_BYTES:
        raise PacketCorrupt(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        raise PacketCorrupt("the schema is not JSON") from None
    if not isinstance(schema, dict | list | str):
        raise PacketCorrupt("the schema is not an AVRO schema")
    return schema


def full_name(schema: dict[str, Any], namespace: str) -> str:
    """Name a named type in full, as the specification says under "Names".

    Parameters
    ----------
    schema : dict
        A record, enum or fixed.
    namespace : str
        The namespace around it; empty for none.

    Returns
    -------
    str
        Namespace and name.

    Raises
    ------
    PacketCorrupt
        If it has no name, or one that is not text.
    """
    name, own = schema.get("name"), schema.get("namespace", namespace)
    if not isinstance(name, str) or not isinstance(own, str | None) or not name:
        raise PacketCorrupt("the schema has a type without a name")
    return name if "." in name or not own else f"{own}.{name}"


def namespace_of(name: str) -> str:
    """Cut the namespace out of a full name.

    Parameters
    ----------
    name : str
        A full name.

    Returns
    -------
    str
        All before the last dot.
    """
    return name.rpartition(".")[0]


def resolve_name(name: str, namespace: str) -> str:
    """Complete a reference to a named type.

    Parameters
    ----------
    name : str
        The name as it is used.
    namespace : str
        The namespace where it is used; empty for none.

    Returns
    -------
    str
        The full name.
    """
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _is_named(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return isinstance(kind, str) and kind in NAMED


def _children(schema: Schema) -> Iterator[Any]:
    if isinstance(schema, list):
        yield from schema
    elif isinstance(schema, dict):
        yield from (schema[key] for key in ("items", "values") if key in schema)
        fields = schema.get("fields")
        if isinstance(fields, list):
            yield from (field.get("type") for field in fields if isinstance(field, dict))


def _collect(schema: Schema, namespace: str, types: dict[str, tuple[dict[str, Any], str]], depth: int) -> None:
    """Note every named type of a schema, with the namespace around it."""
    if depth > MAX_DEPTH:
        raise PacketCorrupt("the schema is nested too deeply")
    if isinstance(schema, dict) and _is_named(schema):
        name = full_name(schema, namespace)
        types.setdefault(name, (schema, namespace))
        namespace = namespace_of(name)
    for child in _children(schema):
        _collect(child, namespace, types, depth + 1)


class _Assembler:
    """Writes each named type out where it is first used, and its full name from then on."""

    def __init__(self, types: dict[str, tuple[dict[str, Any], str]]) -> None:
        self._types = types
        self._written: set[str] = set()

    def write(self, schema: Any, namespace: str, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
        if depth > MAX_DEPTH:
            raise PacketCorrupt("the schema is nested too deeply")
        if isinstance(schema, str):
            return schema if schema in PRIMITIVES else self.write_name(resolve_name(schema, namespace), depth)
        if isinstance(schema, list):
            return [self.write(branch, namespace, depth + 1) for branch in schema]
        if not isinstance(schema, dict):
            raise PacketCorrupt("the schema is not an AVRO schema")
        if _is_named(schema):
            return self.write_name(full_name(schema, namespace), depth)
        return self._write_parts(schema, namespace, depth)

    def write_name(self, name: str, depth: int) -> Any:  # noqa: ANN401 - JSON
        if name in self._written:
            return name
        if name not in self._types:
            raise PacketCorrupt("the schema refers to a type that it does not have")
        self._written.add(name)
        # The name goes first and in full, so it means the same wherever the type now stands.
        schema = {key: value for key, value in self._types[name][0].items() if key not in {"name", "namespace"}}
        names = {"name": name.rpartition(".")[2], "namespace": namespace_of(name)}
        return names | self._write_parts(schema, namespace_of(name), depth)

    def _write_parts(self, schema: dict[str, Any], namespace: str, depth: int) -> dict[str, Any]:
        whole = dict(schema)
        for key in ("items", "values"):
            if key in whole:
                whole[key] = self.write(whole[key], namespace, depth + 1)
        if isinstance(whole.get("fields"), list):
            whole["fields"] = [
                field | {"type": self.write(field.get("type"), namespace, depth + 1)}
                if isinstance(field, dict)
                else field
                for field in whole["fields"]
            ]
        return whole


def assemble_schema(parts: Sequence[Schema], name: str) -> dict[str, Any]:
    """Put a schema together whose types are defined in several parts, as Rubin's are in several files.

    Parameters
    ----------
    parts : sequence of Schema
        The parts, in any order; of two definitions of one name, the first counts.
    name : str
        Full name of the record that is wanted.

    Returns
    -------
    dict
        One schema that refers to nothing outside itself.

    Raises
    ------
    PacketCorrupt
        If a type is missing or malformed.
    """
    types: dict[str, tuple[dict[str, Any], str]] = {}
    for part in parts:
        _collect(part, "", types, 0)
    whole: dict[str, Any] = _Assembler(types).write_name(name, 0)
    return whole


def record_of(schema: Schema) -> dict[str, Any]:
    """Find the record of a schema that may come as a list of named types with the record last.

    Parameters
    ----------
    schema : Schema
        A record, or `[named type, …, record]`.

    Returns
    -------
    dict
        The record, self-contained.

    Raises
    ------
    PacketCorrupt
        If it is neither.
    """
    if isinstance(schema, list) and schema and isinstance(schema[-1], dict):
        return assemble_schema(schema, full_name(schema[-1], ""))
    if isinstance(schema, dict):
        return schema
    raise PacketCorrupt("the schema is not that of a record")


def wire_id_of(schema: Schema) -> int | None:
    """Work out the id that Rubin gives a schema: namespace `lsst.v9_0` is schema id 900.

    Parameters
    ----------
    schema : Schema
        A record, or a list with the record last.

    Returns
    -------
    int or None
        100 times the major version plus the minor one; None for a namespace of another shape.

    Raises
    ------
    PacketCorrupt
        If it is not the schema of a record.
    """
    last = schema[-1] if isinstance(schema, list) and schema else schema
    if not isinstance(last, dict):
        raise PacketCorrupt("the schema is not that of a record")
    match = _RUBIN_NAMESPACE.fullmatch(namespace_of(full_name(last, "")))
    return int(match[1]) * 100 + int(match[2]) if match else None


def rubin_namespace(schema_id: int) -> str:
    """Name the namespace of one of Rubin's schema ids; the inverse of `wire_id_of`.

    Parameters
    ----------
    schema_id : int
        Such as 900.

    Returns
    -------
    str
        Such as `lsst.v9_0`.
    """
    return "lsst.v{}_{}".format(*divmod(schema_id, 100))
