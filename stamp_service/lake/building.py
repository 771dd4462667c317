"""Making side indexes: from all of a file, once, or from its footer, ids and page headers only."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from stamp_service.lake.columns import Chunk, Column, Footer
from stamp_service.lake.files import Filesystem, FileVersion, Range
from stamp_service.lake.ids import Ids, read_ids
from stamp_service.lake.lake_file import LakeFile
from stamp_service.lake.offset_index import PageLocation, read_offset_indexes
from stamp_service.lake.pages import Page, find_values, readable_by_page, unpack, walk_pages
from stamp_service.lake.places import PAGE, CutoutIndex
from stamp_service.lake.side_index import SideIndex, Tier
from stamp_service.lake.snappy import fragment_offsets
from stamp_service.surveys.definition import Kind, Survey

# Read at once when all of a file is read.
_WINDOW_BYTES = 1 << 24
# From so many pages on a chunk's offset index is worth finding: to do so, thriftpy2 takes 20 to 40 ms.
_MANY_PAGES = 40
# Column chunks whose page headers are read side by side: a round trip for each page is slow enough.
_HOPPERS = 3
# Read at a page's start when only its header is wanted; longer headers are read again.
_FIRST_HEADER_BYTES = 1 << 10


class _NotByPage(Exception):
    """Pages of this file are for pyarrow."""


def build_index(files: Filesystem, path: str, version: FileVersion, survey: Survey) -> SideIndex:
    """Read all cutouts of a file and note where each of them is.

    Parameters
    ----------
    files : Filesystem
        Where the file is.
    path : str
        Which.
    version : FileVersion
        Its version.
    survey : Survey
        Whose alerts it holds.

    Returns
    -------
    SideIndex
        Of the fastest tier that the file allows.

    Raises
    ------
    PacketCorrupt
        If the file is damaged, encrypted, or not one of this survey's.
    FileChanged
        If it is another version.
    StoreUnavailable, StoreTimeout
        If it could not be read.
    ConfigurationError
        If the `lake` extra is not installed.
    """
    return _make(LakeFile(files, path, version), version, survey, _index_cutouts)


def scan_file(files: Filesystem, path: str, version: FileVersion, survey: Survey) -> SideIndex:
    """Note a file's rows and pages without reading its cutouts.

    Parameters
    ----------
    files : Filesystem
        Where the file is.
    path : str
        Which.
    version : FileVersion
        Its version.
    survey : Survey
        Whose alerts it holds.

    Returns
    -------
    SideIndex
        Of tier `page` or `pyarrow`.

    Raises
    ------
    PacketCorrupt
        If the file is damaged, encrypted, or not one of this survey's.
    FileChanged
        If it is another version.
    StoreUnavailable, StoreTimeout
        If it could not be read.
    ConfigurationError
        If the `lake` extra is not installed.
    """
    return _make(LakeFile(files, path, version), version, survey, _scan_cutouts)


# A page's first row, offset, compressed and uncompressed size.
_Record = tuple[int, int, int, int]
_Reader = Callable[[LakeFile, Footer], tuple[Tier, dict[Kind, CutoutIndex]]]


def _make(file: LakeFile, version: FileVersion, survey: Survey, read: _Reader) -> SideIndex:
    footer = Footer(file, survey)
    ids = _checked_ids(file, footer)
    tier: Tier = "pyarrow"
    cutouts = {kind: _unknown(column) for kind, column in footer.cutouts.items()}
    if all(readable_by_page(column) for column in footer.cutouts.values()):
        with suppress(_NotByPage):
            tier, cutouts = read(file, footer)
    file.close()
    return SideIndex(version, survey.name, tier, ids, groups=footer.groups, cutouts=cutouts)


def _checked_ids(file: LakeFile, footer: Footer) -> Ids:
    """Read the ids once their pages' sizes are known to be plausible."""
    columns = (footer.alert_id, footer.object_id, footer.time)
    chunks = [chunk for column in columns if column is not None for chunk in column.chunks]
    file.fetch([Range(chunk.start, chunk.length) for chunk in chunks])
    for chunk in chunks:
        for _ in walk_pages(file.view, chunk):
            pass
    return read_ids(footer)


def _unknown(column: Column) -> CutoutIndex:
    none = np.zeros(0, np.uint32)
    pages = np.zeros(0, np.uint8)
    return CutoutIndex(column.path, column.codec or "", column.max_level, none, pages, none, none, none)


@dataclass
class _Draft:
    """The parts of a CutoutIndex, page by page."""

    column: Column
    first_rows: list[int] = field(default_factory=list)
    pages: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    fragments: list[npt.NDArray[np.uint32]] = field(default_factory=list)
    fragment_count: int = 0
    fits: bool = True

    def add(self, page: Page, body: memoryview, codec: str) -> None:
        header = page.header
        header.check(body)
        plain = unpack(codec, body, header.uncompressed)
        values = find_values(plain, header.rows, self.column.max_level)
        start = values.start
        for end in values.ends:
            self.checksums.append(isal_zlib.crc32(plain[start + 4 : end]) if end > start else 0)
            start = end
        self.ends += values.ends
        self.locate(page.first_row, page.body, header.compressed, header.uncompressed, values.start)
        if self.fits:
            self._add_fragments(body, header.uncompressed, codec)

    def locate(self, first_row: int, offset: int, compressed: int, uncompressed: int, values: int = 0) -> None:
        self.first_rows.append(first_row)
        self.pages += PAGE.pack(offset, compressed, uncompressed, values, self.fragment_count)

    def _add_fragments(self, body: memoryview, size: int, codec: str) -> None:
        if codec == "UNCOMPRESSED":  # its values can be read where they are
            return
        offsets = fragment_offsets(body, size) if codec == "SNAPPY" else None
        if offsets is None:
            self.fits = False
        else:
            self.fragments.append(offsets)
            self.fragment_count += len(offsets)

    def finish(self, rows: int, *, with_fragments: bool) -> CutoutIndex:
        column = self.column
        fragments = self.fragments if with_fragments and self.fragments else [np.zeros(0, np.uint32)]
        return replace(
            _unknown(column),
            first_rows=np.array([*self.first_rows, rows], np.uint32),
            pages=np.frombuffer(bytes(self.pages), np.uint8),
            ends=np.array(self.ends, np.uint32),
            checksums=np.array(self.checksums, np.uint32),
            fragments=np.concatenate(fragments),
        )


def _index_cutouts(file: LakeFile, footer: Footer) -> tuple[Tier, dict[Kind, CutoutIndex]]:
    drafts = {kind: _Draft(column) for kind, column in footer.cutouts.items()}
    for draft in drafts.values():
        for chunk in draft.column.chunks:
            read = _ahead(file, chunk)
            for page in walk_pages(read, chunk):
                if not page.header.plain:
                    raise _NotByPage
                draft.add(page, read(page.body, page.header.compressed), chunk.codec)
    fits = all(draft.fits for draft in drafts.values())
    cutouts = {kind: draft.finish(footer.rows, with_fragments=fits) for kind, draft in drafts.items()}
    return "fragment" if fits else "page", cutouts


def _ahead(file: LakeFile, chunk: Chunk) -> Callable[[int, int], memoryview]:
    """Return what reads a chunk from its start to its end, much at once."""
    window = (0, 0)

    def read(start: int, length: int) -> memoryview:
        nonlocal window
        if not window[0] <= start <= start + length <= window[1]:
            window = (start, min(start + max(length, _WINDOW_BYTES), chunk.start + chunk.length))
            file.fetch([Range(start, window[1] - start)])
        return file.view(start, length)

    return read


def _scan_cutouts(file: LakeFile, footer: Footer) -> tuple[Tier, dict[Kind, CutoutIndex]]:
    drafts = {kind: _Draft(column) for kind, column in footer.cutouts.items()}
    owners = {chunk: draft for draft in drafts.values() for chunk in draft.column.chunks}
    many = _with_many_pages(file, list(owners))
    indexes = read_offset_indexes(file, many) if all(chunk.indexed for chunk in many) else {}

    def find(chunk: Chunk) -> list[_Record]:
        return _records_of(indexes[chunk]) if chunk in indexes else _hop(file, chunk)

    with ThreadPoolExecutor(_HOPPERS) as pool:
        for chunk, records in zip(owners, pool.map(find, owners), strict=True):
            for record in records:
                owners[chunk].locate(*record)
    return "page", {kind: draft.finish(footer.rows, with_fragments=False) for kind, draft in drafts.items()}


def _with_many_pages(file: LakeFile, chunks: Sequence[Chunk]) -> list[Chunk]:
    """List the chunks that are many times longer than their first page."""
    file.fetch([Range(chunk.start, min(_FIRST_HEADER_BYTES, chunk.length)) for chunk in chunks])
    many = []
    for chunk in chunks:
        header = next(walk_pages(file.view, chunk, _FIRST_HEADER_BYTES)).header
        if not header.plain:
            raise _NotByPage
        if chunk.length > _MANY_PAGES * (header.length + header.compressed):
            many.append(chunk)
    return many


def _records_of(locations: Sequence[PageLocation]) -> list[_Record]:
    # The headers are read with the pages: until then their uncompressed size is 0.
    return [(location.first_row, location.start, location.length, 0) for location in locations]


def _hop(file: LakeFile, chunk: Chunk) -> list[_Record]:
    pages = list(walk_pages(file.view, chunk, _FIRST_HEADER_BYTES))
    if not all(page.header.plain for page in pages):
        raise _NotByPage
    return [(page.first_row, page.body, page.header.compressed, page.header.uncompressed) for page in pages]
