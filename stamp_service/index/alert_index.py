"""The index: one row per alert, found by object, by time and by position."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stamp_service.errors import ObjectNotFound, StoreUnavailable
from stamp_service.index.cells import Cone, cells_of, covering
from stamp_service.index.entries import IndexedAlert, bits_of, kinds_of
from stamp_service.index.migrating import migrate
from stamp_service.index.pages import Page, Position, read_token
from stamp_service.index.tables import alerts
from stamp_service.remote.databases import explained, make_engine, writing
from stamp_service.remote.processes import PerProcess

_NAME = "the index"
# Rows read at a time where positions are compared exactly after the cells.
_CANDIDATES = 1000


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
        values = [_row(entry, cell) for (_, entry), cell in zip(rows, cells, strict=True)]
        with explained(_NAME), writing(self._engine()).begin() as connection:
            return _upsert(connection, values)

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
        wanted = (
            select(alerts)
            .where(alerts.c.survey == survey, alerts.c.object_id == object_id)
            .order_by(alerts.c.time_mjd, alerts.c.alert_id)
        )
        with self._reading() as connection:
            found = [_entry(row) for row in connection.execute(wanted)]
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
    ) -> Page:
        """Search for alerts by time and position, page by page.

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

        Returns
        -------
        Page
            Alerts, oldest first; those of the same time by id.

        Raises
        ------
        RequestError
            If `after` is from no page.
        StoreUnavailable, StoreTimeout
            If the database could not be asked.
        """
        conditions = [alerts.c.survey == survey]
        if since_mjd is not None:
            conditions.append(alerts.c.time_mjd >= since_mjd)
        if until_mjd is not None:
            conditions.append(alerts.c.time_mjd < until_mjd)
        if cone is not None:
            conditions.append(or_(*(alerts.c.cell.between(*cells) for cells in covering(cone))))
        start = None if after is None else read_token(after)
        last = Position(-math.inf, "")
        found: list[IndexedAlert] = []
        with self._reading() as connection:
            for position, entry in _walk(connection, conditions, start, limit if cone is None else _CANDIDATES):
                if cone is not None and not _inside(cone, entry):
                    continue
                if len(found) == limit:
                    return Page(found, last.token())
                found.append(entry)
                last = position
        return Page(found, None)

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


def _row(entry: IndexedAlert, cell: int | None) -> dict[str, Any]:
    return {
        "survey": entry.survey,
        "alert_id": entry.alert_id,
        "object_id": entry.object_id,
        "time_mjd": -math.inf if entry.time_mjd is None else entry.time_mjd,
        "ra_deg": entry.ra_deg,
        "dec_deg": entry.dec_deg,
        "cell": cell,
        "band": entry.band,
        "magnitude": entry.magnitude,
        "flux_njy": entry.flux_njy,
        "kinds": bits_of(entry.kinds),
        "place": entry.place,
    }


def _entry(row: Any) -> IndexedAlert:  # noqa: ANN401 - a row has the columns of its statement
    return IndexedAlert(
        survey=row.survey,
        alert_id=row.alert_id,
        object_id=row.object_id,
        time_mjd=None if row.time_mjd == -math.inf else row.time_mjd,
        ra_deg=row.ra_deg,
        dec_deg=row.dec_deg,
        band=row.band,
        magnitude=row.magnitude,
        flux_njy=row.flux_njy,
        kinds=kinds_of(row.kinds),
        place=row.place,
    )


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


def _walk(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], start: Position | None, size: int
) -> Iterator[tuple[Position, IndexedAlert]]:
    """Read rows in their order, some at a time."""
    while True:
        wanted = select(alerts).where(*conditions).order_by(alerts.c.time_mjd, alerts.c.alert_id).limit(size + 1)
        if start is not None:
            # Not as a comparison of pairs, for which SQLite does not use the index of times.
            later = and_(alerts.c.time_mjd == start.time_mjd, alerts.c.alert_id > start.alert_id)
            wanted = wanted.where(
                alerts.c.time_mjd >= start.time_mjd, or_(alerts.c.time_mjd > start.time_mjd, later)
            )
        rows = connection.execute(wanted).all()
        for row in rows:
            start = Position(row.time_mjd, row.alert_id)
            yield start, _entry(row)
        if len(rows) <= size:
            return


def _inside(cone: Cone, entry: IndexedAlert) -> bool:
    return entry.ra_deg is not None and entry.dec_deg is not None and cone.contains(entry.ra_deg, entry.dec_deg)
