"""What is known of the lakes: an SQLite database, and index files beside it.

One process at a time writes, in transactions that leave the catalogue right wherever it is interrupted. Any number
of threads and processes read, and see each commit at once. Index files never change: what is replaced gets a new
name, and the old file is deleted once the catalogue no longer names it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stamp_service.errors import ConfigurationError, StoreUnavailable
from stamp_service.lake.files import FileVersion
from stamp_service.lake.rows import FileRow, LakeRow, SegmentRow, Totals
from stamp_service.remote.processes import PerProcess

# Raised when the tables change; an older catalogue is then made anew from the lakes.
FORMAT = 1
_PATIENCE_S = 10.0
# Commits are noticed after so long at most. Looking for them costs more than the rest of a read.
_FRESH_S = 0.05
FILE_COLUMNS = "id, path, size_bytes, modified_ns, tag, digest, index_bytes, alerts, objects, tier"


class _Connection:
    """A process's view of the database, for all of its threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.database: sqlite3.Connection | None = None
        self.inode: int | None = None
        self.opened = 0
        # The state that was seen last, and until when that will do.
        self.generation = (0, 0)
        self.fresh_until_s = 0.0


class Catalogue:
    """The catalogue of a data folder; made by the first write, and empty as long as it does not exist.

    Parameters
    ----------
    folder : pathlib.Path
        Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.path = self.folder / "catalogue.sqlite"
        self._connection = PerProcess(_Connection)

    def index_path(self, lake: str, digest: str) -> Path:
        """Place the index of a file.

        Parameters
        ----------
        lake : str
            The lake's name.
        digest : str
            The index's name.

        Returns
        -------
        pathlib.Path
            Where it is.
        """
        return self.folder / lake / "index" / digest[:2] / f"{digest}.idx"

    def segment_path(self, lake: str, name: str) -> Path:
        """Place a segment.

        Parameters
        ----------
        lake : str
            The lake's name.
        name : str
            The segment's name.

        Returns
        -------
        pathlib.Path
            Where it is.
        """
        return self.folder / lake / "segments" / name

    def generation(self, *, now: bool = False) -> tuple[int, int]:
        """Tell one state of the catalogue from the next.

        Parameters
        ----------
        now : bool
            Whether to look even if that was done a moment ago; what was not found is worth it.

        Returns
        -------
        tuple of int
            Another one after every commit.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        connection = self._connection()
        if not now and time.monotonic() < connection.fresh_until_s:
            return connection.generation
        with self._reading() as database:
            version = 0 if database is None else database.execute("PRAGMA data_version").fetchone()[0]
            connection.generation = connection.opened, version
            connection.fresh_until_s = time.monotonic() + _FRESH_S
            return connection.generation

    def lakes(self) -> tuple[LakeRow, ...]:
        """List the registered lakes.

        Returns
        -------
        tuple of LakeRow
            In the order in which they were added.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        return tuple(LakeRow(*row) for row in self._select("SELECT id, name, url, survey FROM lakes ORDER BY id"))

    def file(self, lake: int, path: str) -> FileRow | None:
        """Look a file up.

        Parameters
        ----------
        lake : int
            The lake's number.
        path : str
            The file.

        Returns
        -------
        FileRow or None
            What is known of it; None if it is not indexed.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        rows = self._select(f"SELECT {FILE_COLUMNS} FROM files WHERE lake = ? AND path = ?", lake, path)  # noqa: S608 - our own words
        return _file_row(rows[0]) if rows else None

    def path_of(self, file: int) -> str | None:
        """Look a file's path up.

        Parameters
        ----------
        file : int
            Its number in segments.

        Returns
        -------
        str or None
            The path; None if that version is known no more.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        rows = self._select("SELECT path FROM files WHERE id = ?", file)
        return str(rows[0][0]) if rows else None

    def files(self, lake: int) -> list[FileRow]:
        """List a lake's indexed files.

        Parameters
        ----------
        lake : int
            The lake's number.

        Returns
        -------
        list of FileRow
            In the order in which they were indexed.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        rows = self._select(f"SELECT {FILE_COLUMNS} FROM files WHERE lake = ? ORDER BY id", lake)  # noqa: S608 - our own words
        return [_file_row(row) for row in rows]

    def last_number(self) -> int:
        """Find the largest number that a file of any lake ever had.

        Returns
        -------
        int
            The number; 0 if there was none.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        rows = self._select("SELECT seq FROM sqlite_sequence WHERE name = 'files'")
        return int(rows[0][0]) if rows else 0

    def segments(self, lake: int) -> list[SegmentRow]:
        """List a lake's segments.

        Parameters
        ----------
        lake : int
            The lake's number.

        Returns
        -------
        list of SegmentRow
            Those in use.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        rows = self._select("SELECT id, kind, name, count FROM segments WHERE lake = ? ORDER BY id", lake)
        return [SegmentRow(*row) for row in rows]

    def totals(self, lake: int) -> Totals:
        """Add up what a lake holds.

        Parameters
        ----------
        lake : int
            The lake's number.

        Returns
        -------
        Totals
            The sums.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        rows = self._select(
            "SELECT tier, COUNT(*), SUM(alerts), SUM(size_bytes), SUM(index_bytes) FROM files WHERE lake = ?"
            " GROUP BY tier ORDER BY tier",
            lake,
        )
        return Totals(
            files=sum(row[1] for row in rows),
            alerts=sum(row[2] for row in rows),
            size_bytes=sum(row[3] for row in rows),
            index_bytes=sum(row[4] for row in rows),
            tiers={row[0]: row[1] for row in rows},
        )

    def close(self) -> None:
        """Let go of the database; harmless when called again."""
        connection = self._connection.take()
        if connection is not None and connection.database is not None:
            connection.database.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Lend the connection to one thread; None as long as there is no catalogue."""
        connection = self._connection()
        with connection.lock:
            try:
                # A folder that was removed and filled again is another database.
                inode = os.stat(self.path).st_ino  # noqa: PTH116 - pathlib takes three times as long
            except OSError:
                inode = None
            try:
                if inode != connection.inode:
                    if connection.database is not None:
                        connection.database.close()
                    connection.database, connection.inode = None, None
                    if inode is not None:
                        connection.database = connect(self.path)
                        connection.inode, connection.opened = inode, connection.opened + 1
                yield connection.database
            except sqlite3.Error as error:
                raise StoreUnavailable("the catalogue of lakes could not be read") from error

    def _select(self, query: str, *values: object) -> list[Any]:
        with self._reading() as database:
            return [] if database is None else database.execute(query, values).fetchall()


def _file_row(row: Any) -> FileRow:  # noqa: ANN401 - as the table declares its columns
    number, path, size_bytes, modified_ns, tag, *rest = row
    return FileRow(number, path, FileVersion(size_bytes, modified_ns, tag), *rest)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, for any thread: whoever uses it sees to it that one does at a time.

    Parameters
    ----------
    path : pathlib.Path
        The database.

    Returns
    -------
    sqlite3.Connection
        The connection.

    Raises
    ------
    ConfigurationError
        If another version of this service made it.
    """
    database = sqlite3.connect(f"{path.as_uri()}?mode=rw", _PATIENCE_S, uri=True, check_same_thread=False)
    database.execute("PRAGMA foreign_keys = ON")
    if database.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
        database.close()
        raise ConfigurationError(
            "The catalogue of lakes was made by another version: remove the folder `lakes` and add them again"
        )
    return database
