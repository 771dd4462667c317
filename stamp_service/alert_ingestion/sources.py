"""Where alerts are taken from: files and folders, nights, stores; and anything else that yields packets."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stamp_service.errors import RequestError, StampServiceError
from stamp_service.settings import Settings
from stamp_service.stores import (
    ListedStore,
    fetch_each,
    find_packets,
    import_schemas,
    listed_stores,
    open_stores,
)
from stamp_service.surveys import Survey, Surveys
from stamp_service.ztf_archive import iter_night, nights_folder, release_name

_NIGHT_SUFFIXES = (".tar.gz", ".tgz", ".tar")
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")
_STORE = "store"


class SourcePacket(NamedTuple):
    """A packet that is to be ingested.

    Parameters
    ----------
    packet : bytes
        The packet.
    name : str
        What to call it in messages.
    """

    packet: bytes
    name: str


# Takes the name of something that is passed over, and the reason.
Refuse = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Something that packets are read from, one after another.

    Parameters
    ----------
    read : callable
        Reads them; takes a function that is told what is passed over.
    count : int or None
        How many there are, where that is known beforehand.
    """

    read: Callable[[Refuse], Iterator[SourcePacket]]
    count: int | None = None


def numbered(packets: Iterable[bytes]) -> Iterator[SourcePacket]:
    """Name packets by their number, from 1.

    Parameters
    ----------
    packets : iterable of bytes
        Packets, of a Kafka topic for instance.

    Yields
    ------
    SourcePacket
        The same, named.
    """
    for number, packet in enumerate(packets, 1):
        yield SourcePacket(packet, f"packet {number}")


def open_sources(words: Sequence[str], settings: Settings, surveys: Surveys) -> list[Source]:
    """Find what is meant by words of a command.

    Parameters
    ----------
    words : sequence of str
        Each a file, a folder, an archive of packets (.tar.gz, .tar), the date of a downloaded night, `store` for
        all that is in the stores, or `store:` and the name of a survey.
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    list of Source
        What to read.

    Raises
    ------
    RequestError
        If a word is none of these, or a survey is unknown.
    ConfigurationError
        If no store of a survey can list what it has.
    """
    sources: list[Source] = []
    paths: list[Path] = []
    for word in words:
        path, date = Path(word), _DATE.fullmatch(word)
        if word == _STORE or word.startswith(f"{_STORE}:"):
            named = [surveys.named(word.partition(":")[2], "SOURCE")] if ":" in word else surveys.values()
            sources += _stored(settings, surveys, named)
        elif path.is_file() and path.name.endswith(_NIGHT_SUFFIXES):
            sources.append(Source(partial(_read_night, path, settings)))
        elif path.exists():
            paths.append(path)
        elif date is not None:
            night = nights_folder(settings) / release_name(*map(int, date.groups()))
            sources.append(Source(partial(_read_night, night, settings)))
        else:
            raise RequestError(f"{word} is no file, folder or date, and not {_STORE} or {_STORE}:SURVEY", "SOURCE")
    return sources + ([_files(paths, settings)] if paths else [])


def _files(paths: list[Path], settings: Settings) -> Source:
    found = find_packets(paths)

    def read(refuse: Refuse) -> Iterator[SourcePacket]:
        for file, reason in import_schemas(found.schemas, settings.schemas_path).items():
            if reason is not None:
                refuse(str(file), reason)
        for file in found.packets:
            try:
                if file.stat().st_size > settings.max_packet_bytes:
                    refuse(str(file), f"the file is larger than {settings.max_packet_bytes} bytes")
                    continue
                packet = file.read_bytes()
            except OSError as error:
                refuse(str(file), error.strerror or type(error).__name__)
            else:
                yield SourcePacket(packet, str(file))

    return Source(read, len(found.packets))


def _read_night(path: Path, settings: Settings, refuse: Refuse) -> Iterator[SourcePacket]:
    for packet, name in iter_night(path, max_packet_bytes=settings.max_packet_bytes, refuse=refuse):
        yield SourcePacket(packet, name)


def _stored(settings: Settings, surveys: Surveys, named: Iterable[Survey]) -> Iterator[Source]:
    stores = open_stores(settings, surveys)
    for survey in named:
        listed = listed_stores(survey, stores[survey.name])
        yield from (Source(partial(_read_store, store, survey)) for store in listed)


def _read_store(store: ListedStore, survey: Survey, refuse: Refuse) -> Iterator[SourcePacket]:
    try:
        for alert_id, packet in fetch_each(store, survey, store.listed(survey)):
            if isinstance(packet, StampServiceError):
                refuse(alert_id, str(packet))
            else:
                yield SourcePacket(packet, f"{survey.name} alert {alert_id}")
    finally:
        store.close()
