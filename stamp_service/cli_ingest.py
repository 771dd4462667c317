"""The `stamp-service ingest` command: alerts into tables, lakes and stores."""

import sys
import time
from contextlib import closing
from typing import Literal, NoReturn, get_args

import click
from tqdm import tqdm

from stamp_service.alert_ingestion import (
    Columns,
    StoreTarget,
    TableTarget,
    Target,
    ingest,
    open_sources,
    open_tables,
)
from stamp_service.alert_ingestion.lake_target import LakeTarget
from stamp_service.alert_ingestion.sources import Source
from stamp_service.index import open_index
from stamp_service.lake.lakes import lake_access
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import SchemaSource, open_schemas, open_stores
from stamp_service.stores.outcomes import Outcome, Report
from stamp_service.surveys import Surveys, load_surveys

Destination = Literal["duckdb", "bigquery", "lake", "store"]
# Few large batches are quick, and what waits for a batch to be full fits in memory.
_BATCH = {"duckdb": 1000, "bigquery": 5000, "lake": 2000, "store": 256}
_STREAM_BATCH = 500
_NOT_READ = "it was passed over in its source"


@click.command("ingest")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--to", required=True, type=click.Choice(get_args(Destination)), help="Where to.")
@click.option("--survey", "survey_name", help="The survey of them all, if it shall not be recognised.")
@click.option("--history/--no-history", default=True, help="Tables: with earlier measurements, or without.")
@click.option("--cutouts/--no-cutouts", default=False, help="Tables: with the FITS files, or without.")
@click.option("--stream", is_flag=True, help="BigQuery: through the interface for streams, not by load jobs.")
@click.option("--lake", "lake_url", help="Where the lakes are; by default the folder `lake` of the data folder.")
@click.option("--batch", "num_alerts", type=click.IntRange(min=1), help="How many alerts at a time.")
@click.pass_context
def ingest_alerts(
    context: click.Context,
    *,
    sources: tuple[str, ...],
    to: Destination,
    survey_name: str | None,
    history: bool,
    cutouts: bool,
    stream: bool,
    lake_url: str | None,
    num_alerts: int | None,
) -> None:
    """Put the alerts of each SOURCE into DuckDB or BigQuery tables, Parquet lakes, or the stores.

    A SOURCE is a file of a packet, a folder with all that is in it, an archive of packets (.tar.gz, .tar), the
    date of a downloaded night (2018-06-26), `store` for all that is in the stores, or `store:SURVEY`.

    Running this again changes nothing, so a run that was interrupted is simply started again. What is refused is
    named on standard error, and the exit status is 1.
    """
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    found = open_sources(sources, settings, surveys)
    candidates = surveys if survey_name is None else Surveys([surveys.named(survey_name, "--survey")])
    schemas = open_schemas(settings)
    report = Report()
    target = _open(to, settings, surveys, schemas, Columns(history, cutouts), stream=stream, lake_url=lake_url)
    size = num_alerts or (_STREAM_BATCH if stream else _BATCH[to])
    started_s = time.monotonic()
    with closing(target), _bar(found) as bar:
        for source in found:
            _ingest(source, target, settings, candidates, schemas, report=report, bar=bar, num_alerts=size)
    seconds = max(time.monotonic() - started_s, 1e-3)
    click.echo(f"{report}; {report.total / seconds:.0f} alerts/s")
    context.exit(1 if report.states["refused"] else 0)


def _bar(sources: list[Source]) -> "tqdm[NoReturn]":
    counts = [source.count for source in sources]
    total = None if None in counts else sum(count or 0 for count in counts)
    return tqdm(total=total, unit="alert", disable=None, leave=False)


def _open(
    to: Destination,
    settings: Settings,
    surveys: Surveys,
    schemas: SchemaSource,
    columns: Columns,
    *,
    stream: bool,
    lake_url: str | None,
) -> Target:
    if to == "store":
        return StoreTarget(
            Resolver(
                open_stores(settings, surveys),
                schemas,
                index=open_index(settings),
                max_packet_bytes=settings.max_packet_bytes,
            )
        )
    if to == "lake":
        root = lake_url or str(settings.data_dir / "lake")
        return LakeTarget(root, lake_access(settings), schemas, settings.max_packet_bytes)
    return TableTarget(open_tables(settings, to, "stream" if stream else "batch"), columns)


def _ingest(
    source: Source,
    target: Target,
    settings: Settings,
    surveys: Surveys,
    schemas: SchemaSource,
    *,
    report: Report,
    bar: "tqdm[NoReturn]",
    num_alerts: int,
) -> None:
    def tell(outcome: Outcome) -> None:
        report.count(outcome)
        if outcome.state == "refused":
            tqdm.write(f"refused {outcome.name}: {outcome.reason}", file=sys.stderr)

    def refuse(name: str, reason: str) -> None:
        tell(Outcome("refused", reason, _NOT_READ, name))

    for outcome in ingest(
        source.read(refuse),
        target,
        surveys,
        schemas,
        num_alerts=num_alerts,
        max_packet_bytes=settings.max_packet_bytes,
    ):
        tell(outcome)
        bar.update()
