"""Opening the SQLite files of an index, and what it means when that fails."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stamp_service.errors import StoreUnavailable

BUSY_S = 20.0


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
    return sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


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
def explained() -> Iterator[None]:
    """Turn what SQLite raises into the house's errors.

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
