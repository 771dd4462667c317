"""Columns of BigQuery tables, and rows as BigQuery's JSON.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema
"""

import base64
import math
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stamp_service.alert_ingestion.extras import Untyped, extra
from stamp_service.errors import PacketCorrupt

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.bigquery import SchemaField

# The API answers with the older names, whichever a table was made with.
_OLDER_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
# https://cloud.google.com/bigquery/docs/schemas#column_names
_RESERVED = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_")
_NUMERIC_DIGITS = 29, 9  # before and after the point
# Beyond this, numbers in JSON are not whole numbers any more.
_MAX_JSON_INTEGER = 2**53


def bigquery_schema(schema: "pa.Schema") -> list["SchemaField"]:
    """Translate a table's columns.

    Parameters
    ----------
    schema : pyarrow.Schema
        The columns.

    Returns
    -------
    list of google.cloud.bigquery.SchemaField
        The same for BigQuery; nothing is required.

    Raises
    ------
    PacketCorrupt
        If BigQuery has no such column: a map, a list of lists, or a name that it keeps for itself.
    ConfigurationError
        If google-cloud-bigquery is not installed.
    """
    return [_field(field.name, field.type) for field in schema]


def _field(name: str, kind: Untyped) -> "SchemaField":
    bigquery, types = extra("google.cloud.bigquery", "bigquery"), extra("pyarrow.types")
    if name.casefold().startswith(_RESERVED):
        raise PacketCorrupt("the packet's schema has a field whose name BigQuery keeps for itself")
    mode = "NULLABLE"
    if types.is_list(kind):
        mode, kind = "REPEATED", kind.value_type
    fields = tuple(_field(field.name, field.type) for field in kind) if types.is_struct(kind) else ()
    made: SchemaField = bigquery.SchemaField(name, _type(kind), mode, fields=fields)
    return made


def _type(kind: Untyped) -> str:
    types = extra("pyarrow.types")
    if types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    if types.is_decimal(kind):
        digits, scale = _NUMERIC_DIGITS
        return "NUMERIC" if kind.scale <= scale and kind.precision - kind.scale <= digits else "BIGNUMERIC"
    named = {
        "INTEGER": types.is_integer,
        "FLOAT": types.is_floating,
        "BOOLEAN": types.is_boolean,
        "STRING": types.is_string,
        "BYTES": types.is_binary,
        "RECORD": types.is_struct,
        "DATE": types.is_date,
        "TIME": types.is_time,
    }
    for name, is_such in named.items():
        if is_such(kind):
            return name
    raise PacketCorrupt("the packet's schema has a map or a list of lists, which no BigQuery column can have")


def grow_fields(present: Sequence["SchemaField"], incoming: Sequence["SchemaField"]) -> list["SchemaField"]:
    """Add the columns that a table lacks, at any depth.

    Parameters
    ----------
    present : sequence of google.cloud.bigquery.SchemaField
        The table's.
    incoming : sequence of google.cloud.bigquery.SchemaField
        Those of rows to come.

    Returns
    -------
    list of google.cloud.bigquery.SchemaField
        The table's in their order, then new ones; equal to the table's if there are none.

    Raises
    ------
    PacketCorrupt
        If two have one name and unlike types.
    """
    new = {field.name.casefold(): field for field in incoming}
    grown = []
    for field in present:
        other = new.pop(field.name.casefold(), None)
        grown.append(field if other is None else _grow_field(field, other))
    return grown + list(new.values())


def _grow_field(present: "SchemaField", incoming: "SchemaField") -> "SchemaField":
    kind = _OLDER_NAMES.get(present.field_type, present.field_type)
    repeated = present.mode == "REPEATED", incoming.mode == "REPEATED"
    if present.name != incoming.name or kind != incoming.field_type or repeated[0] != repeated[1]:
        raise PacketCorrupt("the packet's schema has a field that is of an unlike type in the table")
    fields = grow_fields(present.fields, incoming.fields)
    if fields == list(present.fields):
        return present
    made: SchemaField = type(present).from_api_repr(
        present.to_api_repr() | {"fields": [field.to_api_repr() for field in fields]}
    )
    return made


def json_row(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row as BigQuery's JSON: nothing for null, text for what JSON has no number for.

    Parameters
    ----------
    row : dict
        Names to values, nested.

    Returns
    -------
    dict
        The same for `json.dumps`.

    Raises
    ------
    ValueError
        If a list holds a null, which BigQuery's lists cannot.
    """
    return {name: _json_value(value) for name, value in row.items() if value is not None}


def _json_value(value: Any) -> Any:  # noqa: ANN401 - any value of a packet, and its JSON
    if isinstance(value, dict):
        return json_row(value)
    if isinstance(value, list):
        if None in value:
            raise ValueError("a list holds a null, which BigQuery's lists cannot")
        return [_json_value(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value if _is_json(value) else str(value)


def _is_json(value: object) -> bool:
    """Say whether JSON has this value; Google's own client writes NaN and infinities as text, too."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) <= _MAX_JSON_INTEGER
    return not isinstance(value, Decimal)
