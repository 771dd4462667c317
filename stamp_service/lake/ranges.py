"""Reading several ranges of a file with as few requests as is sensible."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from stamp_service.lake.files import FileChanged, FileVersion, Range

# What lies between two ranges costs less than another request does.
_LARGEST_GAP_BYTES = 64 * 1024


def merge_ranges(ranges: Sequence[Range]) -> list[Range]:
    """Join the ranges that overlap or lie close together.

    Parameters
    ----------
    ranges : sequence of Range
        In any order.

    Returns
    -------
    list of Range
        What to read instead, in order; each range lies in exactly one of these, but for empty ones.
    """
    merged: list[Range] = []
    for start, length in sorted(piece for piece in ranges if piece.length):
        if merged and start - sum(merged[-1]) <= _LARGEST_GAP_BYTES:
            first = merged[-1].start
            merged[-1] = Range(first, max(sum(merged[-1]), start + length) - first)
        else:
            merged.append(Range(start, length))
    return merged


def read_merged(
    ranges: Sequence[Range], version: FileVersion, read: Callable[[Range], bytes], threads: Executor
) -> list[bytes]:
    """Read ranges: merged where they lie close, side by side otherwise.

    Parameters
    ----------
    ranges : sequence of Range
        What to read.
    version : FileVersion
        The version that they are meant for.
    read : callable
        Reads one range, of exactly its length.
    threads : concurrent.futures.Executor
        Reads all but the first.

    Returns
    -------
    list of bytes
        One for each range.

    Raises
    ------
    FileChanged
        If a range is not within this version.
    """
    if any(start < 0 or length < 0 or start + length > version.size_bytes for start, length in ranges):
        raise FileChanged("the file is shorter than a range")
    merged = merge_ranges(ranges)
    others = [threads.submit(read, piece) for piece in merged[1:]]
    bodies = [read(piece) for piece in merged[:1]] + [other.result() for other in others]
    return [_cut(piece, merged, bodies) for piece in ranges]


def _cut(piece: Range, merged: Sequence[Range], bodies: Sequence[bytes]) -> bytes:
    for (start, length), body in zip(merged, bodies, strict=True):
        if start <= piece.start and sum(piece) <= start + length:
            return body[piece.start - start : sum(piece) - start]
    return b""
