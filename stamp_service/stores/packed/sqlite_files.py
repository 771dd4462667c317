"""Opening the SQLite files of an index, and what it means when that fails."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stamp_service.errors import StoreUnavailable
from stamp_service.stores.packed.disk import make_folder, sync_folder

_BUSY_S = 20.0
_TABLES = """
CREATE TABLE packs (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE alerts (
    alert_id TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    pack INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pieces (name TEXT PRIMARY KEY) STRICT;
"""


class IndexTorn(StoreUnavailable):
    """An index file is damaged; scanning the packs makes another."""


def select(connection: sqlite3.Connection, question: str, *values: object) -> list[Any]:
    """Ask a file; one that is just being made, or whose first writer died, has no tables yet.

    Parameters
    ----------
    connection : sqlite3.Connection
        The file.
    question : str
        SQL.
    *values : object
        What stands for its question marks.

    Returns
    -------
    list of tuple
        The rows.
    """
    try:
        return connection.execute(question, values).fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        return []


def connect(path: Path) -> sqlite3.Connection:
    """Open a file that exists, for any thread.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    sqlite3.Connection
        The file.
    """
    # `rw`: makes no file that is not there, and may finish what a writer that died left behind.
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that exists, for a while.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Yields
    ------
    sqlite3.Connection
        The file.
    """
    connection = connect(path)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Write to a file in one transaction; one that does not exist is made, with its tables.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Yields
    ------
    sqlite3.Connection
        The file.
    """
    is_new = not path.exists()
    if is_new:
        make_folder(path.parent)
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
    finally:
        connection.close()
    if is_new:
        sync_folder(path.parent)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what SQLite raises into the house's errors.

    Yields
    ------
    None
        While it does.

    Raises
    ------
    IndexTorn
        If a file is damaged.
    StoreUnavailable
        If it cannot be asked.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailable("the index of the packed store could not be asked") from error
    except sqlite3.DatabaseError as error:
        raise IndexTorn("the index of the packed store is damaged") from error
    except OSError as error:
        raise StoreUnavailable("the index of the packed store could not be asked") from error
