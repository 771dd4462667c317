"""Which columns the alerts of one schema have in a table, and how columns grow with new schemas."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stamp_service.alert_ingestion.extras import Untyped, extra
from stamp_service.errors import PacketCorrupt
from stamp_service.lake.arrow_schema import arrow_schema
from stamp_service.packets import Schema
from stamp_service.surveys import Survey

if TYPE_CHECKING:
    import pyarrow as pa

# The first column of every table: the alert's id, a number where the survey's ids are numbers.
KEY = "alert_id"
# https://avro.apache.org/docs/1.12.0/specification/#names, and BigQuery's limit of their length
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns a table gets besides those of the alerts' measurements.

    Parameters
    ----------
    history : bool
        Earlier measurements of the object: all lists of records, such as ZTF's `prv_candidates` and `fp_hists`.
    cutouts : bool
        The FITS files.
    """

    history: bool = True
    cutouts: bool = False


DEFAULT_COLUMNS = Columns()


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of alerts of one schema.

    Parameters
    ----------
    schema : pyarrow.Schema
        The id, then the packet's fields in order, but those that were not chosen.
    chosen : tuple of str
        Names of the columns that are there by choice, and that rows of other runs may lack.
    """

    schema: "pa.Schema"
    chosen: tuple[str, ...]


def layout_of(survey: Survey, schema: Schema, columns: Columns) -> Layout:
    """Derive a table's columns from the schema of a packet.

    Parameters
    ----------
    survey : Survey
        The survey.
    schema : Schema
        The packet's schema, self-contained.
    columns : Columns
        What is chosen.

    Returns
    -------
    Layout
        The columns.

    Raises
    ------
    PacketCorrupt
        If the schema has a type that no column can have, names that differ in case only, or a field of the name
        of the id's column that is not the id.
    ConfigurationError
        If pyarrow is not installed.
    """
    arrow = extra("pyarrow")
    fields = [arrow.field(KEY, arrow.int64() if survey.alert_id.type == "int64" else arrow.string())]
    chosen = []
    for field in arrow_schema(schema):
        is_cutout = field.name in survey.cutout_roots
        if is_cutout or _is_history(field.type):
            if not (columns.cutouts if is_cutout else columns.history):
                continue
            chosen.append(field.name)
        # Where the packet calls its id as the column is called, they are one.
        if field.name != KEY or KEY not in survey.alert_id.fields:
            fields.append(field)
    _check_names(fields)
    return Layout(arrow.schema(fields), tuple(chosen))


def _is_history(kind: Untyped) -> bool:
    types = extra("pyarrow.types")
    return bool(types.is_list(kind) and types.is_struct(kind.value_type))


def _check_names(fields: list[Untyped]) -> None:
    """Refuse names that AVRO does not allow, and those that tables cannot tell apart: the same in either case."""
    if not all(_NAME.fullmatch(field.name) for field in fields):
        raise PacketCorrupt("the packet's schema has a field whose name is none")
    if len({field.name.casefold() for field in fields}) < len(fields):
        raise PacketCorrupt("the packet's schema has fields that a table cannot tell apart by their names")
    for field in fields:
        _check_nested(field.type)


def _check_nested(kind: Untyped) -> None:
    types = extra("pyarrow.types")
    if types.is_struct(kind):
        _check_names(list(kind))
    elif types.is_list(kind):
        _check_nested(kind.value_type)
    elif types.is_map(kind):
        _check_nested(kind.item_type)


def grow(present: "pa.Schema", incoming: "pa.Schema") -> "pa.Schema":
    """Make the schema that holds what a table has and what is to come: by name, at any depth.

    Parameters
    ----------
    present : pyarrow.Schema
        The table's.
    incoming : pyarrow.Schema
        That of rows to come.

    Returns
    -------
    pyarrow.Schema
        The table's columns in their order, then new ones. Integers and floats are as wide as the wider one.

    Raises
    ------
    PacketCorrupt
        If two have one name and unlike types, or names that differ in case only.
    """
    arrow = extra("pyarrow")
    fields = _grow_fields(list(present), list(incoming))
    _check_names(fields)
    return arrow.schema(fields)


def _grow_fields(present: list[Untyped], incoming: list[Untyped]) -> list[Untyped]:
    arrow = extra("pyarrow")
    new = {field.name: field for field in incoming}
    grown = []
    for field in present:
        other = new.pop(field.name, None)
        grown.append(field if other is None else arrow.field(field.name, _grow_type(field.type, other.type)))
    return grown + list(new.values())


def _grow_type(present: Untyped, incoming: Untyped) -> Untyped:
    arrow, types = extra("pyarrow"), extra("pyarrow.types")
    if types.is_struct(present) and types.is_struct(incoming):
        return arrow.struct(_grow_fields(list(present), list(incoming)))
    if types.is_list(present) and types.is_list(incoming):
        # What a list's items are called is nobody's concern, and differs.
        return arrow.list_(arrow.field("element", _grow_type(present.value_type, incoming.value_type)))
    if types.is_map(present) and types.is_map(incoming):
        return arrow.map_(arrow.string(), _grow_type(present.item_type, incoming.item_type))
    if types.is_timestamp(present) and types.is_timestamp(incoming) and bool(present.tz) == bool(incoming.tz):
        return incoming
    if present == incoming:
        return present
    both = {present, incoming}
    for wider in ({arrow.int32(), arrow.int64()}, {arrow.float32(), arrow.float64()}):
        if both == wider:
            return arrow.int64() if arrow.int64() in both else arrow.float64()
    raise PacketCorrupt("the packet's schema has a field that is of an unlike type in the table")
