"""Asking the index beside the packs on S3, for what the local index does not know."""

import threading
import time
from collections.abc import Iterator

from stamp_service.errors import AlertNotFound, StoreUnavailable
from stamp_service.packets.bounded import Bounded
from stamp_service.stores.packed.bounds import BoundsTable
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.nights import Located, NightIndex
from stamp_service.stores.packed.objects import Objects
from stamp_service.stores.packed.pieces import Piece, find_entries, key_of
from stamp_service.stores.packed.publishing import PREFIX

# So long an alert that another machine just packed may be missing here.
_LISTING_LASTS_S = 5.0
# Pieces up to this size are read whole and kept: one night of ZTF, and what Rubin packs in some minutes.
_KEPT_BYTES, _KEPT_PIECES = 1024 * 1024, 128


class PublishedIndex:
    """The pieces of a survey's index.

    Parameters
    ----------
    objects : Objects
        The survey's objects.
    index : NightIndex
        The local index, which need not be asked twice.
    """

    def __init__(self, objects: Objects, index: NightIndex) -> None:
        self._objects = objects
        self._index = index
        self._own: dict[str, set[Piece]] = {}
        self._is_complete = False
        self._lock = threading.Lock()
        self._pieces: BoundsTable[tuple[Piece, int]] = BoundsTable(())
        self._listed = float("-inf")
        self._kept: Bounded[Piece, bytes] = Bounded(_KEPT_PIECES)

    def find(self, alert_id: str) -> Iterator[Located]:
        """Look an alert up.

        Parameters
        ----------
        alert_id : str
            The alert.

        Yields
        ------
        Located
            Where it may be: hashes of different ids can be the same, though they hardly ever are.

        Raises
        ------
        StoreUnavailable
            If S3 does not answer.
        """
        key, asked = key_of(alert_id), set()
        for _ in range(3):  # a piece that is gone was merged into another, which a new list has
            pieces = self._list()
            try:
                for piece, size in pieces.find(alert_id):
                    if piece not in asked:
                        yield from self._find_in(piece, size, key)
                        asked.add(piece)
            except AlertNotFound:
                self._listed = float("-inf")
            else:
                return
        raise StoreUnavailable("the index of the packed store changes faster than it can be read", retry_after_s=1)

    def _find_in(self, piece: Piece, size: int, key: bytes) -> Iterator[Located]:
        path = f"{PREFIX}{piece}"
        kept = self._kept.get(piece)
        if kept is None and 0 < size <= _KEPT_BYTES:
            kept = self._objects.read(path, 0, size)
            self._kept.put(piece, kept)

        def read(offset: int, length: int) -> bytes:
            if kept is not None:
                return kept[offset : offset + length]
            return self._objects.read(path, offset, length) if length else b""

        for entry in find_entries(key, size, read):
            yield Located(PackName(piece.night, entry.marker), entry.offset, entry.length)

    def forget(self) -> None:
        """Believe nothing any more about pieces and local index."""
        with self._lock:
            self._own.clear()
            self._listed = float("-inf")

    def _list(self) -> BoundsTable[tuple[Piece, int]]:
        """List the pieces and their sizes."""
        with self._lock:
            if time.monotonic() - self._listed > _LISTING_LASTS_S:
                listed_at = time.monotonic()
                named = ((Piece.read(key.removeprefix(PREFIX)), size) for key, size in self._objects.list(PREFIX))
                pieces = [(piece, size) for piece, size in named if piece is not None]
                self._check_complete({piece.night for piece, _ in pieces})
                foreign = [(piece, size) for piece, size in pieces if not self._is_own(piece)]
                self._pieces = BoundsTable((piece.bounds, (piece, size)) for piece, size in foreign)
                self._listed = listed_at
            return self._pieces

    def _check_complete(self, nights: set[str]) -> None:
        """Once, make sure that no night's index was lost: its alerts would seem to be absent."""
        if not self._is_complete:
            lost = set(self._objects.folders("packs/")) - nights - set(self._index.nights())
            if lost:
                raise StoreUnavailable(
                    f"the index of the packs of {min(lost)} is lost; `stamp-service pack --reindex` makes another"
                )
            self._is_complete = True

    def _is_own(self, piece: Piece) -> bool:
        """Say whether the local index has all that a piece has, because it was made of that index."""
        if piece not in self._own.setdefault(piece.night, set()):
            self._own[piece.night].update(self._index.pieces(piece.night))
        return piece in self._own[piece.night]
