"""Parquet files for the lake's tests, and what pyarrow reads from them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stamp_service.lake.local import LocalFiles
from stamp_service.surveys import Surveys
from stamp_service.surveys.definition import KINDS, Kind, Survey

REAL = {"ztf": "fink_ztf_datatest.snappy.parquet", "lsst": "fink_lsst_or4_v7.1.snappy.parquet"}


def cutout_column(survey: Survey, kind: Kind) -> str:
    """Name the column of a kind as the real files have it."""
    return survey.cutouts[kind].fields[0]


def expected(path: Path, survey: Survey) -> list[dict[Kind, bytes]]:
    """Read the cutouts of every row with pyarrow: those that are not null."""
    table = pq.ParquetFile(path).read([cutout_column(survey, kind) for kind in KINDS])
    columns = {}
    for kind in KINDS:
        head, *tail = cutout_column(survey, kind).split(".")
        values = table[head].to_pylist()
        for name in tail:
            values = [None if value is None else value[name] for value in values]
        columns[kind] = values
    return [
        {kind: values[row] for kind, values in columns.items() if values[row] is not None}
        for row in range(table.num_rows)
    ]


def ztf_table(cutouts: dict[Kind, list[bytes | None]], *, nested: bool = True) -> pa.Table:
    """Make a table as Fink's ZTF lake has it, of cutouts that may be null; structs may be null instead."""
    rows = len(cutouts["science"])
    columns = {
        "candid": pa.array([1000 + row for row in range(rows)], pa.int64()),
        "objectId": pa.array([f"ZTF18{row % 7:07d}" for row in range(rows)]),
        "candidate": pa.array([{"jd": 2459000.5 - row} for row in range(rows)], pa.struct([("jd", pa.float64())])),
    }
    for kind, values in cutouts.items():
        structs = [
            None if value is None and nested and row % 2 else {"fileName": "f", "stampData": value}
            for row, value in enumerate(values)
        ]
        kind_type = pa.struct([("fileName", pa.string()), ("stampData", pa.binary())])
        columns[f"cutout{kind.capitalize()}"] = pa.array(structs, kind_type)
    return pa.table(columns)


def write(path: Path, table: pa.Table, **options: object) -> None:
    """Write a table as Spark does, unless the options say otherwise."""
    spark = {"compression": "snappy", "use_dictionary": False, "data_page_version": "1.0"}
    pq.write_table(table, path, **(spark | options))


def open_file(path: Path, surveys: Surveys, name: str) -> tuple:
    """Return what building an index and reading take: file system, path, version, survey."""
    files = LocalFiles(path.parent)
    return files, path.name, files.version(path.name), surveys[name]
