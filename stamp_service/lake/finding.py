"""Finding the files of a lake that may hold an id."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from stamp_service.errors import StoreUnavailable
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.rows import LakeRow
from stamp_service.lake.segments import Entries, IdKind, Segment, SegmentTorn, join, key_of


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The segments at one state of the catalogue, and the paths of files that were found in them."""

    generation: tuple[int, int]
    by_kind: dict[IdKind, dict[str, Segment]]
    paths: dict[int, str | None] = field(default_factory=dict)


class Finder:
    """Searches one lake's segments in one process.

    Parameters
    ----------
    catalogue : Catalogue
        Lists the segments.
    lake : LakeRow
        Which lake.
    """

    def __init__(self, catalogue: Catalogue, lake: LakeRow) -> None:
        self._catalogue = catalogue
        self._lake = lake
        self._lock = threading.Lock()
        self._snapshot = _Snapshot((-1, -1), {"alert": {}, "object": {}})

    def paths_of_alert(self, alert_id: str) -> Iterator[str]:
        """List files that may hold an alert.

        Parameters
        ----------
        alert_id : str
            Which.

        Yields
        ------
        path : str
            A file; those that were indexed last come first.

        Raises
        ------
        StoreUnavailable
            If the index cannot be read.
        """
        snapshot = self._current()
        found = _find(snapshot, "alert", alert_id)
        for file in sorted(set(found.files.tolist()) if found else (), reverse=True):
            path = self._path(snapshot, file)
            if path is not None:
                yield path

    def paths_of_object(self, object_id: str) -> Iterator[tuple[float, str]]:
        """List files that may hold alerts of an object.

        Parameters
        ----------
        object_id : str
            Which.

        Yields
        ------
        time : float
            Latest time of the object's alerts in the file, as the file measures time; the latest comes first.
        path : str
            The file.

        Raises
        ------
        StoreUnavailable
            If the index cannot be read.
        """
        snapshot = self._current()
        found = _find(snapshot, "object", object_id)
        if found is None or found.times is None:
            return
        for time, file in sorted(zip(found.times.tolist(), found.files.tolist(), strict=True), reverse=True):
            path = self._path(snapshot, file)
            if path is not None:
                yield time, path

    def _current(self) -> _Snapshot:
        generation = self._catalogue.generation()
        snapshot = self._snapshot
        if snapshot.generation != generation:
            with self._lock:
                if self._snapshot.generation != generation:
                    self._snapshot = self._take(generation)
                snapshot = self._snapshot
        return snapshot

    def _path(self, snapshot: _Snapshot, file: int) -> str | None:
        if file not in snapshot.paths:
            snapshot.paths[file] = self._catalogue.path_of(file)
        return snapshot.paths[file]

    def _take(self, generation: tuple[int, int]) -> _Snapshot:
        """Open what is new, keep what is open, let go of what was merged."""
        try:
            return self._open(generation)
        except FileNotFoundError:
            # Merged between the look into the catalogue and the opening: it lists others now.
            pass
        except SegmentTorn:
            raise self._damaged() from None
        try:
            return self._open(self._catalogue.generation(now=True))
        except (FileNotFoundError, SegmentTorn):
            raise self._damaged() from None

    def _open(self, generation: tuple[int, int]) -> _Snapshot:
        by_kind: dict[IdKind, dict[str, Segment]] = {"alert": {}, "object": {}}
        for row in self._catalogue.segments(self._lake.id):
            known = self._snapshot.by_kind[row.kind].get(row.name)
            by_kind[row.kind][row.name] = known or Segment(self._catalogue.segment_path(self._lake.name, row.name))
        return _Snapshot(generation, by_kind)

    def _damaged(self) -> StoreUnavailable:
        return StoreUnavailable(f"the index of lake {self._lake.name} is damaged: it has to be added again", 60)


def _find(snapshot: _Snapshot, kind: IdKind, text: str) -> Entries | None:
    key = key_of(text)
    found = [entries for segment in snapshot.by_kind[kind].values() if len(entries := segment.find(key))]
    return join(found) if len(found) > 1 else next(iter(found), None)
