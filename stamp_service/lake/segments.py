"""Which files may hold an id: sorted runs of hashed ids, searched on disk.

A segment is one immutable file with a column of 64-bit keys in ascending order, for object ids a column with the
object's latest time in the file, and a column of file numbers. A key is a hash of the id's text, so what is found
is a hint: the file's own index compares the id itself.
"""

import mmap
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from stamp_service.lake.durable import written_whole

IdKind = Literal["alert", "object"]

# Magic with the format's version, kind, number of entries.
_HEADER = struct.Struct("<8s8sQ")
_COLUMNS_START = 64
_MAGIC = b"STMPSEG1"
_LAST_KEY = 2**64 - 1
# So few neighbours are searched by halving; they lie on one or two pages of the disk.
_FEW = 512
# Interpolation needs three steps for 10^10 keys that are spread evenly, as hashes are.
_MOST_STEPS = 8
# Entries that are merged at a time: some 60 MB of memory.
_AT_A_TIME = 1_000_000


def key_of(text: str) -> int:
    """Hash an id.

    Parameters
    ----------
    text : str
        The id.

    Returns
    -------
    int
        The first 64 bits of its BLAKE2b hash.
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def keys_of(texts: Iterable[bytes]) -> NDArray[np.uint64]:
    """Hash ids.

    Parameters
    ----------
    texts : iterable of bytes
        The ids' texts, encoded.

    Returns
    -------
    ndarray of uint64, shape (n,)
        Their keys, in the same order.
    """
    return np.frombuffer(b"".join([blake2b(text, digest_size=8).digest() for text in texts]), "<u8")


@dataclass(frozen=True, slots=True)
class Entries:
    """What segments are made of: one entry per alert id, or per object id and file.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n,)
        Hashed ids.
    files : ndarray of uint32, shape (n,)
        Numbers of the files that hold them.
    times : ndarray of float64, shape (n,), or None
        For objects: the latest time in that file, as the file measures time.
    """

    keys: NDArray[np.uint64]
    files: NDArray[np.uint32]
    times: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def kind(self) -> IdKind:
        """Which ids these are."""
        return "alert" if self.times is None else "object"

    def pick(self, places: "slice | NDArray[np.bool_] | NDArray[np.intp]") -> "Entries":
        """Select entries.

        Parameters
        ----------
        places : slice or ndarray
            Which, as numpy's indexing takes it.

        Returns
        -------
        Entries
            Those.
        """
        times = None if self.times is None else self.times[places]
        return Entries(self.keys[places], self.files[places], times)

    def sorted(self) -> "Entries":
        """Order entries by key.

        Returns
        -------
        Entries
            The same, sorted.
        """
        return self.pick(np.argsort(self.keys, kind="stable"))


def join(parts: Sequence[Entries]) -> Entries:
    """Put entries of one kind one after another.

    Parameters
    ----------
    parts : sequence of Entries
        At least one.

    Returns
    -------
    Entries
        All of them, not sorted.
    """
    times = [part.times for part in parts if part.times is not None]
    return Entries(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.files for part in parts]),
        np.concatenate(times) if times else None,
    )


class SegmentTorn(ValueError):
    """The file is no whole segment of this format."""


class Segment:
    """A segment on disk; it can be read as long as this object lives, even if the file is deleted meanwhile.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    FileNotFoundError
        If it does not exist.
    SegmentTorn
        If it is not whole.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes < _COLUMNS_START:
                raise SegmentTorn(path.name)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # Searches jump: what lies behind a key is not worth reading ahead.
        self._map.madvise(mmap.MADV_RANDOM)
        magic, kind, count = _HEADER.unpack_from(self._map)
        has_times = kind.rstrip(b"\0") == b"object"
        if magic != _MAGIC or size_bytes != _COLUMNS_START + count * (20 if has_times else 12):
            raise SegmentTorn(path.name)
        keys, times, files = _starts(count, has_times=has_times)
        self.entries = Entries(
            np.frombuffer(self._map, "<u8", count, keys),
            np.frombuffer(self._map, "<u4", count, files),
            np.frombuffer(self._map, "<f8", count, times) if has_times else None,
        )
        # Single elements of a memoryview come three times as fast as an array's.
        self._keys = memoryview(self._map)[keys:times].cast("Q")

    def find(self, key: int) -> Entries:
        """Look a key up.

        Parameters
        ----------
        key : int
            A hashed id.

        Returns
        -------
        Entries
            Those with this key; usually one or none.
        """
        keys = self._keys
        start = _first_from(keys, key)
        end = start
        if end < len(keys) and keys[end] == key:
            end = bisect_right(keys, key, start, min(start + _FEW, len(keys)))
        if end == start + _FEW:
            end = _first_from(keys, key + 1)
        return self.entries.pick(slice(start, end))

    def chunks(self, bounds: Sequence[int]) -> Iterator[Entries]:
        """Read all entries, in order.

        Parameters
        ----------
        bounds : sequence of int
            Keys between which to cut, ascending.

        Yields
        ------
        Entries
            Those before the first bound, those between it and the next, and so on.
        """
        cuts = [0, *(_first_from(self._keys, bound) for bound in bounds), len(self.entries)]
        for start, end in pairwise(cuts):
            yield self.entries.pick(slice(start, end))


def _starts(count: int, *, has_times: bool) -> tuple[int, int, int]:
    """Offsets of the columns: keys, times, files."""
    times = _COLUMNS_START + 8 * count
    return _COLUMNS_START, times, times + 8 * count * has_times


def _first_from(keys: memoryview, key: int) -> int:
    """Find the first position whose key is not smaller, by interpolation between two guesses around it."""
    low, high = 0, len(keys)
    below, above = -1, _LAST_KEY + 1
    for _ in range(_MOST_STEPS):
        span = high - low
        if span <= _FEW:
            break
        guess = low + (key - below) * span // (above - below)
        # Evenly spread keys are half the root of their number away from where they belong; this is four times it.
        reach = 2 * isqrt(span) + 1
        for place in (max(low, guess - reach), min(high - 1, guess + reach)):
            value = keys[place]
            if value >= key:
                high, above = place, value
                break
            low, below = place + 1, value
    return bisect_left(keys, key, low, high)


def write_segment(path: Path, entries: Entries) -> None:
    """Write a segment.

    Parameters
    ----------
    path : pathlib.Path
        Where to.
    entries : Entries
        What, in any order.
    """
    ordered = entries.sorted()
    with written_whole(path) as file:
        _write_header(file, ordered.kind, len(ordered))
        _write_columns(file, len(ordered), 0, ordered)


def merge_segments(
    path: Path, segments: Sequence[Segment], live: NDArray[np.bool_], at_a_time: int = _AT_A_TIME
) -> int:
    """Merge segments of one kind into one, without the entries of files that are gone.

    The key range is cut into pieces, so that the memory used does not depend on how many entries there are.

    Parameters
    ----------
    path : pathlib.Path
        Where to.
    segments : sequence of Segment
        What to merge.
    live : ndarray of bool, shape (n,)
        Which file numbers still exist.
    at_a_time : int
        Entries of a piece, about.

    Returns
    -------
    int
        How many entries were written.
    """
    total = sum(len(segment.entries) for segment in segments)
    pieces = total // at_a_time + 1
    bounds = [(_LAST_KEY + 1) * piece // pieces for piece in range(1, pieces)]
    count = sum(
        int(np.count_nonzero(live[segment.entries.files[start : start + at_a_time]]))
        for segment in segments
        for start in range(0, len(segment.entries), at_a_time)
    )
    with written_whole(path) as file:
        _write_header(file, segments[0].entries.kind, count)
        written = 0
        for parts in zip(*(segment.chunks(bounds) for segment in segments), strict=True):
            joined = join(parts)
            kept = joined.pick(live[joined.files]).sorted()
            _write_columns(file, count, written, kept)
            written += len(kept)
    return count


def _write_header(file: BinaryIO, kind: IdKind, count: int) -> None:
    file.write(_HEADER.pack(_MAGIC, kind.encode(), count).ljust(_COLUMNS_START, b"\0"))


def _write_columns(file: BinaryIO, count: int, first: int, entries: Entries) -> None:
    """Write some entries to their places in the columns of a segment of `count` entries."""
    keys, times, files = _starts(count, has_times=entries.times is not None)
    file.seek(keys + 8 * first)
    file.write(entries.keys.astype("<u8", copy=False).tobytes())
    if entries.times is not None:
        file.seek(times + 8 * first)
        file.write(entries.times.astype("<f8", copy=False).tobytes())
    file.seek(files + 4 * first)
    file.write(entries.files.astype("<u4", copy=False).tobytes())
