"""Upkeep of a lake's segments: few enough to search them all, each written few times."""

import secrets
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.catalogue_writer import CatalogueWriter
from stamp_service.lake.rows import LakeRow, SegmentRow
from stamp_service.lake.segments import Entries, IdKind, Segment, merge_segments, write_segment

# So many segments of about the same size become one, so an entry is written once per power of this number.
_FAN_IN = 8
# Kinds, for loops.
ID_KINDS: tuple[IdKind, ...] = ("alert", "object")

NewSegment = tuple[IdKind, str, int]


def write_new(catalogue: Catalogue, lake: LakeRow, entries: Entries) -> list[NewSegment]:
    """Write entries to a segment of their own, which the catalogue is still to be told of.

    Parameters
    ----------
    catalogue : Catalogue
        Says where segments are.
    lake : LakeRow
        The lake.
    entries : Entries
        What to write.

    Returns
    -------
    list of tuple
        Kind, name and size of the segment; nothing if there are no entries.
    """
    if not len(entries):
        return []
    name = _new_name(entries.kind)
    write_segment(catalogue.segment_path(lake.name, name), entries)
    return [(entries.kind, name, len(entries))]


def merge_some(catalogue: Catalogue, writer: CatalogueWriter, lake: LakeRow) -> None:
    """Merge segments of which there are too many of about the same size.

    Parameters
    ----------
    catalogue : Catalogue
        The catalogue.
    writer : CatalogueWriter
        Changes it.
    lake : LakeRow
        The lake.
    """
    sizes: dict[tuple[IdKind, int], list[SegmentRow]] = defaultdict(list)
    for row in catalogue.segments(lake.id):
        sizes[row.kind, _magnitude(row.count)].append(row)
    for rows in sizes.values():
        if len(rows) >= _FAN_IN:
            _merge(catalogue, writer, lake, rows)


def merge_all_small(catalogue: Catalogue, writer: CatalogueWriter, lake: LakeRow) -> None:
    """Merge what is small beside the largest segment, and everything once half of it is of files that are gone.

    Parameters
    ----------
    catalogue : Catalogue
        The catalogue.
    writer : CatalogueWriter
        Changes it.
    lake : LakeRow
        The lake.
    """
    files = catalogue.files(lake.id)
    needed = {"alert": sum(file.alerts for file in files), "object": sum(file.objects for file in files)}
    for kind in ID_KINDS:
        rows = [row for row in catalogue.segments(lake.id) if row.kind == kind]
        largest = max((row.count for row in rows), default=0)
        small = [row for row in rows if row.count * _FAN_IN < largest]
        if sum(row.count for row in rows) > 2 * needed[kind]:
            _merge(catalogue, writer, lake, rows)
        elif len(small) > 1:
            _merge(catalogue, writer, lake, small)


def _merge(catalogue: Catalogue, writer: CatalogueWriter, lake: LakeRow, rows: Sequence[SegmentRow]) -> None:
    name = _new_name(rows[0].kind)
    segments = [Segment(catalogue.segment_path(lake.name, row.name)) for row in rows]
    count = merge_segments(catalogue.segment_path(lake.name, name), segments, _live(catalogue, lake))
    merged: list[NewSegment] = [(rows[0].kind, name, count)] if count else []
    writer.commit(lake.id, segments=merged, merged=[row.id for row in rows])
    # Whoever reads them has them mapped, and keeps them until he looks into the catalogue again.
    for row in rows:
        catalogue.segment_path(lake.name, row.name).unlink(missing_ok=True)
    if not count:
        catalogue.segment_path(lake.name, name).unlink()


def _live(catalogue: Catalogue, lake: LakeRow) -> NDArray[np.bool_]:
    """Mark the numbers of files that exist; larger numbers than all of them are in no segment."""
    numbers = [file.id for file in catalogue.files(lake.id)]
    live = np.zeros(catalogue.last_number() + 1, bool)
    live[numbers] = True
    return live


def _magnitude(count: int) -> int:
    return (count.bit_length() - 1) // (_FAN_IN.bit_length() - 1)


def _new_name(kind: IdKind) -> str:
    return f"{kind}-{secrets.token_hex(8)}.seg"
