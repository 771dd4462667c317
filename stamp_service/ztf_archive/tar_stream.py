"""Tar archives read forwards, once, in bounded memory.

`tarfile` remembers every member and reads extended headers of any size, so a large archive fills the memory and
a hostile one does so at once. Here nothing is remembered, nothing is written to disk, and no size is believed
beyond a limit. The formats are V7, ustar, GNU (long names) and pax (POSIX.1-2008, utility `pax`).
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from gzip import BadGzipFile
from typing import BinaryIO

from isal import isal_zlib

from stamp_service.errors import PacketCorrupt

_BLOCK = 512
_NOTHING = bytes(_BLOCK)
_CHUNK = 1024 * 1024
# Longest extended header; real ones have a few hundred bytes.
_MAX_EXTENSION_BYTES = 64 * 1024
# Extended headers before one member; there are at most three of use.
_MAX_EXTENSIONS = 8
# What may follow the end: writers fill up to a record, of 10 kB as a rule.
_MAX_PADDING_BYTES = 64 * 1024 * 1024

_REGULAR = {b"0", b"\0", b"7"}
# Links, devices, folders, pipes: their headers may name a size, and no data follow.
_WITHOUT_DATA = {b"1", b"2", b"3", b"4", b"5", b"6"}
_FOLDER, _LONG_LINK, _LONG_NAME, _SPARSE = b"5", b"K", b"L", b"S"
_PAX, _PAX_GLOBAL = {b"x", b"X"}, b"g"


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Parameters
    ----------
    name : str
        Its path, exactly as the archive says.
    kind : bytes
        The type flag of its header; `S` for every sort of sparse file.
    size_bytes : int
        How many bytes of data it claims.
    """

    name: str
    kind: bytes
    size_bytes: int

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return self.kind in _REGULAR and not self.name.endswith("/")

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == _FOLDER or (self.kind in _REGULAR and self.name.endswith("/"))


def read_members(stream: BinaryIO, limit_bytes: int) -> Iterator[tuple[Member, bytes | None]]:
    """Read an archive from its beginning to its end.

    Parameters
    ----------
    stream : binary file
        The archive, decompressed; read forwards only.
    limit_bytes : int
        Largest file that is read; the data of larger ones are passed over.

    Yields
    ------
    Member
        Each entry.
    bytes or None
        Its data; None where it is no plain file, or a larger one.

    Raises
    ------
    PacketCorrupt
        If the archive is damaged or ends early.
    OSError
        If it cannot be read.
    """
    source = _Source(stream)
    while (member := _next_member(source)) is not None:
        data = None
        if member.kind not in _WITHOUT_DATA:
            if member.is_file and member.size_bytes <= limit_bytes:
                data = source.read(member.size_bytes)
            else:
                source.skip(member.size_bytes)
            source.skip(-member.size_bytes % _BLOCK)
        yield member, data
    source.finish()


class _Source:
    """Reads exactly as much as it is asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def some(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except EOFError:
            raise PacketCorrupt("the archive ends early") from None
        except (BadGzipFile, zlib.error, isal_zlib.IsalError):  # type: ignore[misc]  # its stub gives an instance
            raise PacketCorrupt("the archive's gzip data are damaged") from None

    def read(self, size: int) -> bytes:
        data = self.some(size)
        if len(data) != size:
            raise PacketCorrupt("the archive ends early")
        return data

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.read(min(size, _CHUNK)))

    def extension(self, size: int) -> bytes:
        if size > _MAX_EXTENSION_BYTES:
            raise PacketCorrupt("a header of the archive is too long")
        return self.read(size + -size % _BLOCK)[:size]

    def finish(self) -> None:
        """Read what follows the end mark, at whose end gzip's checksum is."""
        left = _MAX_PADDING_BYTES
        while chunk := self.some(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise PacketCorrupt("the archive goes on after its end")


def _next_member(source: _Source) -> Member | None:
    """Read the next header, with the extended headers that belong to it; None at the end mark."""
    changes: dict[str, str] = {}
    for _ in range(_MAX_EXTENSIONS):
        block = source.read(_BLOCK)
        if block == _NOTHING:
            return None
        member = _parse(block)
        if member.kind in _PAX:
            changes |= _pax_records(source.extension(member.size_bytes))
        elif member.kind == _LONG_NAME:
            changes["path"] = _text(source.extension(member.size_bytes))
        elif member.kind in {_LONG_LINK, _PAX_GLOBAL}:
            source.extension(member.size_bytes)
        else:
            if member.kind == _SPARSE:
                _skip_sparse_map(source, block)
            return _changed(member, changes)
    raise PacketCorrupt("the archive has too many extended headers in a row")


def _parse(block: bytes) -> Member:
    """Read a header: name, size, type and checksum."""
    announced = _number(block[148:156])
    # The checksum is that of the header with blanks in its own place.
    if announced != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise PacketCorrupt("a header of the archive is damaged")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    return Member(name, block[156:157], _number(block[124:136]))


def _changed(member: Member, changes: dict[str, str]) -> Member:
    """Apply what extended headers say."""
    if "path" in changes:
        member = replace(member, name=changes["path"])
    if "size" in changes:
        member = replace(member, size_bytes=_decimal(changes["size"]))
    if any(key.startswith("GNU.sparse.") for key in changes):
        member = replace(member, kind=_SPARSE)
    return member


def _skip_sparse_map(source: _Source, block: bytes) -> None:
    """Pass over the further blocks of an old GNU sparse header; each says whether another follows."""
    more = block[482]
    while more:
        more = source.read(_BLOCK)[504]


def _pax_records(data: bytes) -> dict[str, str]:
    """Read records of the form `length key=value`, the length counting all of the record and its newline."""
    records: dict[str, str] = {}
    while data:
        digits, blank, _ = data.partition(b" ")
        length = _decimal(digits.decode("ascii", "replace"))
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not (blank and equals) or length > len(data) or not record.endswith(b"\n"):
            raise PacketCorrupt("an extended header of the archive is damaged")
        records[_text(key)] = value[:-1].decode("utf-8", "surrogateescape")
        data = data[length:]
    return records


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Read a number: octal digits, or GNU's binary form, which sets the first bit."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.translate(None, b"01234567"):
        raise PacketCorrupt("a header of the archive is damaged")
    return int(digits, 8) if digits else 0


def _decimal(text: str) -> int:
    # No size of 20 digits is one, and int() would accept signs and underscores.
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise PacketCorrupt("an extended header of the archive is damaged")
    return int(text)
