"""Changing the catalogue of lakes: one process at a time, in transactions."""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from stamp_service.errors import ConfigurationError
from stamp_service.lake.catalogue import FILE_COLUMNS, FORMAT, Catalogue, connect
from stamp_service.lake.rows import FileRow, LakeRow
from stamp_service.lake.segments import IdKind

_TABLES = """
CREATE TABLE lakes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL UNIQUE, survey TEXT NOT NULL
);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, lake INTEGER NOT NULL REFERENCES lakes ON DELETE CASCADE,
    path TEXT NOT NULL, size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL, tag TEXT NOT NULL,
    digest TEXT NOT NULL, index_bytes INTEGER NOT NULL, alerts INTEGER NOT NULL, objects INTEGER NOT NULL,
    tier TEXT NOT NULL,
    UNIQUE (lake, path)
);
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, lake INTEGER NOT NULL REFERENCES lakes ON DELETE CASCADE,
    kind TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL
);
CREATE INDEX segments_of_lake ON segments (lake);
"""


@contextmanager
def open_writer(catalogue: Catalogue) -> Iterator["CatalogueWriter"]:
    """Open a catalogue for writing, which one process at a time may do.

    Parameters
    ----------
    catalogue : Catalogue
        Which; it is made if it does not exist.

    Yields
    ------
    CatalogueWriter
        Writes.

    Raises
    ------
    ConfigurationError
        If another process is writing, or the folder cannot be written to.
    """
    try:
        catalogue.folder.mkdir(parents=True, exist_ok=True)
        lock = (catalogue.folder / "writing.lock").open("a")
    except OSError as error:
        raise ConfigurationError("STAMP_DATA_DIR: its folder of lakes cannot be written to") from error
    with lock:
        try:
            # Let go of by the system when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError("Another process is adding or removing a lake") from None
        if not catalogue.path.exists():
            _create(catalogue.path)
        with closing(connect(catalogue.path)) as database:
            yield CatalogueWriter(database)


class CatalogueWriter:
    """Changes the catalogue, one transaction per call.

    Parameters
    ----------
    database : sqlite3.Connection
        The database.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def register(self, name: str, url: str, survey: str) -> LakeRow:
        """Add a lake.

        Parameters
        ----------
        name, url, survey : str
            What it is called, where it is, whose alerts it holds.

        Returns
        -------
        LakeRow
            The lake.
        """
        with self._database as database:
            cursor = database.execute(
                "INSERT INTO lakes (name, url, survey) VALUES (?, ?, ?)", (name, url, survey)
            )
        return LakeRow(cursor.lastrowid or 0, name, url, survey)

    def remove(self, lake: int) -> None:
        """Forget a lake and all of its files.

        Parameters
        ----------
        lake : int
            The lake's number.
        """
        with self._database as database:
            database.execute("DELETE FROM lakes WHERE id = ?", (lake,))

    def reserve(self, count: int) -> int:
        """Find numbers for new files, so that segments can be written before the files are known.

        Parameters
        ----------
        count : int
            How many.

        Returns
        -------
        int
            The first; the others follow. They are free until the next `commit`.

        Raises
        ------
        ConfigurationError
            If there are no more numbers.
        """
        row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'files'").fetchone()
        first = (row[0] if row else 0) + 1
        if first + count > 2**32:
            raise ConfigurationError("2^32 files were numbered: remove the folder `lakes` and add them again")
        return first

    def commit(
        self,
        lake: int,
        *,
        files: Sequence[FileRow] = (),
        gone: Iterable[str] = (),
        segments: Sequence[tuple[IdKind, str, int]] = (),
        merged: Iterable[int] = (),
    ) -> None:
        """Change what is known of a lake, all or nothing.

        Parameters
        ----------
        lake : int
            The lake's number.
        files : sequence of FileRow
            Files that were indexed; they replace earlier versions.
        gone : iterable of str
            Paths of files that are no more.
        segments : sequence of NewSegment
            New segments.
        merged : iterable of int
            Numbers of segments that are no longer needed.
        """
        columns = f"lake, {FILE_COLUMNS}"
        paths = [*gone, *(file.path for file in files)]
        with self._database as database:
            database.executemany("DELETE FROM files WHERE lake = ? AND path = ?", [(lake, path) for path in paths])
            database.executemany(
                f"INSERT INTO files ({columns}) VALUES ({', '.join('?' * 11)})",  # noqa: S608 - our own words
                [(lake, *_file_values(file)) for file in files],
            )
            database.executemany("DELETE FROM segments WHERE id = ?", [(segment,) for segment in merged])
            database.executemany(
                "INSERT INTO segments (lake, kind, name, count) VALUES (?, ?, ?, ?)",
                [(lake, *segment) for segment in segments],
            )


def _file_values(file: FileRow) -> tuple[object, ...]:
    version = file.version
    return (
        *(file.id, file.path, version.size_bytes, version.modified_ns, version.tag),
        *(file.digest, file.index_bytes, file.alerts, file.objects, file.tier),
    )


def _create(path: Path) -> None:
    """Make an empty catalogue; it is seen with all of its tables or not at all."""
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
    unfinished.rename(path)
