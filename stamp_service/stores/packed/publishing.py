"""Writing the index beside the packs on S3: one piece per pack at first, merged as they become many."""

import secrets
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

from stamp_service.errors import StoreUnavailable
from stamp_service.stores.packed.bounds import Bounds
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.nights import NightIndex
from stamp_service.stores.packed.objects import Objects
from stamp_service.stores.packed.pieces import Piece

PREFIX = "index/"
# So many pieces of single packs become one; whatever is left of a night becomes one when it is over.
_MERGED_AT = 64
_PACK, _RUN, _NIGHT = range(3)
# Nights in which a merge may have been missed, because the writer was stopped or S3 away.
_RECENT_NIGHTS = 7


class Publisher:
    """Keeps the pieces in step with a local index; for one thread at a time.

    Parameters
    ----------
    objects : Objects
        The survey's objects.
    index : NightIndex
        The local index, which remembers what was published.
    """

    def __init__(self, objects: Objects, index: NightIndex) -> None:
        self._objects = objects
        self._index = index

    def add(self, pack: PackName) -> None:
        """Publish where the alerts of a pack are, and merge pieces if they have become many.

        Parameters
        ----------
        pack : PackName
            A pack that is in the local index.

        Raises
        ------
        StoreUnavailable
            If S3 does not take it.
        """
        self._publish(pack.night, _PACK, {pack}, pack.marker.hex())
        single = [piece for piece in self._index.pieces(pack.night) if piece.level == _PACK]
        if len(single) >= _MERGED_AT:
            packs = {PackName(piece.night, bytes.fromhex(piece.word)) for piece in single}
            self._publish(pack.night, _RUN, packs)
            self._remove(pack.night, single)
        past = [night for night in self._index.nights() if night < pack.night]
        for night in past[-_RECENT_NIGHTS:]:
            self.merge_night(night)

    def merge_night(self, night: str) -> None:
        """Make one piece of all that this index published of a night.

        Parameters
        ----------
        night : str
            The night.

        Raises
        ------
        StoreUnavailable
            If S3 does not take it.
        """
        pieces = self._index.pieces(night)
        if len(pieces) == 1:
            return
        self._publish(night, _NIGHT, None)
        self._remove(night, pieces)

    def _publish(
        self, night: str, level: int, packs: Collection[PackName] | None, word: str | None = None
    ) -> None:
        """Write a piece; entries go through a file, since a night of Rubin has 320 MB of them."""
        with NamedTemporaryFile(prefix="stamp-index-") as file:

            def write() -> Iterator[str]:
                for alert_id, entry in self._index.entries(night, packs):
                    file.write(entry)
                    yield alert_id

            piece = Piece(night, level, Bounds.of(write()), word or secrets.token_hex(8))
            file.flush()
            # Noted first, so that this machine never asks S3 for what its own index has. An upload that fails is
            # made again: the pack is still in the spool, or the pieces that were to be merged are still noted.
            self._index.note_pieces(night, new=[piece])
            self._objects.put_file(f"{PREFIX}{piece}", Path(file.name))

    def _remove(self, night: str, pieces: Collection[Piece]) -> None:
        for piece in pieces:
            self._objects.delete(f"{PREFIX}{piece}")
        self._index.note_pieces(night, gone=pieces)

    def republish(self, night: str) -> None:
        """Replace all pieces of a night, whoever published them, by one of this index.

        Parameters
        ----------
        night : str
            A night whose packs are all in the local index.

        Raises
        ------
        StoreUnavailable
            If S3 does not take it.
        """
        listed = (Piece.read(key.removeprefix(PREFIX)) for key, _ in self._objects.list(f"{PREFIX}{night}/"))
        pieces = [piece for piece in listed if piece is not None]
        if not self._index.packs(night):
            raise StoreUnavailable("the packed store has no packs of this night")
        self._publish(night, _NIGHT, None)
        self._remove(night, pieces)
