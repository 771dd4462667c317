"""The indexes of a lake's files that are in use, opened when they are needed."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stamp_service.lake.building import scan_file
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.files import Filesystem, FileVersion
from stamp_service.lake.rows import FileRow, LakeRow
from stamp_service.lake.side_index import IndexTorn, SideIndex
from stamp_service.surveys import Survey

log = logging.getLogger(__name__)

# Most indexes that are kept open. One that is mapped from disk is a file and some pages that processes share; one
# that was made by scanning is in this process's memory alone, and counts as many.
_MOST = 1024
_SCANNED_COUNT = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is known of a file's index, as long as the catalogue says the same of the file.

    Parameters
    ----------
    digest : str or None
        The catalogue's index of it when this was found out.
    generation : tuple of int
        State of the catalogue at which that was last compared.
    index : SideIndex or None
        The index in use; None if the file turned out to be another version.
    distrusted : FileVersion or None
        The version that it is not, where there is no index.
    cost : int
        How much of the room it takes.
    """

    digest: str | None
    generation: tuple[int, int]
    index: SideIndex | None
    distrusted: FileVersion | None = None
    cost: int = 1


class OpenedIndexes:
    """Indexes of one lake's files in one process; those not used for longest are let go of.

    Parameters
    ----------
    catalogue : Catalogue
        Says which versions are indexed.
    lake : LakeRow
        Which lake.
    survey : Survey
        Whose alerts it holds.
    files : callable
        Opens the lake's file system.
    """

    def __init__(
        self, catalogue: Catalogue, lake: LakeRow, survey: Survey, files: Callable[[], Filesystem]
    ) -> None:
        self._catalogue = catalogue
        self._lake = lake
        self._survey = survey
        self._files = files
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._cost = 0

    def current(self, path: str) -> SideIndex:
        """Open the index of a file, in the version that the catalogue or the last look at the file says.

        Parameters
        ----------
        path : str
            The file.

        Returns
        -------
        SideIndex
            Its index: from the disk if it has one, otherwise made from the file's footer and id columns.

        Raises
        ------
        LakeFileNotFound
            If the file is not indexed and does not exist.
        FileChanged
            If it is being rewritten.
        PacketCorrupt
            If it is not indexed and no such file as the survey's lakes have.
        StoreUnavailable
            If the catalogue or the file system could not be asked.
        """
        generation = self._catalogue.generation()
        entry = self._get(path)
        if entry is not None and entry.index is not None and entry.generation == generation:
            return entry.index
        row = self._catalogue.file(self._lake.id, path)
        digest = row.digest if row else None
        if entry is not None and entry.digest != digest:
            entry = None
        index = entry.index if entry is not None else self._load(row)
        cost = entry.cost if entry is not None else 1
        if index is None:
            index = self._look(path, row, entry.distrusted if entry is not None else None)
            cost = _SCANNED_COUNT
        self._put(path, _Entry(digest, generation, index, cost=cost))
        return index

    def distrust(self, path: str, index: SideIndex) -> None:
        """Note that a file is no longer what its index says: the file system is asked the next time.

        Parameters
        ----------
        path : str
            The file.
        index : SideIndex
            The index that does not fit.
        """
        entry = self._get(path)
        if entry is not None and entry.index is index:
            self._put(path, _Entry(entry.digest, entry.generation, None, index.version))

    def _look(self, path: str, row: FileRow | None, distrusted: FileVersion | None) -> SideIndex:
        """Ask the file system for the file's version, and find or make the index of that."""
        version = self._files().version(path)
        if row is not None and row.version == version != distrusted:
            index = self._load(row)
            if index is not None:
                return index
        return scan_file(self._files(), path, version, self._survey)

    def _load(self, row: FileRow | None) -> SideIndex | None:
        if row is None:
            return None
        file = self._catalogue.index_path(self._lake.name, row.digest)
        try:
            index = SideIndex.load(file)
        except FileNotFoundError:
            # Replaced a moment ago, or lost.
            log.info("lake %s: the index of %s is gone", self._lake.name, row.path)
            return None
        except IndexTorn:
            log.warning("lake %s: the index of %s is torn, add the lake again", self._lake.name, row.path)
            # `lake add` looks for indexes that are missing, and does not read those that are there.
            with suppress(OSError):
                file.unlink(missing_ok=True)
            return None
        return index if index.version == row.version else None

    def _get(self, path: str) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(path)
            if entry is not None:
                self._entries.move_to_end(path)
            return entry

    def _put(self, path: str, entry: _Entry) -> None:
        with self._lock:
            former = self._entries.pop(path, None)
            self._cost += entry.cost - (former.cost if former is not None else 0)
            self._entries[path] = entry
            while self._cost > _MOST:
                self._cost -= self._entries.popitem(last=False)[1].cost
