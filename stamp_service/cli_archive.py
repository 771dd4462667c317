"""The `stamp-service archive` commands: the ZTF public archive's nights."""

import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click
from tqdm import tqdm

from stamp_service.errors import NotFound
from stamp_service.index import open_index
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import SchemaSource, open_schemas, open_stores
from stamp_service.stores.outcomes import Report
from stamp_service.surveys import Surveys, load_surveys
from stamp_service.ztf_archive import (
    add_night,
    download_data_date,
    download_recent_data,
    get_local_release_list,
    list_releases,
    nights_folder,
    release_name,
)

_DATE_FORMATS = ["%Y-%m-%d", "%Y%m%d"]


@click.group()
def archive() -> None:
    """Nights of the ZTF public archive: list, download, and put into the store."""


@archive.command("list")
@click.option("--local", is_flag=True, help="Only those that are here; asks no server.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many, the newest.")
def list_nights(local: bool, limit: int | None) -> None:
    """List the nights that have alerts, newest first.

    With their sizes; `*` marks those that are here.
    """
    settings = load_settings()
    here = get_local_release_list(settings=settings)
    if local:
        sizes: dict[str, int | None] = {name: (nights_folder(settings) / name).stat().st_size for name in here}
    else:
        sizes = {release.name: release.size_bytes for release in list_releases(settings=settings)}
    for name, size_bytes in list(sizes.items())[:limit]:
        click.echo(f"{'*' if name in here else ' '} {name}  {_shown(size_bytes):>7}")


def _shown(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{tqdm.format_sizeof(size_bytes, divisor=1024)}B"


@archive.command("download")
@click.argument("dates", nargs=-1, type=click.DateTime(_DATE_FORMATS), metavar="[DATE]...")
@click.option(
    "--recent", type=click.IntRange(min=1), help="The newest so many nights, except those that are here."
)
@click.option("--stop-on-exist", is_flag=True, help="With --recent: end at the first night that is here.")
def download(dates: tuple[datetime, ...], recent: int | None, stop_on_exist: bool) -> None:
    """Download nights.

    By date (2018-06-26), or the newest ones; the newest one if nothing is said. A download that was cut goes on
    where it ended. A night is here once its length and checksum are right.
    """
    if dates and recent is not None:
        raise click.UsageError("name dates or --recent, not both")
    settings = load_settings()
    if dates:
        for date in dates:
            path = download_data_date(date.year, date.month, date.day, settings=settings)
            click.echo(f"downloaded {path.name}")
        return
    paths = download_recent_data(recent or 1, stop_on_exist, settings=settings)
    for path in paths:
        click.echo(f"downloaded {path.name}")
    if not paths:
        click.echo("nothing to download: it is here already")


@archive.command("add")
@click.argument("nights", nargs=-1, required=True, metavar="NIGHT_OR_FILE...")
@click.option("--survey", "survey_name", help="The survey of them all, if it shall not be recognised.")
@click.option("--from-start", is_flag=True, help="Check every packet, even if an interrupted run stored it.")
@click.pass_context
def add(context: click.Context, nights: tuple[str, ...], survey_name: str | None, from_start: bool) -> None:
    """Put the packets of nights into the store.

    Each night is the date (2018-06-26) of a downloaded one, or any .tar.gz or .tar of packets. The archive is read
    in place. Running this again changes nothing, and an interrupted run is continued. Exit status 1 if anything
    was refused.
    """
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    candidates = surveys if survey_name is None else Surveys([surveys.named(survey_name, "--survey")])
    schemas = open_schemas(settings)
    refused = 0
    with closing(
        Resolver(
            open_stores(settings, surveys),
            schemas,
            index=open_index(settings),
            max_packet_bytes=settings.max_packet_bytes,
        )
    ) as resolver:
        for path in [_find_night(night, settings) for night in nights]:
            report = _add(path, settings, candidates, resolver, schemas, from_start=from_start)
            refused += report.states["refused"]
            click.echo(f"{path.name}: {report}")
    context.exit(1 if refused else 0)


def _add(
    path: Path,
    settings: Settings,
    surveys: Surveys,
    resolver: Resolver,
    schemas: SchemaSource,
    *,
    from_start: bool,
) -> Report:
    report = Report()
    size_bytes = path.stat().st_size
    with tqdm(total=size_bytes, desc=path.name, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for outcome in add_night(
            path,
            settings,
            surveys,
            resolver,
            schemas,
            from_start=from_start,
            progress=lambda position: bar.update(position - bar.n),
        ):
            report.count(outcome)
            if outcome.state == "refused":
                tqdm.write(f"refused {outcome.name}: {outcome.reason}", file=sys.stderr)
    return report


def _find_night(night: str, settings: Settings) -> Path:
    """Take a file's path, or a date or file name of a downloaded night."""
    path = Path(night)
    if path.is_file():
        return path
    for form in _DATE_FORMATS:
        try:
            date = datetime.strptime(night, form)  # noqa: DTZ007 - a day, in no time zone
        except ValueError:
            continue
        path = nights_folder(settings) / release_name(date.year, date.month, date.day)
    if not path.is_file():
        path = nights_folder(settings) / night
    if not path.is_file():
        raise NotFound(f"there is no night {night} here: download it first")
    return path
