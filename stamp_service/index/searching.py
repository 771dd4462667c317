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

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, or_, select, union_all

from stamp_service.index.cells import Cone, covering
from stamp_service.index.entries import IndexedAlert
from stamp_service.index.pages import Page, Position
from stamp_service.index.rows import entry_at
from stamp_service.index.tables import alerts

# Most alerts of a cone that is read whole; most rows that a page of another one looks through.
NEAR_ROWS = 20_000
WINDOW_ROWS = 50_000

_ORDER = alerts.c.time_mjd, alerts.c.alert_id
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
    """

    survey: str
    since_mjd: float | None
    until_mjd: float | None
    cone: Cone | None
    limit: int


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
        Alerts, oldest first; those of the same time by id.
    """
    if question.cone is None:
        return _page(question, _walk(connection, lambda last: _in_time(question, last), start, question.limit))
    ranges = covering(question.cone)
    if _count(connection, question, ranges, near_rows + 1) <= near_rows:
        near = _walk(connection, lambda last: _in_cells(question, ranges, last), start, 2 * question.limit)
        return _page(question, near)
    return _page_of_window(connection, question, ranges, start, window_rows)


def _page_of_window(
    connection: Connection, question: Question, ranges: _Ranges, start: Position | None, window_rows: int
) -> Page:
    place = (alerts.c.cell + _NOTHING).label("place")
    inside = or_(*(place.between(*cells) for cells in ranges))
    following = connection.execute(
        _in_time(question, start).with_only_columns(*_ORDER).offset(window_rows).limit(1)
    ).first()
    end = None if following is None else Position(*following)
    until = () if end is None else _up_to(end)
    found = _walk(
        connection, lambda last: _in_time(question, last).where(inside, *until), start, 2 * question.limit
    )
    page = _page(question, found)
    return page if page.after is not None or end is None else Page(page.alerts, end.token())


def _in_time(question: Question, start: Position | None) -> "Select[tuple[object, ...]]":
    """Select by the index of times."""
    times = _times(question, start, alerts.c.time_mjd)
    return select(alerts).where(alerts.c.survey == question.survey, *times).order_by(*_ORDER)


def _in_cells(question: Question, ranges: _Ranges, start: Position | None) -> "Select[tuple[object, ...]]":
    """Select by the index of cells."""
    times = tuple(_times(question, start, alerts.c.time_mjd + _NOTHING))
    here = alerts.c.survey == question.survey
    # One after another, as SQLite would not use the index for all of them at once.
    found = union_all(
        *(select(alerts).where(here, alerts.c.cell.between(*cells), *times) for cells in ranges)
    ).subquery()
    return select(found).order_by(found.c.time_mjd + _NOTHING, found.c.alert_id)


def _count(connection: Connection, question: Question, ranges: _Ranges, most: int) -> int:
    """Count the alerts in cells, up to a number."""
    here = alerts.c.survey == question.survey
    cells = union_all(*(select(alerts.c.cell).where(here, alerts.c.cell.between(*one)) for one in ranges))
    return connection.execute(select(func.count()).select_from(cells.limit(most).subquery())).scalar_one()


def _times(
    question: Question, start: Position | None, time: ColumnElement[float]
) -> Iterator[ColumnElement[bool]]:
    if question.since_mjd is not None:
        yield time >= question.since_mjd
    if question.until_mjd is not None:
        yield time < question.until_mjd
    if start is not None:
        # Not as a comparison of pairs, for which SQLite does not use the index of times.
        yield time >= start.time_mjd
        yield or_(time > start.time_mjd, and_(time == start.time_mjd, alerts.c.alert_id > start.alert_id))


def _up_to(end: Position) -> tuple[ColumnElement[bool], ...]:
    time, alert_id = alerts.c.time_mjd, alerts.c.alert_id
    return time <= end.time_mjd, or_(time < end.time_mjd, alert_id <= end.alert_id)


def _walk(
    connection: Connection, statement: _Statement, start: Position | None, size: int
) -> Iterator[tuple[Position, IndexedAlert]]:
    """Read rows in their order, some at a time."""
    while True:
        rows = connection.execute(statement(start).limit(size + 1)).all()
        for row in rows:
            entry = entry_at(row)
            start = Position(-math.inf if entry.time_mjd is None else entry.time_mjd, entry.alert_id)
            yield start, entry
        if len(rows) <= size:
            return


def _page(question: Question, found: Iterable[tuple[Position, IndexedAlert]]) -> Page:
    listed: list[IndexedAlert] = []
    last = Position(-math.inf, "")
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
