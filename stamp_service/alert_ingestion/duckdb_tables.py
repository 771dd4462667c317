"""Tables in a DuckDB file: nothing to set up, and queryable by anything that opens such files.

A batch of rows is one transaction, so a process that is killed leaves whole batches. Ids are the primary keys.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stamp_service.alert_ingestion.extras import Untyped, extra
from stamp_service.alert_ingestion.layouts import KEY, grow
from stamp_service.alert_ingestion.rows import Rows
from stamp_service.alert_ingestion.targets import Upserted
from stamp_service.errors import StoreUnavailable

if TYPE_CHECKING:
    import pyarrow as pa

# The name under which a statement sees the rows that are to be put into a table. No survey's name has capitals.
_INCOMING = '"Incoming"'
_WIDER = '"Wider"'


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class DuckDbTables:
    """Tables in a DuckDB file; see `Tables` for what the methods promise.

    One process at a time may write to the file, and none may read it meanwhile but through `cursor`.

    Parameters
    ----------
    path : pathlib.Path
        The file; made if it does not exist.

    Raises
    ------
    ConfigurationError
        If DuckDB is not installed.
    StoreUnavailable
        If the file cannot be opened, or another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self._duckdb = extra("duckdb")
        extra("pyarrow")
        self._lock = threading.Lock()
        # Schemas that a table is known to hold: nobody else changes it while the file is open.
        self._held: dict[str, list[pa.Schema]] = {}
        with self._asked():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError:
                raise StoreUnavailable("the folder of the DuckDB file could not be made") from None
            self._connection = self._duckdb.connect(str(path))

    def cursor(self) -> Untyped:
        """Open another connection to the tables within this process.

        Returns
        -------
        duckdb.DuckDBPyConnection
            A connection that sees all batches that are in.
        """
        return self._connection.cursor()

    def upsert(self, rows: Rows) -> Upserted:
        """Put rows into the table of their survey.

        Parameters
        ----------
        rows : Rows
            The rows.

        Returns
        -------
        Upserted
            Which are new; none are refused.

        Raises
        ------
        PacketCorrupt
            If the table has columns of the same names and unlike types.
        StoreUnavailable
            If the file cannot be written to.
        """
        table, schema = _quoted(rows.survey.name), rows.table.schema
        held = self._held.setdefault(table, [])
        with self._lock, self._transaction(), self._seen(_INCOMING, rows.table):
            if schema not in held:
                self._shape(table, schema)
            added = self._run(
                f"INSERT INTO {table} BY NAME FROM {_INCOMING} ON CONFLICT DO NOTHING RETURNING {KEY}"
            )
            if len(added) < rows.table.num_rows and rows.layout.chosen:
                self._complete(table, rows.layout.chosen)
        held += [] if schema in held else [schema]
        return Upserted({alert_id for (alert_id,) in added})

    def _complete(self, table: str, chosen: tuple[str, ...]) -> None:
        """Fill in what rows lack that were put in by a run with another choice of columns."""
        names = [_quoted(name) for name in chosen]
        values = ", ".join(f"{name} = coalesce({table}.{name}, new.{name})" for name in names)
        lacking = " OR ".join(f"({table}.{name} IS NULL AND new.{name} IS NOT NULL)" for name in names)
        self._run(
            f"UPDATE {table} SET {values} FROM (SELECT DISTINCT ON ({KEY}) * FROM {_INCOMING}) AS new "  # noqa: S608 - quoted
            f"WHERE {table}.{KEY} = new.{KEY} AND ({lacking})"
        )

    def _shape(self, table: str, schema: "pa.Schema") -> None:
        """Make the table, or give it the columns and types that it lacks."""
        known = self._run(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
            "AND schema_name = current_schema() AND table_name = ?",
            [table[1:-1]],
        )
        if not known:
            self._run(f"CREATE TABLE {table} AS FROM {_INCOMING} LIMIT 0")
            self._run(f"ALTER TABLE {table} ADD PRIMARY KEY ({KEY})")
            return
        grown = grow(self._connection.sql(f"FROM {table}").limit(0).to_arrow_table().schema, schema)
        present = self._types(table)
        with self._seen(_WIDER, grown.empty_table()):
            wider = self._types(_WIDER)
        for name, kind in wider.items():
            if name not in present:
                self._run(f"ALTER TABLE {table} ADD COLUMN {_quoted(name)} {kind}")
            elif present[name] != kind:
                self._run(f"ALTER TABLE {table} ALTER COLUMN {_quoted(name)} SET DATA TYPE {kind}")

    def _types(self, table: str) -> dict[str, str]:
        """Look up the columns of a table, and their types as DuckDB writes them."""
        columns = self._connection.sql(f"FROM {table}")
        return dict(zip(columns.columns, map(str, columns.types), strict=True))

    def _run(self, statement: str, values: list[str] | None = None) -> list[Untyped]:
        """Execute a statement to its end: one whose result was not fetched keeps the connection busy."""
        result: list[Untyped] = self._connection.execute(statement, values).fetchall()
        return result

    @contextmanager
    def _seen(self, name: str, rows: "pa.Table") -> Iterator[None]:
        """Let statements see rows under a name."""
        self._connection.register(name[1:-1], rows)
        try:
            yield
        finally:
            self._connection.unregister(name[1:-1])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._asked():
            self._connection.begin()
            try:
                yield
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Put DuckDB's errors into our words; its own name files."""
        duckdb = self._duckdb
        try:
            yield
        except duckdb.IOException as error:
            if "lock" in str(error):
                raise StoreUnavailable("another process has the DuckDB file open") from error
            raise StoreUnavailable("the DuckDB file could not be read and written to") from error
        except duckdb.Error as error:
            raise StoreUnavailable(f"DuckDB failed: {type(error).__name__}") from error

    def close(self) -> None:
        """Close the file; harmless when called again."""
        self._connection.close()
