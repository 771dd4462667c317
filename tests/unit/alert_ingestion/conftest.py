"""Real alerts, tables that are compared with them, and packets of odd schemas."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stamp_service.alert_ingestion import Columns, TableTarget
from stamp_service.alert_ingestion.duckdb_tables import DuckDbTables
from stamp_service.alert_ingestion.layouts import DEFAULT_COLUMNS
from stamp_service.packets import recognise
from stamp_service.surveys import Surveys


@pytest.fixture(scope="session")
def packets(shared_data: Path) -> list[bytes]:
    """All real alerts in container files."""
    files = sorted((shared_data / "alerts").rglob("*.avro"))
    assert len(files) > 100
    return [file.read_bytes() for file in files]


@pytest.fixture(scope="session")
def some_packets(packets: list[bytes], surveys: Surveys) -> list[bytes]:
    """Two of each survey and version of its schema."""
    kinds: dict[Any, list[bytes]] = {}
    for packet in packets:
        alert = recognise(surveys, packet)
        kinds.setdefault((alert.survey.name, str(alert.packet.get("schemavsn"))), []).append(packet)
    return [packet for kind in kinds.values() for packet in kind[:2]]


@pytest.fixture
def ingest_all(surveys: Surveys) -> Callable[..., list[Any]]:
    """Put packets into the tables of a file."""

    def run(path: Path, packets: list[bytes], columns: Columns = DEFAULT_COLUMNS, size: int = 25) -> list[Any]:
        with closing(TableTarget(DuckDbTables(path), columns)) as target:
            alerts = [recognise(surveys, packet) for packet in packets]
            parts = [alerts[start : start + size] for start in range(0, len(alerts), size)]
            return [outcome for part in parts for outcome in target.add(part)]

    return run


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file of tables as its users do."""
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


def rows_of(path: Path, survey: str) -> dict[Any, dict[str, Any]]:
    """Read a table's rows by alert id."""
    with opened(path) as connection:
        rows = connection.sql(f'FROM "{survey}"').to_arrow_table().to_pylist()
    by_id = {row["alert_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def differences(row: Any, truth: Any, path: str = "") -> list[str]:
    """List where a row differs from a record; what only other records have must be null."""
    if isinstance(row, dict) and isinstance(truth, dict):
        missing = [f"{path}.{name} is missing" for name in truth.keys() - row.keys()]
        return missing + [
            found for name in row for found in differences(row[name], truth.get(name), f"{path}.{name}")
        ]
    if isinstance(row, list) and isinstance(truth, list) and len(row) == len(truth):
        pairs = enumerate(zip(row, truth, strict=True))
        return [found for number, pair in pairs for found in differences(*pair, f"{path}[{number}]")]
    if isinstance(row, float) and isinstance(truth, float) and math.isnan(row) and math.isnan(truth):
        return []
    return [] if row == truth and type(row) is type(truth) else [f"{path}: {row!r} is not {truth!r}"]
