"""Alerts into tables, and whatever else takes them: a batch at a time, and as often as one likes."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Literal

from tqdm import tqdm

from stamp_service.alert_ingestion.layouts import DEFAULT_COLUMNS, Columns
from stamp_service.alert_ingestion.opening import Warehouse, open_tables
from stamp_service.alert_ingestion.sources import SourcePacket, numbered
from stamp_service.alert_ingestion.targets import TableTarget, Target
from stamp_service.errors import PacketCorrupt, RequestError, StampServiceError, TooLarge
from stamp_service.packets import MAX_PACKET_BYTES, Alert, SchemaLookup, recognise
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import open_schemas
from stamp_service.stores.outcomes import Outcome, Report, outcome_of
from stamp_service.surveys import Surveys, load_surveys
from stamp_service.ztf_archive import iter_alerts

# Packets that may wait for a batch to be full.
_BATCH_BYTES = 128 * 1024 * 1024


def ingest(
    packets: Iterable[SourcePacket],
    target: Target,
    surveys: Surveys,
    schemas: SchemaLookup | None = None,
    *,
    num_alerts: int = 1000,
    max_packet_bytes: int = MAX_PACKET_BYTES,
) -> Iterator[Outcome]:
    """Put packets of any surveys into a target.

    Parameters
    ----------
    packets : iterable of SourcePacket
        The packets.
    target : Target
        Where to.
    surveys : Surveys
        The surveys that they may be of.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    num_alerts : int
        How many at a time, at most.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.

    Yields
    ------
    Outcome
        What became of each packet, once that is for good.

    Raises
    ------
    RequestError
        If `num_alerts` is not positive.
    StoreUnavailable
        If the target cannot be written to, or a schema could not be looked up. The same packets again are right.
    StampServiceError
        What the packets end with, once those before it are in.
    """
    if num_alerts < 1:
        raise RequestError("num_alerts is not a positive number", "num_alerts")
    batch: list[tuple[Alert, str]] = []
    size_bytes = 0
    failures: list[StampServiceError] = []
    for packet, name in _until_failure(packets, failures):
        try:
            batch.append((recognise(surveys, packet, schemas, max_packet_bytes), name))
            size_bytes += len(packet)
        except (PacketCorrupt, TooLarge) as error:
            yield outcome_of(error, name)
        if len(batch) >= num_alerts or size_bytes >= _BATCH_BYTES:
            yield from _add(target, batch)
            batch, size_bytes = [], 0
    if batch:
        yield from _add(target, batch)
    if failures:
        raise failures[0]


def _until_failure(packets: Iterable[SourcePacket], failures: list[StampServiceError]) -> Iterator[SourcePacket]:
    """Read packets, and note what ends it early: those that wait for their batch to be full are whole."""
    try:
        yield from packets
    except StampServiceError as error:
        failures.append(error)


def _add(target: Target, batch: list[tuple[Alert, str]]) -> list[Outcome]:
    outcomes = target.add([alert for alert, _ in batch])
    return [replace(outcome, name=name) for outcome, (_, name) in zip(outcomes, batch, strict=True)]


def stream_ingest_alerts(
    num_alerts: int = 10,
    verbose: bool = False,
    *,
    packets: Iterable[bytes] | None = None,
    to: Warehouse | None = None,
    columns: Columns = DEFAULT_COLUMNS,
    settings: Settings | None = None,
) -> Report:
    """Put alerts into tables through the interface for streams: they can be queried at once.

    Parameters
    ----------
    num_alerts : int
        How many at a time, at most.
    verbose : bool
        Whether to show a progress bar.
    packets : iterable of bytes, optional
        Packets of any surveys; the local ZTF alerts, as `ztf_archive.iter_alerts` reads them, if none are given.
    to : {'duckdb', 'bigquery'}, optional
        Which tables; BigQuery's where a project is set, and DuckDB's otherwise.
    columns : Columns
        Whether the tables get history and cutouts.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    Report
        How many were added, were there already, and were refused and why.

    Raises
    ------
    RequestError
        If `num_alerts` is not positive.
    NotFound
        If no packets are given and there is no alert on this machine.
    ConfigurationError
        If a package or a setting is missing.
    StoreUnavailable
        If the tables cannot be written to. What was added stays, and the same alerts again are right.
    """
    return _ingest_alerts(
        num_alerts,
        verbose=verbose,
        mode="stream",
        packets=packets,
        to=to,
        columns=columns,
        settings=settings,
    )


def batch_ingest_alerts(
    num_alerts: int = 10,
    verbose: bool = False,
    *,
    packets: Iterable[bytes] | None = None,
    to: Warehouse | None = None,
    columns: Columns = DEFAULT_COLUMNS,
    settings: Settings | None = None,
) -> Report:
    """Put alerts into tables through the interface for large amounts: BigQuery's load jobs.

    In DuckDB this is the same as `stream_ingest_alerts`. The more alerts at a time, the faster: a load job takes
    seconds, and BigQuery allows 1,500 a day for a table.

    Parameters
    ----------
    num_alerts : int
        How many at a time, at most.
    verbose : bool
        Whether to show a progress bar.
    packets : iterable of bytes, optional
        Packets of any surveys; the local ZTF alerts, as `ztf_archive.iter_alerts` reads them, if none are given.
    to : {'duckdb', 'bigquery'}, optional
        Which tables; BigQuery's where a project is set, and DuckDB's otherwise.
    columns : Columns
        Whether the tables get history and cutouts.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    Report
        How many were added, were there already, and were refused and why.

    Raises
    ------
    RequestError
        If `num_alerts` is not positive.
    NotFound
        If no packets are given and there is no alert on this machine.
    ConfigurationError
        If a package or a setting is missing.
    StoreUnavailable
        If the tables cannot be written to. What was added stays, and the same alerts again are right.
    """
    return _ingest_alerts(
        num_alerts,
        verbose=verbose,
        mode="batch",
        packets=packets,
        to=to,
        columns=columns,
        settings=settings,
    )


def _ingest_alerts(
    num_alerts: int,
    *,
    verbose: bool,
    mode: Literal["stream", "batch"],
    packets: Iterable[bytes] | None,
    to: Warehouse | None,
    columns: Columns,
    settings: Settings | None,
) -> Report:
    settings = settings or load_settings()
    surveys = load_surveys(settings.surveys_dir)
    report = Report()
    if packets is None:
        packets = iter_alerts(raw=True, settings=settings)
    with (
        closing(TableTarget(open_tables(settings, to, mode), columns)) as target,
        tqdm(unit="alert", disable=not verbose, leave=False) as bar,
    ):
        for outcome in ingest(
            numbered(packets),
            target,
            surveys,
            open_schemas(settings),
            num_alerts=num_alerts,
            max_packet_bytes=settings.max_packet_bytes,
        ):
            report.count(outcome)
            bar.update()
    return report
