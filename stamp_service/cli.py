"""The `stamp-service` command."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import click
import orjson
from pydantic import SecretStr
from tqdm import tqdm

from stamp_service import __version__
from stamp_service.cli_archive import archive
from stamp_service.cli_classifiers import classifier, classify
from stamp_service.cli_index import index
from stamp_service.cli_ingest import ingest_alerts
from stamp_service.cli_lake import lake
from stamp_service.cli_pack import pack
from stamp_service.cli_step import step
from stamp_service.cli_xmatch import xmatch
from stamp_service.errors import ConfigurationError, StampServiceError
from stamp_service.images import decode_stamp, default_style, draw_png, gunzip_cutout
from stamp_service.index import open_index
from stamp_service.lake.lakes import open_lakes
from stamp_service.resolver import Resolver
from stamp_service.server import local_surveys, store_demo
from stamp_service.settings import Settings, environment_names, load_settings
from stamp_service.sources import open_sources
from stamp_service.stores import (
    SchemaSource,
    find_packets,
    import_schemas,
    open_local,
    open_packet,
    open_schemas,
)
from stamp_service.surveys import KINDS, Kind, Survey, Surveys, load_surveys

Format = Literal["png", "fits", "avro", "json"]

# Stores answer slowly (a disk flushes, a bucket is far away), so several packets are on their way at once.
_THREADS = 8
_BATCH = 512
# A user and password in an address.
_USERINFO = re.compile(r"(?<=://)[^/@]+(?=@)")


class _Failure(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Turns our exceptions into one line and exit status 2."""

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        try:
            return super().invoke(context)
        except StampServiceError as error:
            raise _Failure(str(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stamp-service")
def main() -> None:
    """Alert packets and stamps of sky surveys: fill a store, and look into it.

    Which store, and everything else, is configured with environment variables: see `stamp-service settings`.
    """


main.add_command(archive)
main.add_command(classifier)
main.add_command(classify)
main.add_command(index)
main.add_command(ingest_alerts)
main.add_command(lake)
main.add_command(pack)
main.add_command(step)
main.add_command(xmatch)


@dataclass(frozen=True, slots=True)
class _House:
    """What the commands work with."""

    settings: Settings
    surveys: Surveys
    schemas: SchemaSource
    resolver: Resolver


@contextmanager
def _open_house() -> Iterator[_House]:
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    schemas = open_schemas(settings)
    sources = open_sources(settings, surveys, open_lakes(settings, surveys))
    resolver = Resolver(sources, schemas, index=open_index(settings), max_packet_bytes=settings.max_packet_bytes)
    try:
        yield _House(settings, surveys, schemas, resolver)
    finally:
        resolver.close()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one file: its survey and whether it is new, or why it was refused, or neither if skipped."""

    file: Path
    survey: str | None = None
    is_new: bool = False
    refused: str | None = None


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--survey", "survey_name", help="The survey of them all, if it shall not be recognised.")
@click.pass_context
def add(context: click.Context, paths: tuple[Path, ...], survey_name: str | None) -> None:
    """Put packets into the store: files, and folders with all that is in them.

    The survey of each packet is recognised. Schemas (.avsc) are imported first, so that packets in wire format can
    be read. What a folder holds besides is skipped. Exit status 1 if anything was refused.
    """
    with _open_house() as house:
        candidates = (
            house.surveys if survey_name is None else Surveys([house.surveys.named(survey_name, "--survey")])
        )
        found = find_packets(paths)
        outcomes = [
            _Outcome(file, refused=reason)
            for file, reason in import_schemas(found.schemas, house.settings.schemas_path).items()
            if reason is not None
        ]
        for outcome in outcomes:
            _say_refused(outcome)
        with tqdm(total=len(found.packets), unit="packet", disable=None, leave=False) as bar:
            for outcome in _add_all(house, candidates, found.packets):
                bar.update()
                outcomes.append(outcome)
                _say_refused(outcome)
    click.echo(_summarise(outcomes, skipped=found.others))
    context.exit(1 if any(outcome.refused for outcome in outcomes) else 0)


def _add_all(house: _House, surveys: Surveys, files: list[Path]) -> Iterator[_Outcome]:
    waiting = iter(files)
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(waiting, _BATCH)):
            yield from pool.map(lambda file: _add_file(house, surveys, file), batch)


def _add_file(house: _House, surveys: Surveys, file: Path) -> _Outcome:
    try:
        alert = open_packet(file, surveys, house.schemas, house.settings.max_packet_bytes)
        is_new = house.resolver.put(alert)
    except OSError as error:
        return _Outcome(file, refused=error.strerror or type(error).__name__)
    except StampServiceError as error:
        return _Outcome(file, refused=str(error))
    return _Outcome(file, alert.survey.name, is_new)


def _say_refused(outcome: _Outcome) -> None:
    if outcome.refused is not None:
        tqdm.write(f"refused {outcome.file}: {outcome.refused}", file=sys.stderr)


def _summarise(outcomes: list[_Outcome], skipped: int) -> str:
    new = Counter(outcome.survey for outcome in outcomes if outcome.is_new)
    there = sum(outcome.survey is not None and not outcome.is_new for outcome in outcomes)
    refused = sum(outcome.refused is not None for outcome in outcomes)
    parts = [f"added {new.total()}"]
    if new:
        parts[0] += f" ({', '.join(f'{count} {survey}' for survey, count in sorted(new.items()))})"
    parts += [f"{there} were there already"] if there else []
    parts += [f"refused {refused}"] if refused else []
    parts += [f"skipped {skipped} that are no packets"] if skipped else []
    return ", ".join(parts)


@main.command()
def demo() -> None:
    """Put the synthetic alerts into the local store."""
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    names = local_surveys(settings, surveys)
    if not names:
        raise ConfigurationError("every survey has a bucket, and synthetic alerts are for the local store only")
    click.echo(f"added {store_demo(settings, surveys, names, open_local(settings))}")


@main.command("surveys")
def list_surveys() -> None:
    """List the surveys: what their ids look like, and where their packets are looked for."""
    with _open_house() as house:
        for survey in house.surveys.values():
            stores = ", ".join(house.resolver.store_names(survey))
            click.echo(f"{survey.name}  {survey.title}")
            click.echo(f"    alert id   {survey.alert_id.pattern}")
            click.echo(f"    object id  {survey.object_id.pattern}")
            click.echo(f"    cutouts    {', '.join(survey.kinds)}")
            click.echo(f"    stores     {stores}")


@main.command()
@click.argument("survey_name", metavar="SURVEY")
@click.argument("alert_id")
@click.option("--kind", type=click.Choice(KINDS), default="science", show_default=True, help="Which cutout.")
@click.option("--format", "form", type=click.Choice(get_args(Format)), default="png", show_default=True)
@click.option(
    "-o", "--output", type=click.File("wb", lazy=True), default="-", help="A file; standard output if none."
)
def get(survey_name: str, alert_id: str, kind: Kind, form: Format, output: BinaryIO) -> None:
    """Fetch a stamp (PNG or FITS), the packet or the metadata of an alert."""
    with _open_house() as house:
        survey = house.surveys.named(survey_name)
        survey.check_alert_id(alert_id)
        data = _make(house, survey, alert_id, kind, form)
    if form != "json" and output.isatty():
        raise click.UsageError("this is not text: name a file with -o")
    output.write(data)


def _make(house: _House, survey: Survey, alert_id: str, kind: Kind, form: Format) -> bytes:
    if form == "avro":
        return house.resolver.packet(survey, alert_id)
    alert = house.resolver.alert(survey, alert_id)
    if form == "json":
        from stamp_service.web.records import plain_record, write_json  # noqa: PLC0415 - Flask takes half a second

        return write_json(plain_record(alert.record())) + b"\n"
    cutout = alert.cutout(kind)
    limits = house.settings
    if form == "fits":
        return gunzip_cutout(cutout, limits.max_cutout_bytes)
    stamp = decode_stamp(cutout, max_bytes=limits.max_cutout_bytes, max_pixels=limits.max_stamp_px)
    return draw_png(stamp, survey, kind, default_style(survey, kind), max_pixels=limits.max_stamp_px)


@main.command("settings")
def show_settings() -> None:
    """Show what is configured, as environment variables; secrets are masked."""
    settings = load_settings()
    names: dict[str, str] = {}
    for name, field in environment_names().items():
        names.setdefault(field, name)
    for field, name in names.items():
        value = getattr(settings, field)
        default = type(settings).model_fields[field].get_default(call_default_factory=True)
        remark = "" if value != default else "  (default)"
        click.echo(f"{name}={_shown(value)}{remark}")


def _shown(value: object) -> str:
    """Write a value as it would be set, without what is secret in it."""
    if isinstance(value, SecretStr):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(_shown(item) for item in value)
    if isinstance(value, Mapping):
        return orjson.dumps(value, default=str).decode() if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else _USERINFO.sub("***", str(value))
