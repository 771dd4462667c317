"""The index beside packs on S3: sorted entries of one width, which a range read finds something in.

A piece is an array of 32-byte entries, in ascending order: 8 bytes of the alert id's hash, the pack's sync marker,
the block's offset and length (big-endian). Hashes are spread evenly, so the place of an entry is known to within
some thousand others, and one read of that neighbourhood finds it. The night stands in the piece's name, and so
do the bounds of its alert ids.
"""

import math
import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote, unquote

from stamp_service.stores.packed.bounds import Bounds

KEY_BYTES = 8
_ENTRY = struct.Struct(">8s16sII")
ENTRY_BYTES = _ENTRY.size
SUFFIX = ".index"
# Standard deviations on either side of the expected place: one search in 16,000 needs a second read.
_MARGIN = 4


class Piece(NamedTuple):
    """A piece's name: its night, how often it was merged, its ids' bounds, and a word that no other has."""

    night: str
    level: int
    bounds: Bounds
    word: str

    @classmethod
    def read(cls, text: str) -> "Piece | None":
        """Read a name.

        Parameters
        ----------
        text : str
            What `str` made of it.

        Returns
        -------
        Piece or None
            The piece; None if this is not the name of one.
        """
        night, _, rest = text.removesuffix(SUFFIX).partition("/")
        level, *ids, word = rest.split(",") if "," in rest else ("", "")
        if not level.isdecimal() or len(ids) % 2 or not text.endswith(SUFFIX):
            return None
        ranges = zip(map(unquote, ids[::2]), map(unquote, ids[1::2]), strict=True)
        return cls(night, int(level), Bounds(tuple(ranges)), word)

    def __str__(self) -> str:
        ids = (quote(alert_id, safe="") for bounds in self.bounds.ranges for alert_id in bounds)
        return f"{self.night}/{','.join((str(self.level), *ids, self.word))}{SUFFIX}"


class Entry(NamedTuple):
    """An entry: the pack's marker, and where in it the block lies."""

    marker: bytes
    offset: int
    length: int


def key_of(alert_id: str) -> bytes:
    """Hash an alert id.

    Parameters
    ----------
    alert_id : str
        The id.

    Returns
    -------
    bytes
        Eight bytes.
    """
    return blake2b(alert_id.encode(), digest_size=KEY_BYTES).digest()


def write_entry(key: bytes, marker: bytes, offset: int, length: int) -> bytes:
    """Write an entry.

    Parameters
    ----------
    key : bytes
        The alert id's hash.
    marker : bytes
        The pack's sync marker.
    offset : int
        Where the block starts in the pack.
    length : int
        How long it is.

    Returns
    -------
    bytes
        32 bytes.
    """
    return _ENTRY.pack(key, marker, offset, length)


def find_entries(key: bytes, size_bytes: int, read: Callable[[int, int], bytes]) -> list[Entry]:
    """Find what a piece has under a key.

    Parameters
    ----------
    key : bytes
        The alert id's hash.
    size_bytes : int
        The piece's size.
    read : callable
        Takes offset and length in bytes, and reads that much of the piece.

    Returns
    -------
    list of Entry
        Those with this key; hardly ever more than one.
    """
    count = size_bytes // ENTRY_BYTES
    fraction = int.from_bytes(key, "big") / 2 ** (8 * KEY_BYTES)
    margin = math.ceil(_MARGIN * math.sqrt(count * fraction * (1 - fraction))) + _MARGIN
    start, stop = max(0, int(fraction * count) - margin), min(count, int(fraction * count) + margin)
    while True:
        window = read(start * ENTRY_BYTES, (stop - start) * ENTRY_BYTES)
        first, last = window[:KEY_BYTES], window[-ENTRY_BYTES:][:KEY_BYTES]
        lower = start > 0 and first >= key
        higher = stop < count and last <= key
        if not (lower or higher):
            return list(_matches(window, key))
        start, stop = max(0, start - lower * margin), min(count, stop + higher * margin)


def _matches(window: bytes, key: bytes) -> Iterator[Entry]:
    low, high = 0, len(window) // ENTRY_BYTES
    while low < high:
        middle = (low + high) // 2
        at = middle * ENTRY_BYTES
        if window[at : at + KEY_BYTES] < key:
            low = middle + 1
        else:
            high = middle
    for position in range(low * ENTRY_BYTES, len(window) - ENTRY_BYTES + 1, ENTRY_BYTES):
        found, *entry = _ENTRY.unpack_from(window, position)
        if found != key:
            return
        yield Entry(*entry)
