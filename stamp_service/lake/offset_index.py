"""Parquet's offset indexes: where all pages of a column chunk are, without going from one to the next."""

from collections.abc import Sequence
from typing import NamedTuple

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.columns import Chunk
from stamp_service.lake.files import Range
from stamp_service.lake.lake_file import LakeFile
from stamp_service.lake.pages import parse_struct

_DAMAGED = "the Parquet file's page index is damaged"


class PageLocation(NamedTuple):
    """Where a page is.

    Parameters
    ----------
    first_row : int
        The file's row that it starts with.
    start, length : int
        Where it is in the file, its header included.
    """

    first_row: int
    start: int
    length: int


def read_offset_indexes(file: LakeFile, chunks: Sequence[Chunk]) -> dict[Chunk, list[PageLocation]]:
    """Read the offset indexes of column chunks that have one.

    Parameters
    ----------
    file : LakeFile
        The file.
    chunks : sequence of Chunk
        Which.

    Returns
    -------
    dict
        The pages of each chunk with an offset index, in the order of their rows.

    Raises
    ------
    PacketCorrupt
        If an index is damaged, or speaks of pages that cannot be.
    FileChanged
        If the file is another version.
    """
    indexed = [chunk for chunk in chunks if chunk.indexed]
    if not indexed:
        return {}
    ranges = _index_ranges(file, indexed)
    file.fetch(ranges)
    return {chunk: _locations(bytes(file.view(*span)), chunk) for chunk, span in zip(indexed, ranges, strict=True)}


def _index_ranges(file: LakeFile, chunks: Sequence[Chunk]) -> list[Range]:
    length = int.from_bytes(file.view(file.size - 8, 4), "little")
    footer, _ = parse_struct("FileMetaData", bytes(file.view(file.size - 8 - length, length)))
    ranges = []
    try:
        for group, number in (chunk.indexed for chunk in chunks if chunk.indexed):
            place = footer.row_groups[group].columns[number]
            ranges.append(Range(place.offset_index_offset, place.offset_index_length))
    except (TypeError, IndexError):
        raise PacketCorrupt(_DAMAGED) from None
    for span in ranges:
        if None in span or not 0 < span.start < span.start + span.length < file.size:
            raise PacketCorrupt(_DAMAGED)
    return ranges


def _locations(data: bytes, chunk: Chunk) -> list[PageLocation]:
    index, _ = parse_struct("OffsetIndex", data)
    found = [
        PageLocation(chunk.first_row + page.first_row_index, page.offset, page.compressed_page_size)
        for page in index.page_locations
    ]
    rows = [location.first_row for location in found]
    if (
        rows != sorted(set(rows))
        or not found
        or rows[0] != chunk.first_row
        or rows[-1] >= chunk.first_row + chunk.rows
    ):
        raise PacketCorrupt(_DAMAGED)
    if any(page.start < chunk.start or page.start + page.length > chunk.start + chunk.length for page in found):
        raise PacketCorrupt(_DAMAGED)
    return found
