"""Searches by time and place, in the order of time.

A cone with few alerts is read whole, by its cells, and sorted: in the order of time, they might be anywhere. A
cone with many is looked for in the order of time, where the next one is never far; and should it be, the page
ends. So no page reads more than some ten thousand rows, however many there are.

Neither SQLite, which has no statistics, nor PostgreSQL, whose statistics know nothing of how times and places go
together, chooses well between the two indexes. So each statement can use one of them only: a column plus nothing
has no index.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, or_, select, union_all

from stamp_service.index.cells import Cone, covering
from stamp_service.index.entries import IndexedAlert
from stamp_service.index.pages import Page, Position, position_of
from stamp_service.index.rows import entry_at
from stamp_service.index.tables import alerts

# Most alerts of a cone that is read whole; most rows that a page of another one looks through.
NEAR_ROWS = 20_000
WINDOW_ROWS = 50_000

_NOTHING: ColumnElement[int] = literal_column("0")
_Ranges = Sequence[tuple[int, int]]
_Statement = Callable[[Position | None], "Select[tuple[object, ...]]"]


@dataclass(frozen=True, slots=True)
class Question:
    """Which alerts are looked for.

    Parameters
    ----------
    survey : str
        The survey's name.
    since_mjd, until_mjd : float or None
        From when on, and before when: modified Julian dates.
    cone : Cone or None
        Where on the sky.
    limit : int
        Most alerts of a page.
    newest_first : bool
        Whether the order of time is turned round.
    least_real_bogus : float or None
        The least that the survey's classifier says of whether they are real.
    """

    survey: str
    since_mjd: float | None
    until_mjd: float | None
    cone: Cone | None
    limit: int
    newest_first: bool = False
    least_real_bogus: float | None = None

    @property
    def before_all(self) -> Position:
        """A place before all alerts."""
        return Position(math.inf if self.newest_first else -math.inf, "")


def find(
    connection: Connection,
    question: Question,
    start: Position | None,
    *,
    near_rows: int = NEAR_ROWS,
    window_rows: int = WINDOW_ROWS,
) -> Page:
    """Find a page of alerts.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The database.
    question : Question
        Which alerts.
    start : Position or None
        After which place in their order the page starts.
    near_rows, window_rows : int
        Most alerts of a cone that is read whole, and most rows that a page of another one looks through.

    Returns
    -------
    Page
        Alerts, oldest or newest first; those of the same time by id.
    """
    if question.cone is None and question.least_real_bogus is not None:
        return _page_of_window(connection, question, None, start, window_rows)
    if question.cone is None:
        return _page(question, _walk(connection, lambda last: _in_time(question, last), start, question.limit))
    ranges = covering(question.cone)
    if _count(connection, question, ranges, near_rows + 1) <= near_rows:
        near = _walk(connection, lambda last: _in_cells(question, ranges, last), start, 2 * question.limit)
        return _page(question, near)
    return _page_of_window(connection, question, ranges, start, window_rows)


def _page_of_window(
    connection: Connection, question: Question, ranges: _Ranges | None, start: Position | None, window_rows: int
) -> Page:
    place = (alerts.c.cell + _NOTHING).label("place")
    inside = () if ranges is None else (or_(*(place.between(*cells) for cells in ranges)),)
    wanted = (*inside, *_real(question))
    columns = alerts.c.time_mjd, alerts.c.alert_id
    following = connection.execute(
        _in_time(question, start).with_only_columns(*columns).offset(window_rows).limit(1)
    ).first()
    end = None if following is None else Position(*following)
    until = () if end is None else _up_to(question, end)
    found = _walk(
        connection, lambda last: _in_time(question, last).where(*wanted, *until), start, 2 * question.limit
    )
    page = _page(question, found)
    return page if page.after is not None or end is None else Page(page.alerts, end.token())


def _in_time(question: Question, start: Position | None) -> "Select[tuple[object, ...]]":
    """Select by the index of times."""
    times = _times(question, start, alerts.c.time_mjd)
    order = _order(question, alerts.c.time_mjd, alerts.c.alert_id)
    return select(alerts).where(alerts.c.survey == question.survey, *times).order_by(*order)


def _in_cells(question: Question, ranges: _Ranges, start: Position | None) -> "Select[tuple[object, ...]]":
    """Select by the index of cells."""
    times = (*_times(question, start, alerts.c.time_mjd + _NOTHING), *_real(question))
    here = alerts.c.survey == question.survey
    # One after another, as SQLite would not use the index for all of them at once.
    found = union_all(
        *(select(alerts).where(here, alerts.c.cell.between(*cells), *times) for cells in ranges)
    ).subquery()
    return select(found).order_by(*_order(question, found.c.time_mjd + _NOTHING, found.c.alert_id))


def _count(connection: Connection, question: Question, ranges: _Ranges, most: int) -> int:
    """Count the alerts in cells, up to a number."""
    here = alerts.c.survey == question.survey
    cells = union_all(*(select(alerts.c.cell).where(here, alerts.c.cell.between(*one)) for one in ranges))
    return connection.execute(select(func.count()).select_from(cells.limit(most).subquery())).scalar_one()


def _order(question: Question, *columns: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
    return tuple(column.desc() for column in columns) if question.newest_first else columns


def _real(question: Question) -> tuple[ColumnElement[bool], ...]:
    least = question.least_real_bogus
    return () if least is None else (alerts.c.real_bogus >= least,)


def _times(
    question: Question, start: Position | None, time: ColumnElement[float]
) -> Iterator[ColumnElement[bool]]:
    if question.since_mjd is not None:
        yield time >= question.since_mjd
    if question.until_mjd is not None:
        yield time < question.until_mjd
    if start is not None:
        yield from _beyond(time, start, later=not question.newest_first)


def _beyond(time: ColumnElement[float], place: Position, *, later: bool) -> Iterator[ColumnElement[bool]]:
    """Not as a comparison of pairs, for which SQLite does not use the index of times."""
    alert_id, same_time = alerts.c.alert_id, time == place.time_mjd
    if later:
        yield time >= place.time_mjd
        yield or_(time > place.time_mjd, and_(same_time, alert_id > place.alert_id))
    else:
        yield time <= place.time_mjd
        yield or_(time < place.time_mjd, and_(same_time, alert_id < place.alert_id))


def _up_to(question: Question, end: Position) -> tuple[ColumnElement[bool], ...]:
    time, alert_id = alerts.c.time_mjd, alerts.c.alert_id
    if question.newest_first:
        return time >= end.time_mjd, or_(time > end.time_mjd, alert_id >= end.alert_id)
    return time <= end.time_mjd, or_(time < end.time_mjd, alert_id <= end.alert_id)


def _walk(
    connection: Connection, statement: _Statement, start: Position | None, size: int
) -> Iterator[tuple[Position, IndexedAlert]]:
    """Read rows in their order, some at a time."""
    while True:
        rows = connection.execute(statement(start).limit(size + 1)).all()
        for row in rows:
            entry = entry_at(row)
            start = position_of(entry)
            yield start, entry
        if len(rows) <= size:
            return


def _page(question: Question, found: Iterable[tuple[Position, IndexedAlert]]) -> Page:
    listed: list[IndexedAlert] = []
    last = question.before_all
    for position, entry in found:
        if question.cone is not None and not _inside(question.cone, entry):
            continue
        if len(listed) == question.limit:
            return Page(listed, last.token())
        listed.append(entry)
        last = position
    return Page(listed, None)


def _inside(cone: Cone, entry: IndexedAlert) -> bool:
    return entry.ra_deg is not None and entry.dec_deg is not None and cone.contains(entry.ra_deg, entry.dec_deg)
