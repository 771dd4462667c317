"""A registered lake: rows by file and id, or by id alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from stamp_service.errors import (
    AlertNotFound,
    LakeFileNotFound,
    NotFound,
    ObjectNotFound,
    PacketCorrupt,
    RequestError,
    StoreUnavailable,
)
from stamp_service.lake.alert import LakeAlert
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.files import FileChanged, Filesystem
from stamp_service.lake.finding import Finder
from stamp_service.lake.opened import OpenedIndexes
from stamp_service.lake.opening import LakeAccess, open_filesystem
from stamp_service.lake.paths import check_path
from stamp_service.lake.reading import read_cutouts, read_record
from stamp_service.lake.rows import LakeRow
from stamp_service.lake.side_index import SideIndex, Tier
from stamp_service.remote.processes import PerProcess
from stamp_service.surveys import Kind, Survey

T = TypeVar("T")
ReadListener = Callable[[Tier, float], None]
# A file that changes more often than this while one of its rows is read is left to whoever asks later.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class LakeCutouts:
    """Cutouts of one row.

    Parameters
    ----------
    alert_id : str
        The row's alert.
    object_id : str or None
        Its object; None where the survey gave none.
    cutouts : dict of str to bytes
        FITS files, gzipped or not, by kind; those that are null are missing.
    tier : str
        How they were read.
    time : float
        When the alert was measured, as the file measures time; NaN if it does not say.
    """

    alert_id: str
    object_id: str | None
    cutouts: dict[Kind, bytes]
    tier: Tier
    time: float


class _Question(NamedTuple):
    """Which row: the ids decide, a path restricts them to one file."""

    path: str | None
    alert_id: str | None
    object_id: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A row of a file, as an index of it says."""

    path: str
    index: SideIndex
    row: int


class Lake:
    """A lake of one survey; may be used by many threads, and by processes forked from the one that made it.

    Parameters
    ----------
    row : LakeRow
        What the catalogue says of it.
    survey : Survey
        Whose alerts it holds.
    catalogue : Catalogue
        Where its files are known.
    access : LakeAccess
        How its file system is reached.
    on_read : callable, optional
        Told of each read of cutouts: the tier, and the seconds from the ids to the bytes.
    """

    def __init__(
        self,
        row: LakeRow,
        survey: Survey,
        catalogue: Catalogue,
        access: LakeAccess,
        on_read: ReadListener | None = None,
    ) -> None:
        self.name = row.name
        self.url = row.url
        self.survey = survey
        self._catalogue = catalogue
        self._on_read = on_read
        # Opened when it is first needed: a lake that cannot be reached keeps nobody from the others.
        self._files: PerProcess[Filesystem] = PerProcess(lambda: open_filesystem(row.url, access))
        self._finder = PerProcess(lambda: Finder(catalogue, row))
        self._indexes = PerProcess(lambda: OpenedIndexes(catalogue, row, survey, self._files))

    def read(
        self,
        kinds: Sequence[Kind],
        *,
        path: str | None = None,
        alert_id: str | None = None,
        object_id: str | None = None,
    ) -> LakeCutouts:
        """Read cutouts of one row.

        Parameters
        ----------
        kinds : sequence of str
            Which cutouts.
        path : str, optional
            The file, relative to the lake's root, as it came from outside; otherwise it is looked up.
        alert_id : str, optional
            The alert.
        object_id : str, optional
            The object: its latest alert without an `alert_id`, otherwise what the alert must be of.

        Returns
        -------
        LakeCutouts
            The cutouts that the row has.

        Raises
        ------
        RequestError
            If the path could be outside of the lake, or no id is given.
        LakeFileNotFound
            If the lake has no such file.
        AlertNotFound, ObjectNotFound
            If there is no such row.
        StoreUnavailable
            If the lake could not be asked, or the file is being rewritten.
        PacketCorrupt
            If the file is damaged.
        """
        if alert_id is None and object_id is None:
            raise RequestError("an alert id or an object id is needed")
        question = _Question(None if path is None else check_path(path), alert_id, object_id)

        def fetch(place: _Place) -> LakeCutouts:
            index, row = place.index, place.row
            cutouts, tier = read_cutouts(self._files(), place.path, index, row, kinds)
            return LakeCutouts(index.alert_id(row), index.object_id(row), cutouts, tier, index.time(row))

        started_s = perf_counter()
        found = self._at(question, fetch)
        if self._on_read is not None:
            self._on_read(found.tier, perf_counter() - started_s)
        return found

    def alert(self, alert_id: str, object_id: str | None = None) -> LakeAlert:
        """Find an alert.

        Parameters
        ----------
        alert_id : str
            Which.
        object_id : str, optional
            The object that it must be of.

        Returns
        -------
        LakeAlert
            The alert; what is in it is read when it is asked for.

        Raises
        ------
        AlertNotFound
            If the lake does not have it.
        StoreUnavailable
            If the lake could not be asked.
        """

        def describe(place: _Place) -> LakeAlert:
            index, row = place.index, place.row
            return LakeAlert(self, index.alert_id(row), index.object_id(row), index.kinds(row))

        return self._at(_Question(None, alert_id, object_id), describe)

    def record(self, alert_id: str) -> dict[str, Any]:
        """Read the whole row of an alert but its cutouts.

        Parameters
        ----------
        alert_id : str
            Which.

        Returns
        -------
        dict
            Column names to values, nested as they are in the file.

        Raises
        ------
        AlertNotFound
            If the lake does not have it.
        StoreUnavailable
            If the lake could not be asked.
        PacketCorrupt
            If the file is damaged.
        """

        def fetch(place: _Place) -> dict[str, Any]:
            return read_record(self._files(), place.path, place.index, place.row, self.survey)

        return self._at(_Question(None, alert_id, None), fetch)

    def check(self) -> None:
        """Find out whether the lake can be read now.

        Raises
        ------
        StoreUnavailable
            If it cannot.
        """
        self._files().check()

    def close(self) -> None:
        """Let go of connections; harmless when called again."""
        files = self._files.take()
        if files is not None:
            files.close()

    def _at(self, question: _Question, use: Callable[[_Place], T]) -> T:
        """Do something with a row, again as long as its file turns out to be another than it was thought to be."""
        for _ in range(_ATTEMPTS):
            place = None
            try:
                place = self._locate(question)
                return use(place)
            except FileChanged:
                if place is not None:
                    self._indexes().distrust(place.path, place.index)
        raise StoreUnavailable(f"a file of lake {self.name} is being rewritten", retry_after_s=1)

    def _locate(self, question: _Question) -> _Place:
        if question.path is not None:
            place = self._in_file(question.path, question)
        else:
            generation = self._catalogue.generation()
            place = self._anywhere(question)
            if place is None and self._catalogue.generation(now=True) != generation:
                # Files were added or replaced a moment ago.
                place = self._anywhere(question)
        return place or self._absent(question)

    def _in_file(self, path: str, question: _Question) -> _Place | None:
        indexes = self._indexes()
        index = indexes.current(path)
        row = _row_of(index, question)
        if row is None and self._files().version(path) != index.version:
            # The row may be in a version that was written since.
            indexes.distrust(path, index)
            index = indexes.current(path)
            row = _row_of(index, question)
        return None if row is None else _Place(path, index, row)

    def _anywhere(self, question: _Question) -> _Place | None:
        if question.alert_id is None:
            return self._by_object(question)
        return self._by_alert(question.alert_id, question)

    def _by_alert(self, alert_id: str, question: _Question) -> _Place | None:
        damage: PacketCorrupt | None = None
        for path in self._finder().paths_of_alert(alert_id):
            try:
                index = self._indexes().current(path)
            except LakeFileNotFound:
                continue
            except PacketCorrupt as error:
                damage = error
                continue
            row = _row_of(index, question)
            if row is not None:
                return _Place(path, index, row)
        if damage is not None:
            raise damage
        return None

    def _by_object(self, question: _Question) -> _Place | None:
        """Find an object's latest row; a file is opened only if its latest time may be the latest of all."""
        latest: tuple[float, tuple[int, str]] | None = None
        best: _Place | None = None
        for time, path in self._finder().paths_of_object(question.object_id or ""):
            if latest is not None and time < latest[0]:
                break
            try:
                index = self._indexes().current(path)
            except LakeFileNotFound:
                continue
            row = _row_of(index, question)
            if row is None:
                continue
            order = (_comparable(index.time(row)), _rank(index.alert_id(row)))
            if latest is None or order > latest:
                latest, best = order, _Place(path, index, row)
        return best

    def _absent(self, question: _Question) -> _Place:
        raise _not_found(self.survey.name, question)


def _row_of(index: SideIndex, question: _Question) -> int | None:
    if question.alert_id is None:
        rows = index.find_object(question.object_id or "")
        return rows[-1] if rows else None
    row = index.find_alert(question.alert_id)
    if row is not None and question.object_id is not None and index.object_id(row) != question.object_id:
        return None
    return row


def _comparable(time: float) -> float:
    """Put rows without a time before all others."""
    return time if time == time else float("-inf")  # noqa: PLR0124 - NaN is not itself


def _rank(alert_id: str) -> tuple[int, str]:
    """Order ids as numbers where they are numbers, of which a longer one is larger."""
    return len(alert_id), alert_id


def _not_found(survey: str, question: _Question) -> NotFound:
    where = f" in {question.path}" if question.path is not None else ""
    if question.alert_id is None:
        return ObjectNotFound(f"there is no alert of {survey} object {question.object_id}{where}")
    of_object = f" of object {question.object_id}" if question.object_id is not None else ""
    return AlertNotFound(f"there is no {survey} alert {question.alert_id}{of_object}{where}")
