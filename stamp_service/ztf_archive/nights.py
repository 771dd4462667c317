"""Nights: archives of packets, read in place."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from isal import igzip

from stamp_service.errors import NotFound, PacketCorrupt, StoreUnavailable
from stamp_service.packets import MAX_PACKET_BYTES
from stamp_service.ztf_archive.tar_stream import Member, read_members

PACKET_SUFFIX = ".avro"
_GZIP_MAGIC = b"\x1f\x8b"

# Takes the name of a member and the reason why it is not read.
Refuse = Callable[[str, str], None]


class NightPacket(NamedTuple):
    """A packet of a night.

    Parameters
    ----------
    packet : bytes
        The packet as it was published.
    name : str
        The member's name, `?` for what cannot be printed; a label, and never a path to write to.
    """

    packet: bytes
    name: str


class PassedOver(NamedTuple):
    """A member that is no packet to be read, folders excepted.

    Parameters
    ----------
    name : str
        The member's name, likewise.
    reason : str
        Why it is not read.
    """

    name: str
    reason: str


def iter_night(
    source: Path | BinaryIO, *, max_packet_bytes: int = MAX_PACKET_BYTES, refuse: Refuse | None = None
) -> Iterator[NightPacket]:
    """Read the packets of a night one after another, straight out of its archive.

    Memory stays flat however many there are, and nothing is written to disk. What is not a plain file with the
    name of a packet inside the archive's own folder is passed over: links, devices, sparse files, absolute paths,
    paths with `..`, files that are too large.

    Parameters
    ----------
    source : pathlib.Path or binary file
        The `.tar.gz`, or a plain `.tar`. A file that the caller opened, at its beginning, tells by its position
        how far reading has come.
    max_packet_bytes : int
        The largest packet that is read.
    refuse : callable, optional
        Takes the name of each member that is passed over, folders excepted, and the reason.

    Yields
    ------
    NightPacket
        Each packet, in the archive's order.

    Raises
    ------
    NotFound
        If there is no such file.
    PacketCorrupt
        If the archive is damaged or ends early; what came before it was whole.
    StoreUnavailable
        If the file cannot be read.
    """
    for member in walk_night(source, max_packet_bytes=max_packet_bytes):
        if isinstance(member, NightPacket):
            yield member
        elif refuse is not None:
            refuse(member.name, member.reason)


def walk_night(source: Path | BinaryIO, *, max_packet_bytes: int) -> Iterator[NightPacket | PassedOver]:
    """Read the members of a night as `iter_night` does, those that it passes over included.

    Parameters
    ----------
    source : pathlib.Path or binary file
        The archive.
    max_packet_bytes : int
        The largest packet that is read.

    Yields
    ------
    NightPacket or PassedOver
        Each member but folders, in the archive's order.

    Raises
    ------
    NotFound, PacketCorrupt, StoreUnavailable
        As `iter_night` does.
    """
    try:
        with ExitStack() as opened:
            stream = _decompressed(source, opened)
            for member, data in read_members(stream, max_packet_bytes):
                reason = _objection(member, max_packet_bytes)
                if reason is not None:
                    yield PassedOver(_printable(member.name), reason)
                elif data is not None:
                    yield NightPacket(data, _printable(member.name))
    except FileNotFoundError:
        raise NotFound(f"there is no night {_label(source)}") from None
    except OSError as error:
        raise StoreUnavailable(f"night {_label(source)} could not be read") from error
    except PacketCorrupt as error:
        raise PacketCorrupt(f"night {_label(source)}: {error}") from None


def _decompressed(source: Path | BinaryIO, opened: ExitStack) -> BinaryIO:
    file = opened.enter_context(source.open("rb")) if isinstance(source, Path) else source
    start = file.read(len(_GZIP_MAGIC))
    file.seek(-len(start), 1)
    if start != _GZIP_MAGIC:
        return file
    return cast(BinaryIO, opened.enter_context(igzip.open(file, "rb")))  # type: ignore[no-untyped-call]  # isal publishes no types


def _label(source: Path | BinaryIO) -> str:
    name = source if isinstance(source, Path) else getattr(source, "name", "")
    return Path(name).name if isinstance(name, str | Path) else ""


def _printable(name: str) -> str:
    """Keep what steers a terminal out of messages."""
    if name.isprintable():
        return name
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _objection(member: Member, max_packet_bytes: int) -> str | None:
    """Say why a member is passed over; None for packets and folders."""
    if member.is_folder:
        return None
    if not member.is_file:
        return "it is not a plain file"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "its path leads out of the archive"
    if not member.name.endswith(PACKET_SUFFIX):
        return "it is not named like a packet"
    if member.size_bytes > max_packet_bytes:
        return f"it is larger than {max_packet_bytes} bytes"
    return None
