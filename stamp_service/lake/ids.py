"""The ids and times of a file's rows, read through pyarrow without touching the cutouts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.columns import Footer
from stamp_service.lake.extras import Untyped, extra
from stamp_service.lake.lake_file import parquet_faults
from stamp_service.surveys.definition import MAX_ID_LENGTH

# Stands for "null" among 64-bit ids; no survey's pattern allows a negative one.
NO_ID = -(2**63)


@dataclass(frozen=True)
class Ids:
    """The ids and times of a file's rows, each an array of shape (n_rows,).

    Parameters
    ----------
    alerts, objects : ndarray
        int64 (`NO_ID` for null) or fixed-width bytes (empty for null).
    times : ndarray of float64
        Times as in the file, NaN for null.
    """

    alerts: npt.NDArray[Any]
    objects: npt.NDArray[Any]
    times: npt.NDArray[np.float64]


def read_ids(footer: Footer) -> Ids:
    """Read the ids and times of all rows.

    Parameters
    ----------
    footer : Footer
        The file's footer.

    Returns
    -------
    Ids
        The ids and times.

    Raises
    ------
    PacketCorrupt
        If they are damaged, or no ids.
    FileChanged
        If the file is another version.
    """
    source, rows = footer.source, footer.rows
    object_id, time = footer.object_id, footer.time
    with parquet_faults():
        alerts = _ids_array(source, footer.alert_id.path)
        objects = np.zeros(rows, "S1") if object_id is None else _ids_array(source, object_id.path)
        times = np.full(rows, np.nan) if time is None else _times_array(source, time.path)
    if not len(alerts) == len(objects) == len(times) == rows:
        raise PacketCorrupt("the Parquet file's number of rows is wrong")
    return Ids(alerts, objects, times)


def only_leaf(column: Untyped) -> Untyped:
    """Step down through structs to the only leaf that was read of a column.

    Parameters
    ----------
    column : pyarrow.ChunkedArray or pyarrow.Array
        A column of which one leaf was asked for.

    Returns
    -------
    pyarrow.ChunkedArray or pyarrow.Array
        The leaf; null where a struct above it is.
    """
    types, compute = extra("pyarrow.types"), extra("pyarrow.compute")
    while types.is_struct(column.type):
        column = compute.struct_field(column, [0])
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column


def _values(source: Untyped, path: str) -> Untyped:
    return only_leaf(source.read(columns=[path], use_threads=False).column(0))


def _times_array(source: Untyped, path: str) -> npt.NDArray[np.float64]:
    column = _values(source, path).cast("float64")
    times: npt.NDArray[np.float64] = column.fill_null(float("nan")).to_numpy()
    return times


def _ids_array(source: Untyped, path: str) -> npt.NDArray[Any]:
    types, column = extra("pyarrow.types"), _values(source, path)
    if types.is_integer(column.type):
        numbers: npt.NDArray[np.int64] = column.cast("int64").fill_null(NO_ID).to_numpy()
        return numbers
    try:
        texts = column.cast("binary").fill_null(b"").to_pylist()
    except NotImplementedError:  # what pyarrow says of types that are no text
        raise PacketCorrupt(f"the Parquet file's column {path} holds no ids") from None
    # Fixed-width arrays cannot tell zero bytes at an id's end from filling.
    if any(len(text) > MAX_ID_LENGTH or b"\0" in text for text in texts):
        raise PacketCorrupt(f"the Parquet file's column {path} holds texts that are no ids")
    return np.array(texts, "S") if texts else np.zeros(0, "S1")
