"""From alerts to the rows of a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stamp_service.alert_ingestion.extras import extra
from stamp_service.alert_ingestion.layouts import DEFAULT_COLUMNS, KEY, Columns, Layout, grow, layout_of
from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.packets import Alert
from stamp_service.packets.bounded import Bounded
from stamp_service.stores.outcomes import DAMAGED, TOO_LARGE, Outcome, refused
from stamp_service.surveys import Survey

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_LAYOUTS = 64
NO_COLUMN = "a table cannot hold what its schema says"
NO_VALUE = "it holds a value that its schema does not allow"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of alerts of one survey and one schema.

    Parameters
    ----------
    survey : Survey
        The survey.
    layout : Layout
        The columns.
    numbers : list of int
        Which of the alerts each row is of.
    table : pyarrow.Table
        The rows.
    """

    survey: Survey
    layout: Layout
    numbers: list[int]
    table: "pa.Table"

    def ids(self) -> list[int | str]:
        """List the rows' ids.

        Returns
        -------
        list of int or str
            One for each row.
        """
        ids: list[int | str] = self.table.column(KEY).to_pylist()
        return ids


class RowReader:
    """Reads alerts as rows.

    Parameters
    ----------
    columns : Columns
        Which columns the rows have.
    """

    def __init__(self, columns: Columns = DEFAULT_COLUMNS) -> None:
        self._columns = columns
        # By identity: packets of one schema share it. Holding it keeps its id its own.
        self._layouts: Bounded[tuple[str, int], tuple[object, Layout | PacketCorrupt]] = Bounded(_MAX_LAYOUTS)

    def read(self, alerts: Sequence[Alert]) -> tuple[list[Rows], dict[int, Outcome]]:
        """Read alerts of any surveys and schemas.

        Parameters
        ----------
        alerts : sequence of Alert
            The alerts.

        Returns
        -------
        rows : list of Rows
            The rows, by survey and schema.
        refusals : dict of int to Outcome
            Why those were refused that have no row, by their number.

        Raises
        ------
        ConfigurationError
            If pyarrow is not installed.
        """
        groups: dict[int, _Group] = {}
        refusals: dict[int, Outcome] = {}
        for number, alert in enumerate(alerts):
            try:
                layout = self._layout(alert)
                record = _record(alert, layout)
            except TooLarge as error:
                refusals[number] = refused(str(error), TOO_LARGE)
            except _NoColumn as error:
                refusals[number] = refused(str(error), NO_COLUMN)
            except PacketCorrupt as error:
                refusals[number] = refused(str(error), DAMAGED)
            else:
                group = groups.setdefault(id(layout), _Group(alert.survey, layout))
                group.numbers.append(number)
                group.records.append(record)
        rows = [part for group in _together(groups.values()) for part in _convert(group, refusals)]
        return rows, refusals

    def _layout(self, alert: Alert) -> Layout:
        schema = alert.packet.schema
        key = alert.survey.fingerprint, id(schema)
        known = self._layouts.get(key)
        if known is None:
            try:
                known = schema, layout_of(alert.survey, schema, self._columns)
            except PacketCorrupt as error:
                known = schema, error
            self._layouts.put(key, known)
        if isinstance(known[1], PacketCorrupt):
            raise _NoColumn(f"{alert.survey.name} alert {alert.alert_id}: {known[1]}")
        return known[1]


def _record(alert: Alert, layout: Layout) -> dict[str, Any]:
    """Decode the columns of a layout, and nothing else; that takes half the time of all that is in a packet."""
    # Asking for an id compares it with the one that is expected.
    _ = alert.object_id
    names = [name for name in layout.schema.names if name != KEY]
    try:
        alert.packet.check()
        values = alert.packet.get_many([(name,) for name in names])
    except (PacketCorrupt, TooLarge) as error:
        raise type(error)(f"{alert.survey.name} alert {alert.alert_id}: {error}") from None
    key = int(alert.alert_id) if alert.survey.alert_id.type == "int64" else alert.alert_id
    return {KEY: key} | dict(zip(names, values, strict=True))


class _NoColumn(PacketCorrupt):
    """A table cannot have the columns that a schema asks for."""


@dataclass(slots=True)
class _Group:
    """Decoded alerts that have one layout."""

    survey: Survey
    layout: Layout
    numbers: list[int] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    def join(self, other: "_Group") -> None:
        """Take over what is in another group; `PacketCorrupt` if no table holds both."""
        schema = grow(self.layout.schema, other.layout.schema)
        chosen = dict.fromkeys((*self.layout.chosen, *other.layout.chosen))
        self.layout = Layout(schema, tuple(chosen))
        self.numbers += other.numbers
        self.records += other.records


def _together(groups: Iterable[_Group]) -> list[_Group]:
    """Put the schema versions of a survey together: each group costs a table as much as a hundred rows."""
    joined: dict[str, _Group] = {}
    apart: list[_Group] = []
    for group in groups:
        try:
            first = joined.setdefault(group.survey.name, group)
            if first is not group:
                first.join(group)
        except PacketCorrupt:
            apart.append(group)
    return [*joined.values(), *apart]


def _convert(group: _Group, refusals: dict[int, Outcome]) -> list[Rows]:
    arrow = extra("pyarrow")
    survey, layout = group.survey, group.layout
    try:
        table = arrow.Table.from_pylist(group.records, schema=layout.schema)
        return [Rows(survey, layout, group.numbers, table)]
    except (arrow.ArrowException, OverflowError, TypeError, ValueError):
        # A number beyond its type's range: whose it is shows when each is tried by itself.
        if len(group.records) == 1:
            name = f"{survey.name} alert {group.records[0][KEY]}"
            reason = f"{name}: the packet holds a value that its schema does not allow"
            refusals[group.numbers[0]] = refused(reason, NO_VALUE)
            return []
    pairs = zip(group.numbers, group.records, strict=True)
    singles = (_Group(survey, layout, [number], [record]) for number, record in pairs)
    return [rows for single in singles for rows in _convert(single, refusals)]
