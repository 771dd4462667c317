"""Registering a lake: every file that is new or was rewritten gets its index, and what is gone is forgotten.

A run that is interrupted is taken up by the next one: every few seconds what is done goes into the catalogue, and
indexes that were written and not entered yet are found again by their names.
"""

import re
import shutil
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from stamp_service.errors import ConfigurationError, LakeFileNotFound, NotFound, PacketCorrupt, StoreUnavailable
from stamp_service.lake.building import scan_file
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.catalogue_writer import CatalogueWriter, open_writer
from stamp_service.lake.files import FileChanged, Filesystem, FileVersion
from stamp_service.lake.index_pool import WORTH_PROCESSES_BYTES, Submit, index_pool
from stamp_service.lake.indexing import Indexed, Indexer
from stamp_service.lake.merging import merge_all_small, merge_some, write_new
from stamp_service.lake.opening import LakeAccess, open_filesystem
from stamp_service.lake.rows import FileRow, LakeRow
from stamp_service.lake.segments import Segment, SegmentTorn, join
from stamp_service.surveys import Survey

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_-]+")
# What is done goes into the catalogue this often, or when there is so much of it.
_COMMIT_S = 1.0
_COMMIT_ALERTS = 500_000
# A lake whose files could not be read so often in a row is not tried further.
_MOST_FAILURES = 10
# Files that are looked at to find out whose alerts they hold.
_SAMPLES = 3


class Progress(Protocol):
    """Somebody who watches."""

    def planned(self, files: int, size_bytes: int) -> None:
        """Note how much is to be indexed.

        Parameters
        ----------
        files : int
            How many files.
        size_bytes : int
            Their size.
        """

    def done(self, path: str, size_bytes: int, refused: str | None) -> None:
        """Note that a file was indexed, or not.

        Parameters
        ----------
        path : str
            The file.
        size_bytes : int
            Its size.
        refused : str or None
            Why it was not indexed.
        """


@dataclass(slots=True)
class Added:
    """What became of a lake's files.

    Parameters
    ----------
    lake : LakeRow
        The lake.
    indexed, known, gone, refused : int
        Files that were indexed now, were before, are no more, could not be.
    """

    lake: LakeRow
    indexed: int = 0
    known: int = 0
    gone: int = 0
    refused: int = 0


def add_lake(
    catalogue: Catalogue,
    surveys: Mapping[str, Survey],
    access: LakeAccess,
    url: str,
    *,
    survey: str | None = None,
    name: str | None = None,
    jobs: int = 4,
    worth_processes_bytes: int = WORTH_PROCESSES_BYTES,
    progress: Progress,
) -> Added:
    """Register a lake, or bring what is known of it up to date.

    Parameters
    ----------
    catalogue : Catalogue
        Where to.
    surveys : mapping of str to Survey
        The surveys that are defined.
    access : LakeAccess
        How file systems are reached.
    url : str
        The lake's root.
    survey : str, optional
        Whose alerts it holds; otherwise the first survey is taken whose columns and ids its first file has.
    name : str, optional
        What to call it; otherwise the last part of its address.
    jobs : int
        How many files are indexed at a time.
    worth_processes_bytes : int
        From how much on they are indexed in processes rather than in threads.
    progress : Progress
        Who watches.

    Returns
    -------
    Added
        What became of its files.

    Raises
    ------
    ConfigurationError
        If the address, the name or the survey does not fit, or another process is adding a lake.
    StoreUnavailable
        If the lake could not be read; what was done until then is kept.
    """
    with closing(open_filesystem(url, access)) as files, open_writer(catalogue) as writer:
        files.check()
        found = dict(files.walk())
        lake = _known_lake(catalogue, files.url, name, survey)
        if lake is None:
            survey = survey or recognise_lake(files, found, surveys)
            lake = writer.register(_free_name(catalogue, files.url, name), files.url, survey)
        if lake.survey not in surveys:
            raise ConfigurationError(f"Lake {lake.name} is of {lake.survey}, which is no survey")
        run = _Run(catalogue, writer, files, lake, surveys[lake.survey], progress, Added(lake))
        run.prepare(found)
        run.index(found, access, jobs, worth_processes_bytes)
        run.finish()
    return run.added


def remove_lake(catalogue: Catalogue, name: str) -> None:
    """Forget a lake and delete its indexes; its files stay as they are.

    Parameters
    ----------
    catalogue : Catalogue
        Where from.
    name : str
        The lake's name.

    Raises
    ------
    NotFound
        If there is no such lake.
    ConfigurationError
        If another process is adding a lake.
    """
    with open_writer(catalogue) as writer:
        lake = next((lake for lake in catalogue.lakes() if lake.name == name), None)
        if lake is None:
            raise NotFound(f"there is no lake {name}")
        writer.remove(lake.id)
        shutil.rmtree(catalogue.folder / lake.name, ignore_errors=True)


def recognise_lake(files: Filesystem, found: Mapping[str, FileVersion], surveys: Mapping[str, Survey]) -> str:
    """Find out whose alerts a lake holds.

    Parameters
    ----------
    files : Filesystem
        Its file system.
    found : mapping of str to FileVersion
        Its files.
    surveys : mapping of str to Survey
        The surveys, in the order in which they are tried.

    Returns
    -------
    str
        The survey's name.

    Raises
    ------
    ConfigurationError
        If there are no files, or the first ones are of no survey.
    StoreUnavailable
        If they could not be read.
    """
    for path, version in islice(found.items(), _SAMPLES):
        for survey in surveys.values():
            try:
                index = scan_file(files, path, version, survey)
            except (PacketCorrupt, FileChanged, LakeFileNotFound):
                continue
            if index.rows and survey.alert_id.matches(index.alert_id(0)):
                return survey.name
    what = "Its first files are alerts of no survey" if found else "It has no Parquet files"
    raise ConfigurationError(f"{what}: name the survey with --survey")


def _known_lake(catalogue: Catalogue, url: str, name: str | None, survey: str | None) -> LakeRow | None:
    lake = next((lake for lake in catalogue.lakes() if lake.url == url), None)
    if lake is not None and name not in {None, lake.name}:
        raise ConfigurationError(f"This lake is registered as {lake.name}")
    if lake is not None and survey not in {None, lake.survey}:
        raise ConfigurationError(f"Lake {lake.name} is registered as one of {lake.survey}: remove it first")
    return lake


def _free_name(catalogue: Catalogue, url: str, name: str | None) -> str:
    if name is None:
        name = _UNNAMEABLE.sub("-", url.rstrip("/").rpartition("/")[2]).strip("-_")[:64] or "lake"
    if not _NAME.fullmatch(name):
        raise ConfigurationError("A lake's name is made of letters, digits, - and _, 64 at most")
    if name.lower() in {lake.name.lower() for lake in catalogue.lakes()}:
        raise ConfigurationError(f"There is another lake {name}: choose a name with --name")
    return name


@dataclass(slots=True)
class _Run:
    """One run over a lake."""

    catalogue: Catalogue
    writer: CatalogueWriter
    files: Filesystem
    lake: LakeRow
    survey: Survey
    progress: Progress
    added: Added
    known: dict[str, FileRow] = field(default_factory=dict)
    waiting: list[Indexed] = field(default_factory=list)
    failures: int = 0

    def prepare(self, found: Mapping[str, FileVersion]) -> None:
        """Forget files that are gone, and whatever was damaged from outside."""
        self.known = {row.path: row for row in self.catalogue.files(self.lake.id)}
        if not self._segments_are_whole():
            # Side indexes are found again by their names, so this costs little.
            self.writer.commit(
                self.lake.id,
                gone=self.known,
                merged=[row.id for row in self.catalogue.segments(self.lake.id)],
            )
            self.known = {}
        gone = self.known.keys() - found.keys()
        self.writer.commit(self.lake.id, gone=gone)
        self.added.gone = len(gone)

    def index(
        self, found: Mapping[str, FileVersion], access: LakeAccess, jobs: int, worth_processes_bytes: int
    ) -> None:
        """Index what is new or changed; commit what is done even if this is interrupted."""
        todo = {path: version for path, version in found.items() if not self._is_indexed(path, version)}
        self.added.known = len(found) - len(todo)
        size_bytes = sum(version.size_bytes for version in todo.values())
        self.progress.planned(len(todo), size_bytes)
        indexer = Indexer(self.catalogue, self.lake, self.survey, self.files)
        committed_s = time.monotonic()
        pool = index_pool(indexer, access, jobs, processes=size_bytes >= worth_processes_bytes)
        try:
            with closing(_work(pool, todo, 2 * jobs)) as work:
                for path, future in work:
                    self._take(path, todo[path], future)
                    late = time.monotonic() - committed_s > _COMMIT_S
                    if late or sum(file.alerts for file in self.waiting) > _COMMIT_ALERTS:
                        self._commit()
                        merge_some(self.catalogue, self.writer, self.lake)
                        committed_s = time.monotonic()
        finally:
            self._commit()

    def finish(self) -> None:
        """Leave few segments, and no files that the catalogue does not name."""
        merge_some(self.catalogue, self.writer, self.lake)
        merge_all_small(self.catalogue, self.writer, self.lake)
        folder = self.catalogue.folder / self.lake.name
        named = {row.name for row in self.catalogue.segments(self.lake.id)}
        named |= {f"{row.digest}.idx" for row in self.catalogue.files(self.lake.id)}
        for file in (*folder.glob("index/*/*"), *folder.glob("segments/*")):
            if file.name not in named:
                file.unlink(missing_ok=True)

    def _segments_are_whole(self) -> bool:
        try:
            for row in self.catalogue.segments(self.lake.id):
                Segment(self.catalogue.segment_path(self.lake.name, row.name))
        except (FileNotFoundError, SegmentTorn):
            return False
        return True

    def _is_indexed(self, path: str, version: FileVersion) -> bool:
        row = self.known.get(path)
        if row is None or row.version != version:
            return False
        try:
            return self.catalogue.index_path(self.lake.name, row.digest).stat().st_size == row.index_bytes
        except OSError:
            return False

    def _take(self, path: str, version: FileVersion, future: "Future[Indexed]") -> None:
        refused: str | None = None
        try:
            self.waiting.append(future.result())
            self.added.indexed += 1
            self.failures = 0
        except (PacketCorrupt, FileChanged, LakeFileNotFound) as error:
            refused = "it is being rewritten" if isinstance(error, FileChanged) else str(error)
            self._forget([path])
        except BrokenExecutor as error:
            raise StoreUnavailable("a process that was indexing files was killed") from error
        except StoreUnavailable as error:
            refused = str(error)
            self.failures += 1
            if self.failures == _MOST_FAILURES:
                raise
        self.added.refused += refused is not None
        self.progress.done(path, version.size_bytes, refused)

    def _forget(self, paths: Iterable[str]) -> None:
        """Drop earlier versions of what can no longer be indexed."""
        self.writer.commit(self.lake.id, gone=[path for path in paths if path in self.known])

    def _commit(self) -> None:
        """Enter what is done into the catalogue: first its segments, then the files, at once."""
        if not self.waiting:
            return
        first = self.writer.reserve(len(self.waiting))
        numbered = list(enumerate(self.waiting, first))
        pairs = [file.entries(number) for number, file in numbered]
        segments = [
            segment
            for entries in (join([alerts for alerts, _ in pairs]), join([objects for _, objects in pairs]))
            for segment in write_new(self.catalogue, self.lake, entries)
        ]
        self.writer.commit(self.lake.id, files=[file.row(number) for number, file in numbered], segments=segments)
        self.waiting = []


def _work(
    pool: AbstractContextManager[Submit], todo: Mapping[str, FileVersion], most: int
) -> Generator[tuple[str, "Future[Indexed]"]]:
    """Index files side by side, and give them as they are ready; few wait at a time."""
    items = iter(todo.items())
    running: dict[Future[Indexed], str] = {}
    with pool as submit:
        while True:
            for path, version in islice(items, most - len(running)):
                running[submit(path, version)] = path
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future
