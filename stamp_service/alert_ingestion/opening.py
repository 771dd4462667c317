"""The tables that the settings name."""

from typing import Literal

from stamp_service.alert_ingestion.bigquery_tables import BigQueryTables, Mode
from stamp_service.alert_ingestion.duckdb_tables import DuckDbTables
from stamp_service.alert_ingestion.targets import Tables
from stamp_service.settings import Settings

DUCKDB_FILE = "stamps.duckdb"
Warehouse = Literal["duckdb", "bigquery"]


def open_tables(settings: Settings, to: Warehouse | None = None, mode: Mode = "stream") -> Tables:
    """Open tables.

    Parameters
    ----------
    settings : Settings
        The settings.
    to : {'duckdb', 'bigquery'}, optional
        Which; BigQuery's where a project is set, and DuckDB's otherwise.
    mode : {'stream', 'batch'}
        Through which of BigQuery's interfaces rows are put in.

    Returns
    -------
    Tables
        The tables.

    Raises
    ------
    ConfigurationError
        If a package or a setting is missing.
    StoreUnavailable
        If they cannot be opened.
    """
    if to == "bigquery" or (to is None and settings.bigquery_project is not None):
        return BigQueryTables.from_settings(settings, mode)
    return DuckDbTables(settings.data_dir / DUCKDB_FILE)
