"""The `stamp-service lake` commands: register lakes, and write them."""

import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

import click
from tqdm import tqdm

from stamp_service.demo import DEFAULT_OBJECTS, DEMO_SURVEYS, write_demo_lake
from stamp_service.errors import PacketCorrupt, RequestError, TooLarge
from stamp_service.lake.adding import Added, add_lake, remove_lake
from stamp_service.lake.files import Filesystem
from stamp_service.lake.lakes import lake_access, open_catalogue
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.opening import open_filesystem
from stamp_service.lake.rows import Totals
from stamp_service.lake.writing import ROWS_PER_FILE, AlertRef, State, write_lake
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import SchemaSource, find_packets, import_schemas, open_packet, open_schemas
from stamp_service.surveys import Surveys, load_surveys

# Disks and shares answer slowly, so several packets are on their way at once.
_THREADS = 8
_BATCH = 512


@click.group()
def lake() -> None:
    """Parquet lakes: register the folder trees that alerts are served from, and write such trees."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What packets are read with, and what became of them."""

    settings: Settings
    surveys: Surveys
    schemas: SchemaSource
    counts: Counter[State]

    def refuse(self, what: object, reason: str) -> None:
        self.counts["refused"] += 1
        tqdm.write(f"refused {what}: {reason}", file=sys.stderr)

    def report(self, ref: AlertRef, state: State, reason: str) -> None:
        if state == "refused":
            self.refuse(ref.alert_id, reason)
        else:
            self.counts[state] += 1


@lake.command("write")
@click.argument("target")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--survey", "survey_name", help="The survey of them all, if it shall not be recognised.")
@click.option("--rows-per-file", type=click.IntRange(min=1), default=ROWS_PER_FILE, show_default=True)
@click.pass_context
def write(
    context: click.Context, target: str, sources: tuple[Path, ...], survey_name: str | None, rows_per_file: int
) -> None:
    """Write packets into the lake at TARGET: files, and folders with all that is in them.

    TARGET is a folder, s3://…, hdfs://… or webhdfs://…, and holds alerts of one survey. What was written before is
    left alone. Schemas (.avsc) are imported first. Exit status 1 if anything was refused.
    """
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    if survey_name is not None:
        surveys = Surveys([surveys.named(survey_name, "--survey")])
    source = _Source(settings, surveys, open_schemas(settings), Counter())
    found = find_packets(sources)
    for file, reason in import_schemas(found.schemas, settings.schemas_path).items():
        if reason is not None:
            source.refuse(file, reason)
    alerts = _open_all(source, found.packets)
    if len(alerts) > 1:
        names = " and ".join(sorted(alerts))
        raise RequestError(f"these are alerts of {names}, and a lake holds one survey: name it with --survey")
    with closing(_open_target(target, settings)) as files:
        written = sum(_write_all(source, files, *item, rows_per_file) for item in alerts.items())
    click.echo(_summarise(source.counts, written, found.others))
    context.exit(1 if source.counts["refused"] else 0)


def _open_target(url: str, settings: Settings) -> Filesystem:
    files = open_filesystem(url, lake_access(settings))
    if isinstance(files, LocalFiles):
        # A missing folder is otherwise an error: a disk that is not mounted.
        Path(files.url).mkdir(parents=True, exist_ok=True)
    return files


def _open_all(source: _Source, packets: list[Path]) -> dict[str, list[AlertRef]]:
    """Read which alerts some packets are of, by survey."""
    alerts: dict[str, list[AlertRef]] = defaultdict(list)
    waiting = iter(packets)
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(total=len(packets), desc="read", unit="packet", disable=None, leave=False) as bar,
    ):
        while batch := list(islice(waiting, _BATCH)):
            for name, ref in filter(None, pool.map(lambda file: _open(source, file), batch)):
                alerts[name].append(ref)
            bar.update(len(batch))
    return alerts


def _open(source: _Source, file: Path) -> tuple[str, AlertRef] | None:
    try:
        alert = open_packet(file, source.surveys, source.schemas, source.settings.max_packet_bytes)
        return alert.survey.name, AlertRef.of(alert, file.read_bytes)
    except OSError as error:
        source.refuse(file, error.strerror or type(error).__name__)
    except (PacketCorrupt, TooLarge) as error:
        source.refuse(file, str(error))
    return None


def _write_all(source: _Source, files: Filesystem, name: str, alerts: list[AlertRef], rows_per_file: int) -> int:
    """Write the alerts of a survey; gives the number of files."""
    with tqdm(total=len(alerts), desc="write", unit="alert", disable=None, leave=False) as bar:

        def report(ref: AlertRef, state: State, reason: str) -> None:
            bar.update()
            source.report(ref, state, reason)

        paths = write_lake(
            files,
            alerts,
            source.surveys[name],
            rows_per_file=rows_per_file,
            schemas=source.schemas,
            max_packet_bytes=source.settings.max_packet_bytes,
            report=report,
        )
        return sum(1 for _ in paths)


def _summarise(counts: Counter[State], files: int, skipped: int) -> str:
    parts = [f"wrote {counts['written']} (new files: {files})"]
    parts += [f"{counts['present']} were there already"] if counts["present"] else []
    parts += [f"refused {counts['refused']}"] if counts["refused"] else []
    parts += [f"skipped {skipped} that are no packets"] if skipped else []
    return ", ".join(parts)


@lake.command("demo")
@click.argument("folder")
@click.option("--objects", type=click.IntRange(min=1), default=DEFAULT_OBJECTS, show_default=True)
def write_demo(folder: str, objects: int) -> None:
    """Write lakes of synthetic alerts below FOLDER: one for each survey, in a folder of its name."""
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    for name in DEMO_SURVEYS:
        root = f"{folder.rstrip('/')}/{name}"
        with closing(_open_target(root, settings)) as files:
            written = sum(1 for _ in write_demo_lake(files, surveys[name], objects))
        click.echo(f"{root}: new files: {written}")


class _Bar:
    """Shows how many bytes of a lake were indexed, and says what was refused."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None

    def planned(self, files: int, size_bytes: int) -> None:
        self._bar = tqdm(
            total=size_bytes, desc=f"index {files} files", unit="B", unit_scale=True, disable=None, leave=False
        )

    def done(self, path: str, size_bytes: int, refused: str | None) -> None:
        if self._bar is not None:
            self._bar.update(size_bytes)
        if refused is not None:
            tqdm.write(f"refused {path}: {refused}", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@lake.command("add")
@click.argument("url", metavar="PATH-OR-URL")
@click.option("--survey", "survey_name", help="Whose alerts it holds, if that shall not be recognised.")
@click.option("--name", help="What to call it; by default the last part of its address.")
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Files read at a time.")
@click.pass_context
def add(context: click.Context, url: str, survey_name: str | None, name: str | None, jobs: int) -> None:
    """Register the lake at PATH-OR-URL, and index its files.

    A folder, s3://bucket/prefix, hdfs://… or webhdfs://…. To be called again when files were added, replaced or
    removed: what is indexed already is skipped, so a run that was interrupted goes on where it was. Services that
    run notice by themselves. Exit status 1 if a file was refused.
    """
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    survey = None if survey_name is None else surveys.named(survey_name, "--survey").name
    with closing(open_catalogue(settings)) as catalogue, closing(_Bar()) as bar:
        added = add_lake(
            catalogue, surveys, lake_access(settings), url, survey=survey, name=name, jobs=jobs, progress=bar
        )
        totals = catalogue.totals(added.lake.id)
    click.echo(f"lake {added.lake.name} of {added.lake.survey}: {_changes(added)}; now {_contents(totals)}")
    context.exit(1 if added.refused else 0)


def _changes(added: Added) -> str:
    parts = [f"indexed {added.indexed} files"]
    parts += [f"{added.known} were there already"] if added.known else []
    parts += [f"{added.gone} are gone"] if added.gone else []
    parts += [f"refused {added.refused}"] if added.refused else []
    return ", ".join(parts)


def _contents(totals: Totals) -> str:
    tiers = ", ".join(f"{count} {tier}" for tier, count in totals.tiers.items())
    read_by = f", read by {tiers}" if tiers else ""
    size = tqdm.format_sizeof(totals.size_bytes, "B", 1000)
    index = tqdm.format_sizeof(totals.index_bytes, "B", 1000)
    return f"{totals.files} files, {totals.alerts} alerts, {size} (index {index}){read_by}"


@lake.command("list")
def list_lakes() -> None:
    """List the registered lakes: where they are, and what is in them."""
    with closing(open_catalogue(load_settings())) as catalogue:
        for row in catalogue.lakes():
            click.echo(f"{row.name}  {row.survey}  {row.url}")
            click.echo(f"    {_contents(catalogue.totals(row.id))}")


@lake.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget the lake NAME and delete its indexes; the lake itself stays as it is."""
    with closing(open_catalogue(load_settings())) as catalogue:
        remove_lake(catalogue, name)
    click.echo(f"removed {name}")
