"""What alerts are ingested into: tables, stores and lakes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stamp_service.alert_ingestion.layouts import DEFAULT_COLUMNS, Columns
from stamp_service.alert_ingestion.rows import NO_COLUMN, RowReader, Rows
from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.packets import Alert
from stamp_service.resolver import Resolver
from stamp_service.stores.outcomes import ADDED, PRESENT, Outcome, outcome_of, refused
from stamp_service.stores.protocol import PutOutcome


class Target(Protocol):
    """Something that takes alerts; the same alert again changes nothing."""

    def add(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """Take alerts; once this returns, those that were added are kept for good.

        Parameters
        ----------
        alerts : sequence of Alert
            Alerts of any surveys.

        Returns
        -------
        list of Outcome
            What became of each, in their order.

        Raises
        ------
        StoreUnavailable
            If the target cannot be written to. Some of the alerts may have been added; the same again is right.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; harmless when called again."""
        ...


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of rows.

    Parameters
    ----------
    added : set of int or str
        Ids of those that are new.
    refused : dict
        Why others were refused, by their id.
    """

    added: set[int | str]
    refused: dict[int | str, str] = field(default_factory=dict)


class Tables(Protocol):
    """Tables of alerts, one for each survey, that rows are put into by their ids."""

    def upsert(self, rows: Rows) -> Upserted:
        """Put rows into the table of their survey, and make it or widen it where that is needed.

        A row whose id is there stays as it is, but for columns that are there by choice and that it lacks.

        Parameters
        ----------
        rows : Rows
            The rows; of several with one id, the first counts.

        Returns
        -------
        Upserted
            Which are new.

        Raises
        ------
        PacketCorrupt
            If the table has columns of the same names and unlike types.
        StoreUnavailable
            If it cannot be written to.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; harmless when called again."""
        ...


class TableTarget:
    """Alerts as rows of tables; see `Target` for what the methods promise.

    Parameters
    ----------
    tables : Tables
        The tables; closed with the target.
    columns : Columns
        Which columns they get.
    """

    def __init__(self, tables: Tables, columns: Columns = DEFAULT_COLUMNS) -> None:
        self._tables = tables
        self._reader = RowReader(columns)

    def add(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """Put alerts into the tables of their surveys.

        Parameters
        ----------
        alerts : sequence of Alert
            The alerts.

        Returns
        -------
        list of Outcome
            What became of each.

        Raises
        ------
        StoreUnavailable
            If a table cannot be written to.
        """
        groups, outcomes = self._reader.read(alerts)
        for rows in groups:
            outcomes |= self._upsert(rows)
        return [outcomes[number] for number in range(len(alerts))]

    def _upsert(self, rows: Rows) -> dict[int, Outcome]:
        try:
            upserted = self._tables.upsert(rows)
        except PacketCorrupt as error:
            return dict.fromkeys(rows.numbers, refused(f"{rows.survey.name}: {error}", NO_COLUMN))
        outcomes: dict[int, Outcome] = {}
        added = set(upserted.added)
        for number, alert_id in zip(rows.numbers, rows.ids(), strict=True):
            if alert_id in upserted.refused:
                reason = upserted.refused[alert_id]
                outcomes[number] = refused(f"{rows.survey.name} alert {alert_id}: {reason}", reason)
            elif alert_id in added:
                added.remove(alert_id)
                outcomes[number] = ADDED
            else:
                outcomes[number] = PRESENT
        return outcomes

    def close(self) -> None:
        """Close the tables."""
        self._tables.close()


class StoreTarget:
    """Alerts as packets in the stores of their surveys; see `Target` for what the methods promise.

    Parameters
    ----------
    resolver : Resolver
        Puts packets into stores; closed with the target.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def add(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """Put packets into the stores of their surveys.

        Parameters
        ----------
        alerts : sequence of Alert
            The alerts.

        Returns
        -------
        list of Outcome
            What became of each.

        Raises
        ------
        StoreUnavailable
            If a store cannot be written to.
        """
        outcomes: dict[int, PutOutcome] = {}
        sound: dict[int, Alert] = {}
        for number, alert in enumerate(alerts):
            try:
                alert.outline()  # looks through all of it
                sound[number] = alert
            except (PacketCorrupt, TooLarge) as error:
                outcomes[number] = error
        outcomes |= zip(sound, self._resolver.put_each(list(sound.values())), strict=True)
        return [outcome_of(outcomes[number]) for number in range(len(alerts))]

    def close(self) -> None:
        """Close the stores."""
        self._resolver.close()
