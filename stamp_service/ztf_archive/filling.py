"""From a night into the stores of its survey."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from stamp_service.errors import NotFound, PacketConflict, PacketCorrupt, StampServiceError, TooLarge
from stamp_service.packets import Alert, SchemaLookup, recognise
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.stores.bulk import PutOutcome
from stamp_service.surveys import Surveys
from stamp_service.ztf_archive.local import nights_folder
from stamp_service.ztf_archive.nights import NightPacket, iter_night

State = Literal["added", "present", "earlier", "refused"]

_BATCH = 256
_BATCH_BYTES = 64 * 1024 * 1024
_REFUSALS: dict[type[StampServiceError], str] = {
    PacketConflict: "a different packet is stored under its id",
    PacketCorrupt: "it is no alert of these surveys, or damaged",
    TooLarge: "it is too large",
}


@dataclass(frozen=True, slots=True)
class NightOutcome:
    """What became of one member of a night.

    Parameters
    ----------
    name : str
        The member's name.
    state : str
        `added`; `present` if the store had it; `earlier` if an interrupted run had dealt with it; `refused`.
    reason : str
        Why it was refused, in full.
    kind : str
        Why it was refused, in words that are the same for all of a kind.
    """

    name: str
    state: State
    reason: str = ""
    kind: str = ""


class NightReport:
    """Counts what became of the members of a night, and why some were refused."""

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.refusals: Counter[str] = Counter()

    def note(self, outcome: NightOutcome) -> None:
        """Count one.

        Parameters
        ----------
        outcome : NightOutcome
            What became of it.
        """
        self.states[outcome.state] += 1
        if outcome.state == "refused":
            self.refusals[outcome.kind] += 1

    def __str__(self) -> str:
        words: dict[State, str] = {"present": "were there already", "earlier": "were done by an earlier run"}
        parts = [f"added {self.states['added']}"]
        parts += [f"{self.states[state]} {word}" for state, word in words.items() if self.states[state]]
        if self.refusals:
            reasons = "; ".join(f"{count}: {kind}" for kind, count in self.refusals.most_common())
            parts.append(f"refused {self.states['refused']} ({reasons})")
        return ", ".join(parts)


def add_night(
    night: Path,
    settings: Settings,
    surveys: Surveys,
    resolver: Resolver,
    schemas: SchemaLookup | None = None,
    *,
    from_start: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Iterator[NightOutcome]:
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
    NightOutcome
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
    refused: list[NightOutcome] = []

    def refuse(name: str, reason: str) -> None:
        refused.append(NightOutcome(name, "refused", reason, reason))

    with _opened(night) as file:
        journal = _Journal(night, file, settings, surveys)
        if from_start:
            journal.close()
        done = journal.done()
        packets = iter_night(file, max_packet_bytes=settings.max_packet_bytes, refuse=refuse)
        for member in islice(packets, done):
            yield NightOutcome(member.name, "earlier")
        for batch in _batches(packets):
            outcomes = _store(batch, settings, surveys, resolver, schemas)
            done += len(batch)
            journal.note(done)
            if progress is not None:
                progress(file.tell())
            yield from outcomes
            yield from refused
            refused.clear()
        yield from refused
        journal.close()


def _opened(night: Path) -> BinaryIO:
    try:
        return night.open("rb")
    except FileNotFoundError:
        raise NotFound(f"there is no night {night.name}") from None


def _batches(packets: Iterable[NightPacket]) -> Iterator[list[NightPacket]]:
    """Group packets so that a batch fits in memory whatever their size."""
    batch: list[NightPacket] = []
    size = 0
    for member in packets:
        batch.append(member)
        size += len(member.packet)
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _store(
    batch: Sequence[NightPacket],
    settings: Settings,
    surveys: Surveys,
    resolver: Resolver,
    schemas: SchemaLookup | None,
) -> list[NightOutcome]:
    outcomes: dict[int, PutOutcome] = {}
    sound: dict[int, Alert] = {}
    for number, member in enumerate(batch):
        try:
            alert = recognise(surveys, member.packet, schemas, settings.max_packet_bytes)
            alert.packet.check()
            sound[number] = alert
        except (PacketCorrupt, TooLarge) as error:
            outcomes[number] = error
    outcomes |= zip(sound, resolver.put_each(list(sound.values())), strict=True)
    return [_outcome(member.name, outcomes[number]) for number, member in enumerate(batch)]


def _outcome(name: str, put: PutOutcome) -> NightOutcome:
    if isinstance(put, bool):
        return NightOutcome(name, "added" if put else "present")
    return NightOutcome(name, "refused", str(put), _REFUSALS[type(put)])


class _Journal:
    """Remembers how many packets of a night are stored, for as long as a run is unfinished."""

    def __init__(self, night: Path, file: BinaryIO, settings: Settings, surveys: Surveys) -> None:
        status = os.fstat(file.fileno())
        # Another file of the name, or other stores, is another run.
        buckets = sorted((name, settings.bucket(name)) for name in surveys)
        run = (
            *(str(night.resolve()), status.st_size, status.st_mtime_ns),
            *(str(settings.data_dir.resolve()), settings.s3_endpoint_url, buckets),
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
