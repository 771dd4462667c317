"""Databases of SQLite and PostgreSQL: connections, and their errors in the house's words."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from stamp_service.errors import ConfigurationError, StoreTimeout, StoreUnavailable

_CONNECTIONS = 8
_MORE_CONNECTIONS = 24
# psycopg takes whole seconds, and takes one for two.
_SHORTEST_CONNECT_S = 2
# The server ends what takes too long. Whether it does is given up on after twice the time.
_SILENCE = 2
_QUERY_CANCELED = "57014"
_WRITES = "stamp_writes"
_CACHE_KIB = 16 * 1024


def make_engine(url: URL, timeout_s: float) -> Engine:
    """Make an engine; nothing is connected yet.

    Parameters
    ----------
    url : sqlalchemy.URL
        A database of SQLite, or of PostgreSQL through psycopg.
    timeout_s : float
        Longest wait: for a connection, a lock, an answer.

    Returns
    -------
    sqlalchemy.Engine
        The engine; it belongs to the process that made it.
    """
    pool: dict[str, Any] = {
        "pool_size": _CONNECTIONS,
        "max_overflow": _MORE_CONNECTIONS,
        "pool_timeout": timeout_s,
    }
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": timeout_s, "isolation_level": None}, **pool)
        event.listen(engine, "connect", lambda connection, _: _prepare_sqlite(connection, timeout_s))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    arguments = {
        "connect_timeout": max(_SHORTEST_CONNECT_S, round(timeout_s)),
        "options": f"-c statement_timeout={round(timeout_s * 1000)}",
        # Plans are made for the values at hand: the same question about an hour and about a year are two.
        "prepare_threshold": None,
    }
    # A connection that died with its server is found out before it is used, and replaced.
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, **pool)
    event.listen(engine, "do_connect", lambda *call: _connect_postgres(call[-1], timeout_s))
    return engine


def _connect_postgres(arguments: dict[str, Any], timeout_s: float) -> object:
    from stamp_service.remote.patience import PatientConnection  # noqa: PLC0415 - psycopg is in an extra

    connection = PatientConnection.connect(**arguments)
    connection.silence_s = _SILENCE * timeout_s
    return connection


def through_psycopg(url: URL) -> URL:
    """Have a database of PostgreSQL reached through psycopg.

    Parameters
    ----------
    url : sqlalchemy.URL
        Its address, whichever client that names.

    Returns
    -------
    sqlalchemy.URL
        The address for `make_engine`.

    Raises
    ------
    ConfigurationError
        If psycopg is not installed.
    """
    try:
        import psycopg  # noqa: F401, PLC0415 - the extra is needed for PostgreSQL alone
    except ImportError:
        raise ConfigurationError("PostgreSQL needs an extra: pip install 'stamp-service[postgresql]'") from None
    return url.set(drivername="postgresql+psycopg")


def _prepare_sqlite(connection: sqlite3.Connection, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            # Readers go on while somebody writes. The first to say so needs the file for itself, and SQLite does
            # not wait for that.
            connection.execute("PRAGMA journal_mode=WAL").close()
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
    # A commit is on the disk when it returns, as a packet in a store is.
    connection.execute("PRAGMA synchronous=FULL").close()
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}").close()


def _begin_sqlite(connection: Connection) -> None:
    # Who reads first and then writes may find that another was faster, and waiting does not help then.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writing(engine: Engine) -> Engine:
    """Give the same engine for transactions that write.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        What `make_engine` made.

    Returns
    -------
    sqlalchemy.Engine
        It shares the other's connections.
    """
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the statements of a transaction take as long as they need.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        A connection in a transaction.

    Yields
    ------
    None
        While no limit holds.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    client: Any = connection.connection.driver_connection
    client.silence_s, usual_s = None, client.silence_s
    try:
        yield
    finally:
        client.silence_s = usual_s


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what a database raises into the house's errors.

    Parameters
    ----------
    name : str
        What the errors call the database, such as `the index`.

    Yields
    ------
    None
        While the database is asked.

    Raises
    ------
    StoreTimeout
        If it did not answer in time.
    StoreUnavailable
        If it could not be asked.
    """
    try:
        yield
    except PoolTimeout as error:
        raise StoreTimeout(f"{name} is busy: no connection came free in time") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED:
            raise StoreTimeout(f"{name} did not answer in time") from error
        if getattr(error.orig, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreTimeout(f"{name} is busy: another program writes to it") from error
        raise StoreUnavailable(f"{name} could not be asked") from error
