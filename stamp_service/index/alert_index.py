"""The index: one row per alert, found by object, by time and by position."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import URL, Connection, Engine, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stamp_service.errors import ObjectNotFound, StoreUnavailable
from stamp_service.index.cells import Cone, cells_of
from stamp_service.index.entries import IndexedAlert
from stamp_service.index.migrating import migrate
from stamp_service.index.pages import Page, read_token
from stamp_service.index.rows import entry_at, row_of
from stamp_service.index.searching import Question, find
from stamp_service.index.tables import alerts, holdings
from stamp_service.remote.databases import explained, make_engine, writing
from stamp_service.remote.processes import PerProcess

_NAME = "the index"

# Made once: making it takes SQLAlchemy as long as all the rest of a look-up.
_OF_OBJECT = (
    select(alerts)
    .where(alerts.c.survey == bindparam("of_survey"), alerts.c.object_id == bindparam("of_object"))
    .order_by(alerts.c.time_mjd, alerts.c.alert_id)
)


@dataclass(frozen=True, slots=True)
class Holding:
    """How much there is of a survey.

    Parameters
    ----------
    alerts : int
        How many alerts.
    last_s : float or None
        When the last new one was added, seconds since the epoch; None if that is not known.
    """

    alerts: int
    last_s: float | None


class AlertIndex:
    """A table of alerts in SQLite or PostgreSQL; may be used by threads, and by processes forked from its maker.

    Parameters
    ----------
    url : sqlalchemy.URL
        The database.
    timeout_s : float
        Longest wait: for a connection, a lock, an answer.
    """

    def __init__(self, url: URL, timeout_s: float) -> None:
        self._engine = PerProcess(lambda: _open(url, timeout_s))

    def add(self, entries: Iterable[IndexedAlert]) -> int:
        """Add alerts; what is there already is brought up to date.

        Parameters
        ----------
        entries : iterable of IndexedAlert
            The alerts; of several with one id, the last counts.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be written to; then none of them is there that was not there before.
        """
        # In the order of the key, so that two writers of the same alerts do not wait for each other.
        rows = sorted({(one.survey, one.alert_id): one for one in entries}.items())
        if not rows:
            return 0
        cells = cells_of([(entry.ra_deg, entry.dec_deg) for _, entry in rows])
        values = [row_of(entry, cell) for (_, entry), cell in zip(rows, cells, strict=True)]
        with explained(_NAME), writing(self._engine()).begin() as connection:
            new = {
                survey: _upsert(connection, list(own))
                for survey, own in groupby(values, key=lambda row: str(row["survey"]))
            }
            # Last, so that others wait for these few rows as long as a commit takes.
            _count(connection, {survey: count for survey, count in new.items() if count})
        return sum(new.values())

    def known(self, survey: str, alert_ids: Sequence[str]) -> set[str]:
        """Say which alerts are there.

        Parameters
        ----------
        survey : str
            The survey's name.
        alert_ids : sequence of str
            Some thousand ids at most.

        Returns
        -------
        set of str
            Those that are.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        here = alerts.c.survey == survey, alerts.c.alert_id.in_(alert_ids)
        with self._reading() as connection:
            return set(connection.execute(select(alerts.c.alert_id).where(*here)).scalars())

    def move(self, survey: str, alert_ids: Sequence[str], place: str) -> None:
        """Note that the packets of alerts are somewhere else now; alerts that are not there are not added.

        Parameters
        ----------
        survey : str
            The survey's name.
        alert_ids : sequence of str
            Some thousand ids at most.
        place : str
            Where they are: the name of a store.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be written to.
        """
        here = alerts.c.survey == survey, alerts.c.alert_id.in_(alert_ids)
        with explained(_NAME), writing(self._engine()).begin() as connection:
            connection.execute(update(alerts).where(*here).values(place=place))

    def alerts_of(self, survey: str, object_id: str) -> list[IndexedAlert]:
        """List the alerts of an object.

        Parameters
        ----------
        survey : str
            The survey's name.
        object_id : str
            A checked object id.

        Returns
        -------
        list of IndexedAlert
            Oldest first; those of the same time by id.

        Raises
        ------
        ObjectNotFound
            If there are none.
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        with self._reading() as connection:
            rows = connection.execute(_OF_OBJECT, {"of_survey": survey, "of_object": object_id})
            found = [entry_at(row) for row in rows]
        if not found:
            raise ObjectNotFound(f"no alert of {survey} object {object_id} is known")
        return found

    def search(
        self,
        survey: str,
        *,
        since_mjd: float | None = None,
        until_mjd: float | None = None,
        cone: Cone | None = None,
        limit: int,
        after: str | None = None,
        newest_first: bool = False,
        least_real_bogus: float | None = None,
    ) -> Page:
        """Search for alerts by time and position, page by page.

        A page of a wide cone, or of real alerts alone, may have fewer alerts than its limit though there are
        more: looking for rare ones among many ends after a while, and the next page goes on from there.

        Parameters
        ----------
        survey : str
            The survey's name.
        since_mjd, until_mjd : float, optional
            From when on, and before when: modified Julian dates.
        cone : Cone, optional
            Where on the sky.
        limit : int
            Most alerts of a page.
        after : str, optional
            The former page's `after`.
        newest_first : bool
            Whether the newest alerts come first, not the oldest.
        least_real_bogus : float, optional
            The least that the survey's classifier says of whether they are real, 0 to 1.

        Returns
        -------
        Page
            Alerts; those of the same time by id.

        Raises
        ------
        RequestError
            If `after` is from no page.
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        start = None if after is None else read_token(after)
        with self._reading() as connection:
            question = Question(survey, since_mjd, until_mjd, cone, limit, newest_first, least_real_bogus)
            return find(connection, question, start)

    def holdings(self) -> dict[str, Holding]:
        """Say how many alerts there are.

        Returns
        -------
        dict of str to Holding
            By survey; those without alerts are not in it.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        with self._reading() as connection:
            rows = connection.execute(select(holdings)).all()
        return {row.survey: Holding(row.alerts, row.last_s or None) for row in rows}

    def check(self) -> None:
        """Find out whether the database can be asked now.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it cannot.
        """
        with self._reading() as connection:
            connection.execute(select(alerts.c.survey).limit(1))

    def close(self) -> None:
        """Close this process's connections; harmless when called again."""
        engine = self._engine.take()
        if engine is not None:
            engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(_NAME), self._engine().connect() as connection:
            yield connection


def _open(url: URL, timeout_s: float) -> Engine:
    engine = make_engine(url, timeout_s)
    try:
        with explained(_NAME):
            migrate(engine)
    except StoreUnavailable:
        engine.dispose()
        raise
    return engine


def _count(connection: Connection, new: Mapping[str, int]) -> None:
    if not new:
        return
    insert = (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(holdings)
    added = insert.on_conflict_do_update(
        index_elements=[holdings.c.survey],
        set_={"alerts": holdings.c.alerts + insert.excluded.alerts, "last_s": insert.excluded.last_s},
    )
    now_s = time.time()
    connection.execute(added, [{"survey": name, "alerts": count, "last_s": now_s} for name, count in new.items()])


def _upsert(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Write rows; gives how many were new."""
    insert = (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(alerts)
    # A statement for each row, compiled once. One for all of them is compiled every time, for ten times as long.
    counting = {"preserve_rowcount": True}
    new = connection.execute(insert.on_conflict_do_nothing(), rows, execution_options=counting).rowcount
    if new < len(rows):
        updated = {name: insert.excluded[name] for name in rows[0] if name not in alerts.primary_key.columns}
        replacing = insert.on_conflict_do_update(index_elements=list(alerts.primary_key.columns), set_=updated)
        connection.execute(replacing, rows)
    return new
