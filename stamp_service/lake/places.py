"""Where in a file the cutouts of one kind are."""

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stamp_service.lake.snappy import FRAGMENT_BYTES

# A page: offset in the file, compressed and uncompressed bytes, where its values start, its first fragment.
PAGE = struct.Struct("<QIIII")


class Place(NamedTuple):
    """Where a page is, and where in it a value.

    Parameters
    ----------
    offset, compressed, uncompressed : int
        Where the page's body is in the file, and its bytes as stored and as it was.
    row : int
        The value's number in the page.
    rows : int
        Values in the page.
    start, end : int
        Where the value is in the uncompressed page, its length before it included; both 0 when unknown.
    checksum : int
        CRC-32 of its bytes.
    first, last : int
        Offsets in the body between which the value can be read alone: its fragments, or it itself; both 0 when
        unknown.
    """

    offset: int
    compressed: int
    uncompressed: int
    row: int
    rows: int
    start: int
    end: int
    checksum: int
    first: int
    last: int


@dataclass(frozen=True)
class CutoutIndex:
    """Where the cutouts of one kind are.

    Arrays may be empty where they are not known: all but the column's name for the tier `pyarrow`; ends, checksums
    and fragments for files that were only scanned.

    Parameters
    ----------
    column : str
        The column's dotted path in the file.
    codec : str
        How its pages are compressed.
    max_level : int
        The definition level of values that are not null.
    first_rows : ndarray of shape (n_pages + 1,), uint32
        The row that each page starts with, and the number of rows.
    pages : ndarray of uint8
        Packed records, one per page; see `PAGE`. Where the uncompressed size is 0, its header is still to be
        read: it is where the offset says, and part of the compressed size.
    ends : ndarray of shape (n_rows,), uint32
        Where each value ends in its uncompressed page; a null ends where the one before it does.
    checksums : ndarray of shape (n_rows,), uint32
        CRC-32 of each value; 0 for null.
    fragments : ndarray of uint32
        Offsets of all Snappy fragments in their pages' bodies, page after page.
    """

    column: str
    codec: str
    max_level: int
    first_rows: npt.NDArray[np.uint32]
    pages: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.uint32]
    checksums: npt.NDArray[np.uint32]
    fragments: npt.NDArray[np.uint32]

    ARRAYS = ("first_rows", "pages", "ends", "checksums", "fragments")

    @cached_property
    def _views(self) -> tuple[memoryview, ...]:
        # Single elements of a memoryview come three times as fast as an array's.
        return tuple(memoryview(getattr(self, name)) for name in self.ARRAYS)

    def place(self, row: int) -> Place | None:
        """Find a row's value.

        Parameters
        ----------
        row : int
            The row in the file.

        Returns
        -------
        Place or None
            Where it is; None if it is known to be null.
        """
        first_rows, pages, ends, checksums, fragments = self._views
        number = bisect_right(first_rows, row) - 1
        first_row, end_row = first_rows[number : number + 2]
        record = PAGE.unpack_from(pages, number * PAGE.size)
        offset, compressed, uncompressed, values_start, first_fragment = record
        start = end = checksum = first = last = 0
        if len(ends):
            start = first = ends[row - 1] if row > first_row else values_start
            end = last = ends[row]
            checksum = checksums[row]
            if start == end:
                return None
            if len(fragments):
                after = -(-end // FRAGMENT_BYTES)
                is_last = after * FRAGMENT_BYTES >= uncompressed
                first = fragments[first_fragment + start // FRAGMENT_BYTES]
                last = compressed if is_last else fragments[first_fragment + after]
        rows = end_row - first_row
        return Place(offset, compressed, uncompressed, row - first_row, rows, start, end, checksum, first, last)
