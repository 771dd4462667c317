"""Rows of the real lakes, as often as a test or a benchmark wants them, each with ids of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Ids of one file differ by less; int64 holds a hundred copies of ZTF's largest, and they are 19 digits then too.
_STEP = 1_000_003
# ZTF objects have seven letters.
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def replicate(file: Path, copies: int) -> pa.Table:
    """Repeat the rows of one of Fink's files, with distinct alert ids, object ids and cutouts.

    Parameters
    ----------
    file : Path
        The file.
    copies : int
        How often.

    Returns
    -------
    pyarrow.Table
        Copy after copy.
    """
    table = pq.read_table(file)
    change = _change_ztf if "candid" in table.column_names else _change_rubin
    return pa.concat_tables([_change_cutouts(change(table, copy), copy) for copy in range(copies)])


def _change_ztf(table: pa.Table, copy: int) -> pa.Table:
    shifted = pc.add(table["candid"], copy * _STEP)
    first = 67 * copy
    names = pa.array([_ztf_name(first + row) for row in range(len(table))])
    table = table.set_column(table.schema.get_field_index("candid"), "candid", shifted)
    table = table.set_column(table.schema.get_field_index("objectId"), "objectId", names)
    return _set_fields(table, "candidate", {"candid": shifted.combine_chunks()})


def _ztf_name(number: int) -> str:
    digits = [number // 26**power % 26 for power in range(6, -1, -1)]
    return "ZTF25" + "".join(_LETTERS[digits])


def _change_cutouts(table: pa.Table, copy: int) -> pa.Table:
    """Make cutouts unlike those of other copies, or Parquet writers make dictionaries of them."""
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        if pa.types.is_struct(table.schema.field(name).type):
            stamps = table[name].combine_chunks().field("stampData").to_pylist()
            # Bytes 4 to 7 of a gzip file are when it was made (RFC 1952).
            marked = [_overwrite(stamp, 4, copy) for stamp in stamps]
            table = _set_fields(table, name, {"stampData": pa.array(marked, pa.binary())})
        else:
            # FITS files end in filling.
            marked = [_overwrite(stamp, -4, copy) for stamp in table[name].to_pylist()]
            column = pa.array(marked, pa.binary())
            table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _overwrite(stamp: bytes | None, position: int, number: int) -> bytes | None:
    if not stamp:
        return stamp
    changed = bytearray(stamp)
    position %= len(stamp)
    changed[position : position + 4] = number.to_bytes(4, "big")
    return bytes(changed)


def _change_rubin(table: pa.Table, copy: int) -> pa.Table:
    source = table["diaSource"].combine_chunks()
    ids = {name: pc.add(source.field(name), copy * _STEP) for name in ("diaSourceId", "diaObjectId")}
    table = _set_fields(table, "diaSource", ids)
    return _set_fields(table, "diaObject", {"diaObjectId": ids["diaObjectId"]})


def _set_fields(table: pa.Table, name: str, values: dict[str, Any]) -> pa.Table:
    """Replace fields of a column of structs."""
    column = table[name].combine_chunks()
    fields = [values.get(field.name, column.field(field.name)) for field in column.type]
    changed = pa.StructArray.from_arrays(fields, fields=list(column.type), mask=column.is_null())
    return table.set_column(table.schema.get_field_index(name), name, changed)


def write_source(table: pa.Table, path: Path) -> None:
    """Write a table so that Spark can read it, timestamps included."""
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)
