"""Bringing a database to the tables of today."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from stamp_service.errors import StoreUnavailable
from stamp_service.remote.databases import unhurried, writing

# The newest of `migrations/versions`; a test holds the two together. Known without Alembic, which takes half a
# second to import and has nothing to do in most processes.
NEWEST = "0002"
_VERSION_TABLE = "alembic_version"
# Any number that nobody else takes: whoever holds it migrates.
_LOCK = 0x5374616D70


def migrate(engine: Engine) -> None:
    """Make the tables, or bring them to their newest shape; processes that start at once take turns.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.

    Raises
    ------
    StoreUnavailable
        If the database was made by a newer version of this program.
    """
    with engine.connect() as connection:
        if _version(connection) == NEWEST:
            return
    # A long table takes its time, and so may whoever migrates before us.
    with writing(engine).begin() as connection, unhurried(connection):
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _version(connection)
        if found == NEWEST:
            return
        if found is not None and found > NEWEST:
            raise StoreUnavailable("the index was made by a newer version of this program")
        _upgrade(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see NEWEST
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
