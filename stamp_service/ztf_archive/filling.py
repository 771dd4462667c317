"""From a night into the stores of its survey."""

import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stamp_service.errors import NotFound, PacketCorrupt, StampServiceError, TooLarge
from stamp_service.packets import Alert, SchemaLookup, recognise
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.stores.outcomes import Outcome, outcome_of
from stamp_service.surveys import Surveys
from stamp_service.ztf_archive.local import nights_folder
from stamp_service.ztf_archive.nights import NightPacket, PassedOver, walk_night

# One batch is read while another one is stored.
_BATCH = 256
_BATCH_BYTES = 64 * 1024 * 1024


def add_night(
    night: Path,
    settings: Settings,
    surveys: Surveys,
    resolver: Resolver,
    schemas: SchemaLookup | None = None,
    *,
    from_start: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Iterator[Outcome]:
    """Stream a night into the stores of its survey.

    Running it again changes nothing. A run that was interrupted goes on after the last packets that it knows to be
    stored, provided that the night and the stores are still the same.

    Parameters
    ----------
    night : pathlib.Path
        The archive.
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys that its packets may be of.
    resolver : Resolver
        Puts packets into stores.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    from_start : bool
        Whether to forget an interrupted run.
    progress : callable, optional
        Takes how many bytes of the file are read.

    Yields
    ------
    Outcome
        What became of each member, about in the archive's order.

    Raises
    ------
    NotFound
        If there is no such file.
    PacketCorrupt
        If the archive is damaged or ends early.
    StoreUnavailable
        If a store cannot be written to; the next run goes on from there.
    """
    with ExitStack() as opened:
        file = opened.enter_context(_opened(night))
        journal = _Journal(night, file, settings, surveys)
        if from_start:
            journal.close()
        read = _read(file, journal.done(), settings, surveys, schemas)
        for batch in opened.enter_context(closing(_ahead(read))):
            outcomes = resolver.put_each(batch.alerts)
            journal.note(batch.done)
            if progress is not None:
                progress(batch.position)
            yield from batch.settled
            yield from (outcome_of(outcome, name) for name, outcome in zip(batch.names, outcomes, strict=True))
        journal.close()


def _opened(night: Path) -> BinaryIO:
    try:
        return night.open("rb")
    except FileNotFoundError:
        raise NotFound(f"there is no night {night.name}") from None


@dataclass(slots=True)
class _Batch:
    """Members of a night that are dealt with together.

    Alerts and their members' names; what became of members that are not to be stored; how many packets of the
    night are done after this batch, and where in the file it ends.
    """

    alerts: list[Alert] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)
    size_bytes: int = 0
    done: int = 0
    position: int = 0

    def is_full(self) -> bool:
        members = len(self.names) + len(self.settled)
        return members >= _BATCH or self.size_bytes >= _BATCH_BYTES


def _read(
    file: BinaryIO, done: int, settings: Settings, surveys: Surveys, schemas: SchemaLookup | None
) -> Iterator[_Batch]:
    """Read members and recognise alerts; a damaged archive gives what came before the damage first."""
    batch, packets = _Batch(), 0
    try:
        for member in walk_night(file, max_packet_bytes=settings.max_packet_bytes):
            if isinstance(member, PassedOver):
                batch.settled.append(Outcome("refused", member.reason, member.reason, member.name))
            else:
                if packets < done:
                    batch.settled.append(Outcome("earlier", name=member.name))
                else:
                    _recognise(member, batch, settings, surveys, schemas)
                packets += 1
            batch.done, batch.position = packets, file.tell()
            if batch.is_full():
                yield batch
                batch = _Batch()
    except StampServiceError:
        yield batch
        raise
    yield batch


def _recognise(
    member: NightPacket, batch: _Batch, settings: Settings, surveys: Surveys, schemas: SchemaLookup | None
) -> None:
    try:
        alert = recognise(surveys, member.packet, schemas, settings.max_packet_bytes)
        # Checks the whole packet, and is what the index asks for afterwards.
        alert.outline()
    except (PacketCorrupt, TooLarge) as error:
        batch.settled.append(outcome_of(error, member.name))
        return
    batch.alerts.append(alert)
    batch.names.append(member.name)
    batch.size_bytes += len(member.packet)


def _ahead(made: Iterator[_Batch]) -> Generator[_Batch]:
    """Make the next one in a thread while this one is used: inflating and compressing go on at the same time."""
    with ThreadPoolExecutor(1, thread_name_prefix="night") as pool:
        coming = pool.submit(next, made, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, made, None)
            yield batch


class _Journal:
    """Remembers how many packets of a night are stored, for as long as a run is unfinished."""

    def __init__(self, night: Path, file: BinaryIO, settings: Settings, surveys: Surveys) -> None:
        status = os.fstat(file.fileno())
        # Another file of the name, or other stores, is another run.
        buckets = sorted((name, settings.bucket(name)) for name in surveys)
        run = (
            *(str(night.resolve()), status.st_size, status.st_mtime_ns),
            *(
                str(settings.data_dir.resolve()),
                settings.s3_endpoint_url,
                buckets,
                sorted(settings.packed_surveys),
            ),
        )
        digest = hashlib.blake2b(repr(run).encode(), digest_size=8).hexdigest()
        self._path = nights_folder(settings) / f"{night.name}.{digest}.unfinished"

    def done(self) -> int:
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def note(self, count: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(str(count), encoding="ascii")
        part.replace(self._path)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
