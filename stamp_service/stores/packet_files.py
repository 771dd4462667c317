"""Packets that lie in files: finding them in folders, and opening them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stamp_service.errors import RequestError, TooLarge
from stamp_service.packets import Alert, SchemaLookup, recognise
from stamp_service.surveys import Surveys

_SCHEMA_SUFFIX = ".avsc"
# How a packet begins: an object container file, Confluent's wire format, gzip.
_PACKET_STARTS = (b"Obj\x01", b"\x00", b"\x1f\x8b")
_PACKET_SUFFIXES = {".avro", ".wire"}


@dataclass(frozen=True, slots=True)
class PacketFiles:
    """What was found in some folders.

    Parameters
    ----------
    packets : list of pathlib.Path
        Files that look like packets, or were named.
    schemas : list of pathlib.Path
        Files of AVRO schemas.
    others : int
        How many files are neither.
    """

    packets: list[Path]
    schemas: list[Path]
    others: int


def find_packets(paths: Iterable[Path]) -> PacketFiles:
    """Look for packets and schemas.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Files, and folders with all that is in them; what is hidden in a folder stays hidden.

    Returns
    -------
    PacketFiles
        Each file once, sorted. What is neither file nor folder, such as a pipe, is passed over in folders.

    Raises
    ------
    RequestError
        If one of the paths is neither file nor folder, or a folder cannot be read.
    """
    paths = list(paths)
    try:
        named = {path for path in paths if path.is_file()}
        for path in paths:
            if path not in named and not path.is_dir():
                raise RequestError(f"{path} is neither a file nor a folder")
        files = sorted({file for path in paths for file in _walk(path, set())})
    except OSError as error:
        raise RequestError(f"{error.filename} could not be read: {error.strerror}") from None
    schemas = [file for file in files if file.suffix == _SCHEMA_SUFFIX]
    packets = [file for file in files if file.suffix != _SCHEMA_SUFFIX and (file in named or _may_be_packet(file))]
    return PacketFiles(packets, schemas, others=len(files) - len(schemas) - len(packets))


def _walk(path: Path, seen: set[Path]) -> Iterator[Path]:
    """Go through a folder, and through each of those in it once: links may lead in circles."""
    if path.is_file():
        yield path
    elif path.is_dir() and (folder := path.resolve()) not in seen:
        seen.add(folder)
        for child in path.iterdir():
            if not child.name.startswith("."):
                yield from _walk(child, seen)


def _may_be_packet(file: Path) -> bool:
    if _PACKET_SUFFIXES & set(file.suffixes):
        return True
    try:
        with file.open("rb") as opened:
            return opened.read(4).startswith(_PACKET_STARTS)
    except OSError:
        return True  # to be refused with the reason


def open_packet(file: Path, surveys: Surveys, schemas: SchemaLookup, max_bytes: int) -> Alert:
    """Open the packet in a file, and hold all of it against its schema.

    Parameters
    ----------
    file : pathlib.Path
        The file.
    surveys : Surveys
        The surveys that it may be of.
    schemas : SchemaLookup
        Where schemas of wire-format packets come from.
    max_bytes : int
        Most bytes of the file, and of the packet after each decompression.

    Returns
    -------
    Alert
        The alert.

    Raises
    ------
    PacketCorrupt
        If it is not a packet, or not one of these surveys.
    TooLarge
        If it is larger than `max_bytes`.
    StoreUnavailable
        If its schema could not be looked up.
    OSError
        If the file cannot be read.
    """
    if file.stat().st_size > max_bytes:
        raise TooLarge(f"the file is larger than {max_bytes} bytes")
    alert = recognise(surveys, file.read_bytes(), schemas, max_bytes)
    alert.outline()  # looks through all of it
    return alert
