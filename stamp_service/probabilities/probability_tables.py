"""Class probabilities of objects in SQLite or PostgreSQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC
from typing import Any

from sqlalchemy import ARRAY, URL, Connection, Engine, Table, bindparam, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite

from stamp_service.errors import ObjectNotFound, StoreUnavailable
from stamp_service.probabilities.rows import ClassProbability, NewObject, ObjectClassification, StepEntry, ranked
from stamp_service.probabilities.tables import metadata, objects, probabilities, steps
from stamp_service.remote.databases import explained, make_engine, writing
from stamp_service.remote.processes import PerProcess

_NAME = "the database of probabilities"
# Any number that nobody else takes: whoever holds it makes tables.
_LOCK = 0x50726F62
# Objects asked about at once; SQLite takes 32,766 values.
_OIDS = 5000
# What the published early classification step writes for an object that is new.
_DEFAULTS = {"ndet": 1, "deltajd": 0.0, "step_id_corr": "0.0.0", "corrected": False, "stellar": False}


class ProbabilityTables:
    """The tables; may be used by threads, and by processes forked from their maker.

    They are those of ALeRCE, which know no survey: all objects in them are ZTF's.

    Parameters
    ----------
    url : sqlalchemy.URL
        The database.
    timeout_s : float
        Longest wait: for a connection, a lock, an answer.
    """

    survey = "ztf"

    def __init__(self, url: URL, timeout_s: float) -> None:
        self._engine = PerProcess(lambda: _open(url, timeout_s))

    def register(self, step: StepEntry) -> None:
        """Say who writes; what is there already is left as it is.

        Parameters
        ----------
        step : StepEntry
            The step.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be written to.
        """
        row = asdict(step) | {"date": step.date.astimezone(UTC).replace(tzinfo=None)}
        with self._writing() as connection:
            _insert(connection, steps, [row])

    def add(
        self,
        classified: Sequence[tuple[NewObject, Mapping[str, float]]],
        classifier_name: str,
        classifier_version: str,
    ) -> int:
        """Write the probabilities of objects, and the objects that are new; in one transaction.

        What this classifier has said of an object before stays as it is.

        Parameters
        ----------
        classified : sequence of tuple
            Objects and the probability of each class; of several with one id, the first counts.
        classifier_name, classifier_version : str
            Who says so.

        Returns
        -------
        int
            How many objects this classifier had said nothing of.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be written to; then nothing was.
        """
        first = {found.oid: (found, values) for found, values in reversed(classified)}
        with self._writing() as connection:
            known = _known(connection, list(first), classifier_name, classifier_version)
            # All processes write in the same order, so that none waits for one that waits for it.
            fresh = [first[oid] for oid in sorted(first.keys() - known)]
            if fresh:
                _insert(connection, objects, [_object_row(found) for found, _ in fresh])
                by = {"classifier_name": classifier_name, "classifier_version": classifier_version}
                rows = [row for found, values in fresh for row in _class_rows(found.oid, values, by)]
                _insert(connection, probabilities, rows)
        return len(fresh)

    def of_object(self, oid: str) -> list[ObjectClassification]:
        """Read what all classifiers say of an object.

        Parameters
        ----------
        oid : str
            A checked object id.

        Returns
        -------
        list of ObjectClassification
            By name and version of the classifier.

        Raises
        ------
        ObjectNotFound
            If no classifier says anything.
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        wanted = select(probabilities).where(probabilities.c.oid == oid)
        with explained(_NAME), self._engine().connect() as connection:
            rows = connection.execute(wanted).all()
        if not rows:
            raise ObjectNotFound(f"no probabilities of object {oid} are known")
        by_classifier: dict[tuple[str, str], list[ClassProbability]] = {}
        for row in sorted(rows, key=lambda row: (row.classifier_name, row.classifier_version, row.ranking)):
            classes = by_classifier.setdefault((row.classifier_name, row.classifier_version), [])
            classes.append(ClassProbability(row.class_name, row.probability, row.ranking))
        return [ObjectClassification(*names, tuple(classes)) for names, classes in by_classifier.items()]

    def best_of(self, oids: Iterable[str]) -> dict[str, list[ObjectClassification]]:
        """Read which class each classifier finds the most probable, for many objects at once.

        Parameters
        ----------
        oids : iterable of str
            Checked object ids.

        Returns
        -------
        dict of str to list of ObjectClassification
            By object, then by name and version of the classifier; with the most probable class alone. Objects of
            which no classifier says anything are not in it.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        asked = sorted(set(oids))
        rows: list[Any] = []
        with explained(_NAME), self._engine().connect() as connection:
            for start in range(0, len(asked), _OIDS):
                here = probabilities.c.oid.in_(asked[start : start + _OIDS])
                rows += connection.execute(select(probabilities).where(here, probabilities.c.ranking == 1))
        best: dict[str, list[ObjectClassification]] = {}
        for row in sorted(rows, key=lambda row: (row.classifier_name, row.classifier_version)):
            likeliest = ClassProbability(row.class_name, row.probability, row.ranking)
            said = ObjectClassification(row.classifier_name, row.classifier_version, (likeliest,))
            best.setdefault(row.oid, []).append(said)
        return best

    def close(self) -> None:
        """Close this process's connections; harmless when called again."""
        engine = self._engine.take()
        if engine is not None:
            engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with explained(_NAME), writing(self._engine()).begin() as connection:
            yield connection


def _open(url: URL, timeout_s: float) -> Engine:
    engine = make_engine(url, timeout_s)
    try:
        with explained(_NAME):
            _make_missing(engine)
    except StoreUnavailable:
        engine.dispose()
        raise
    return engine


def _make_missing(engine: Engine) -> None:
    """Make the tables that are missing; processes that start at once take turns."""
    with engine.connect() as connection:
        if not _missing(connection):
            return
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        metadata.create_all(connection, _missing(connection))


def _missing(connection: Connection) -> list[Table]:
    """List the tables that are not there, and refuse those that are not ALeRCE's."""
    inspector = inspect(connection)
    missing = []
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name):
            missing.append(table)
            continue
        found = {column["name"] for column in inspector.get_columns(table.name)}
        lacking = [column.name for column in table.columns if not column.nullable and column.name not in found]
        if lacking:
            raise StoreUnavailable(f"{_NAME} has a table {table.name} of another kind: it lacks {lacking[0]}")
    return missing


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, in their order; those whose keys are there already are left as they are."""
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
        return
    # An array for each column: one short statement, however many rows there are.
    arrays = {name: [row[name] for row in rows] for name in rows[0]}
    found = select(*(func.unnest(bindparam(name, type_=ARRAY(table.c[name].type))) for name in arrays))
    connection.execute(postgresql.insert(table).from_select(list(arrays), found).on_conflict_do_nothing(), arrays)


def _known(connection: Connection, oids: list[str], classifier_name: str, classifier_version: str) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(oids), _OIDS):
        wanted = select(probabilities.c.oid).where(
            probabilities.c.oid.in_(oids[start : start + _OIDS]),
            probabilities.c.classifier_name == classifier_name,
            probabilities.c.classifier_version == classifier_version,
        )
        known.update(connection.scalars(wanted.distinct()))
    return known


def _object_row(found: NewObject) -> dict[str, Any]:
    row = {field.name: getattr(found, field.name) for field in fields(found)}
    return _DEFAULTS | row | {"lastmjd": found.firstmjd}


def _class_rows(oid: str, values: Mapping[str, float], classifier: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "oid": oid,
            "class_name": row.class_name,
            "probability": row.probability,
            "ranking": row.ranking,
            **classifier,
        }
        for row in sorted(ranked(values), key=lambda row: row.class_name)
    ]
