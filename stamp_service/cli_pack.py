"""The `stamp-service pack` command: between one object per alert and packs."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import click
from tqdm import tqdm

from stamp_service.errors import (
    PacketConflict,
    PacketCorrupt,
    RequestError,
    StampServiceError,
    StoreUnavailable,
    TooLarge,
)
from stamp_service.index import AlertIndex, open_index
from stamp_service.packets import open_alert
from stamp_service.settings import load_settings
from stamp_service.stores import (
    ListedStore,
    LocalStore,
    PackedAlert,
    PackedStore,
    S3Store,
    SchemaSource,
    Store,
    fetch_each,
    open_archives,
    open_packed,
    open_schemas,
)
from stamp_service.surveys import Survey, load_surveys

Outcome = Literal["new", "present", "refused"]
# Packets that are acknowledged together, and so many bytes of memory times their size.
_PORTION = 256
_THREADS = 8


@click.command()
@click.argument("survey_names", metavar="[SURVEY]...", nargs=-1)
@click.option(
    "--unpack",
    "task",
    flag_value="unpack",
    default="pack",
    help="The other way: from packs to one object per alert.",
)
@click.option("--flush", "task", flag_value="flush", help="Only take what is in the spool into packs.")
@click.option("--reindex", "task", flag_value="reindex", help="Only bring the index in step with the packs.")
@click.pass_context
def pack(context: click.Context, survey_names: tuple[str, ...], task: str) -> None:
    """Copy the packets of surveys into packs; those of STAMP_PACKED_SURVEYS if none is named.

    What is there already is compared and left alone, so a command that was stopped is simply given again. Nothing
    is removed from where it is copied. Exit status 1 if anything was refused.
    """
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    names = survey_names or settings.packed_surveys
    if not names:
        raise RequestError("name a survey, or set STAMP_PACKED_SURVEYS")
    chosen = [surveys.named(name, "SURVEY") for name in names]
    house = _House(
        open_archives(settings, surveys),
        open_packed(settings, surveys),
        open_schemas(settings),
        open_index(settings),
    )
    try:
        refused = sum(_TASKS[task](house, survey) for survey in chosen)
    finally:
        house.close()
    context.exit(1 if refused else 0)


@dataclass(frozen=True, slots=True)
class _House:
    """What packets are copied between."""

    archives: Mapping[str, LocalStore | S3Store]
    packed: PackedStore
    schemas: SchemaSource
    index: AlertIndex

    def close(self) -> None:
        self.index.close()
        self.packed.close()
        for store in set(self.archives.values()):
            store.close()


def _pack(house: _House, survey: Survey) -> int:
    mover = _Mover(house.index, survey, house.packed)
    refused = _convert(survey, "pack", house.archives[survey.name], _Packing(survey, house.packed), mover)
    house.packed.flush(survey)
    return refused


def _unpack(house: _House, survey: Survey) -> int:
    archive = house.archives[survey.name]
    mover = _Mover(house.index, survey, archive)
    unpacking = _Unpacking(survey, archive, house.schemas)
    return _convert(survey, "unpack", house.packed, unpacking, mover)


def _flush(house: _House, survey: Survey) -> int:
    house.packed.flush(survey)
    click.echo(f"{survey.name}: the spool is empty")
    return 0


def _reindex(house: _House, survey: Survey) -> int:
    click.echo(f"{survey.name}: scanned {house.packed.reindex(survey)} packs")
    return 0


_TASKS = {"pack": _pack, "unpack": _unpack, "flush": _flush, "reindex": _reindex}


def _convert(
    survey: Survey,
    title: str,
    source: ListedStore,
    writer: "_Packing | _Unpacking",
    mover: "_Mover",
) -> int:
    """Copy packets, portion by portion; gives how many were refused."""
    waiting, counts = fetch_each(source, survey, source.listed(survey)), Counter[Outcome]()
    with tqdm(desc=f"{title} {survey.name}", unit="alert", disable=None, leave=False) as bar:
        while fetched := list(islice(waiting, _PORTION)):
            portion = []
            for alert_id, packet in fetched:
                if isinstance(packet, StampServiceError):
                    counts[_refuse(survey, alert_id, packet)] += 1
                else:
                    portion.append((alert_id, packet))
            outcomes = list(writer.write(portion))
            counts.update(outcomes)
            mover.move(portion, outcomes)
            bar.update(len(fetched))
    parts = [f"copied {counts['new']}"]
    parts += [f"{counts['present']} were there already"] if counts["present"] else []
    parts += [f"refused {counts['refused']}"] if counts["refused"] else []
    click.echo(f"{survey.name}: {', '.join(parts)}")
    return counts["refused"]


def _refuse(survey: Survey, alert_id: str, error: StampServiceError) -> Outcome:
    tqdm.write(f"refused {survey.name} {alert_id}: {error}", file=sys.stderr)
    return "refused"


class _Mover:
    """Tells the index where packets are now, until it cannot be told."""

    def __init__(self, index: AlertIndex, survey: Survey, store: Store) -> None:
        self._index: AlertIndex | None = index
        self._survey = survey
        self._store = store

    def move(self, portion: list[tuple[str, bytes]], outcomes: list[Outcome]) -> None:
        moved = [
            alert_id for (alert_id, _), outcome in zip(portion, outcomes, strict=True) if outcome != "refused"
        ]
        if self._index is not None:
            try:
                self._index.move(self._survey.name, moved, self._store.name)
            except StoreUnavailable as error:
                tqdm.write(f"{error}: it is not told where the packets are now", file=sys.stderr)
                self._index = None


class _Packing:
    """Puts portions into packs."""

    def __init__(self, survey: Survey, packed: PackedStore) -> None:
        self._survey = survey
        self._packed = packed

    def write(self, portion: list[tuple[str, bytes]]) -> Iterator[Outcome]:
        alerts = [PackedAlert(self._survey, alert_id, packet) for alert_id, packet in portion]
        for alert, outcome in zip(alerts, self._packed.put_each(alerts), strict=True):
            if isinstance(outcome, bool):
                yield "new" if outcome else "present"
            else:
                yield _refuse(self._survey, alert.alert_id, outcome)


class _Unpacking:
    """Puts packets one by one, several at once."""

    def __init__(self, survey: Survey, store: Store, schemas: SchemaSource) -> None:
        self._survey = survey
        self._store = store
        self._schemas = schemas

    def write(self, portion: list[tuple[str, bytes]]) -> list[Outcome]:
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._put, portion))

    def _put(self, alert: tuple[str, bytes]) -> Outcome:
        alert_id, packet = alert
        try:
            return "new" if self._store.put(self._survey, alert_id, packet, self._object_id(*alert)) else "present"
        except (PacketConflict, PacketCorrupt, TooLarge) as error:
            return _refuse(self._survey, alert_id, error)

    def _object_id(self, alert_id: str, packet: bytes) -> str | None:
        """Read the object id where keys have it; other packets are not looked into."""
        if "{object_id" not in self._survey.key:
            return None
        return open_alert(self._survey, alert_id, packet, self._schemas).object_id
