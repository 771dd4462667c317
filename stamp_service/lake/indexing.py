"""Indexing one file: its side index on disk, and what it adds to the lake's segments."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stamp_service.lake.building import build_index
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.durable import written_whole
from stamp_service.lake.files import FileChanged, Filesystem, FileVersion
from stamp_service.lake.ids import NO_ID
from stamp_service.lake.rows import FileRow, LakeRow, index_digest
from stamp_service.lake.segments import Entries, keys_of
from stamp_service.lake.side_index import IndexTorn, SideIndex
from stamp_service.surveys import Survey

# A file that is rewritten while it is read is read again this often in all.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Indexed:
    """A file whose index is on the disk, and not in the catalogue yet.

    Parameters
    ----------
    path : str
        The file.
    version : FileVersion
        The version that was indexed.
    digest : str
        The index's name.
    index_bytes : int
        The index's size.
    alerts : int
        Rows.
    tier : str
        The fastest way its cutouts can be read.
    alert_keys, object_keys : ndarray of uint64
        Hashed ids; each object once.
    object_times : ndarray of float64
        Each object's latest time in the file; minus infinity where none is known.
    """

    path: str
    version: FileVersion
    digest: str
    index_bytes: int
    alerts: int
    tier: str
    alert_keys: NDArray[np.uint64]
    object_keys: NDArray[np.uint64]
    object_times: NDArray[np.float64]

    def row(self, number: int) -> FileRow:
        """Describe the file for the catalogue.

        Parameters
        ----------
        number : int
            The number that it gets.

        Returns
        -------
        FileRow
            The row.
        """
        return FileRow(
            number,
            self.path,
            self.version,
            self.digest,
            self.index_bytes,
            self.alerts,
            len(self.object_keys),
            self.tier,
        )

    def entries(self, number: int) -> tuple[Entries, Entries]:
        """Make what goes into segments.

        Parameters
        ----------
        number : int
            The number that the file gets.

        Returns
        -------
        alerts, objects : Entries
            An entry for each.
        """
        alerts = np.full(len(self.alert_keys), number, np.uint32)
        objects = np.full(len(self.object_keys), number, np.uint32)
        return Entries(self.alert_keys, alerts), Entries(self.object_keys, objects, self.object_times)


@dataclass(frozen=True, slots=True)
class Indexer:
    """Indexes the files of one lake; used by several threads at once.

    Parameters
    ----------
    catalogue : Catalogue
        Says where indexes are.
    lake : LakeRow
        The lake.
    survey : Survey
        Whose alerts it holds.
    files : Filesystem
        Its file system.
    """

    catalogue: Catalogue
    lake: LakeRow
    survey: Survey
    files: Filesystem

    def index(self, path: str, version: FileVersion) -> Indexed:
        """Build a file's index and write it, unless an interrupted run left it.

        Parameters
        ----------
        path : str
            The file.
        version : FileVersion
            The version that was seen last.

        Returns
        -------
        Indexed
            What is to go into the catalogue.

        Raises
        ------
        LakeFileNotFound
            If the file is gone.
        FileChanged
            If it is being rewritten all the time.
        PacketCorrupt
            If it is damaged or not of this survey.
        StoreUnavailable
            If it could not be read.
        """
        for attempt in range(_ATTEMPTS):
            digest = index_digest(self.lake.url, path, version)
            target = self.catalogue.index_path(self.lake.name, digest)
            try:
                index = SideIndex.load(target)
                if (index.version, index.survey_name) == (version, self.survey.name):
                    return _describe(path, digest, target.stat().st_size, index)
            except (FileNotFoundError, IndexTorn):
                pass
            try:
                index = build_index(self.files, path, version, self.survey)
            except FileChanged:
                if attempt + 1 == _ATTEMPTS:
                    raise
                version = self.files.version(path)
                continue
            data = index.dump()
            with written_whole(target) as file:
                file.write(data)
            return _describe(path, digest, len(data), index)
        raise AssertionError("the last attempt returns or raises")


def _describe(path: str, digest: str, index_bytes: int, index: SideIndex) -> Indexed:
    objects, times = _latest(index.object_ids, index.times)
    return Indexed(
        path=path,
        version=index.version,
        digest=digest,
        index_bytes=index_bytes,
        alerts=index.rows,
        tier=index.tier,
        alert_keys=keys_of(_texts(index.alert_ids)),
        object_keys=keys_of(_texts(objects)),
        object_times=times,
    )


def _latest(objects: NDArray[Any], times: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Find each object's latest time, in the order of their ids."""
    # As in side indexes: a row without a time is earlier than all others.
    times = np.nan_to_num(times, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order = np.lexsort((times, objects))
    named = order[objects[order] != _nothing(objects)]
    last = np.append(objects[named][1:] != objects[named][:-1], np.ones(min(1, len(named)), bool))
    return objects[named][last], times[named][last]


def _texts(ids: NDArray[Any]) -> list[bytes]:
    """Write ids as requests do; rows without one are left out."""
    ids = ids[ids != _nothing(ids)]
    return ids.tolist() if ids.dtype.kind == "S" else [b"%d" % number for number in ids.tolist()]


def _nothing(ids: NDArray[Any]) -> int | bytes:
    return b"" if ids.dtype.kind == "S" else NO_ID
