"""Alerts into tables: DuckDB embedded, BigQuery beyond; a stream of them, or large amounts."""

from stamp_service.alert_ingestion.ingesting import batch_ingest_alerts, ingest, stream_ingest_alerts
from stamp_service.alert_ingestion.layouts import Columns
from stamp_service.alert_ingestion.opening import open_tables
from stamp_service.alert_ingestion.sources import SourcePacket, open_sources
from stamp_service.alert_ingestion.targets import StoreTarget, Tables, TableTarget, Target
from stamp_service.stores.outcomes import Outcome, Report

__all__ = [
    "Columns",
    "Outcome",
    "Report",
    "SourcePacket",
    "StoreTarget",
    "TableTarget",
    "Tables",
    "Target",
    "batch_ingest_alerts",
    "ingest",
    "open_sources",
    "open_tables",
    "stream_ingest_alerts",
]
