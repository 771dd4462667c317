"""Making the index of a store anew: what it lacks is read from the packets.

What is in the index is not read again, so a rebuild that was cut short is simply started again, and one after a
failure of the index takes as long as listing the store. The service may run and take packets meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from stamp_service.errors import AlertNotFound, PacketCorrupt, StampServiceError, TooLarge
from stamp_service.index import AlertIndex, IndexedAlert, entry_of
from stamp_service.packets import SchemaLookup, open_alert
from stamp_service.stores import ListedStore, fetch_each
from stamp_service.surveys import Survey

_BATCH = 1000
_REFUSALS: dict[type[StampServiceError], str] = {
    AlertNotFound: "it is not there any more",
    PacketCorrupt: "it is damaged",
    TooLarge: "it is too large",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An alert that could not be entered.

    Parameters
    ----------
    alert_id : str
        Which.
    reason : str
        Why, in full.
    kind : str
        Why, in words that are the same for all of a kind.
    """

    alert_id: str
    reason: str
    kind: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of some alerts of a store.

    Parameters
    ----------
    entered : int
        How many were entered.
    known : int
        How many were in the index.
    refused : sequence of Refusal
        The others.
    """

    entered: int
    known: int
    refused: Sequence[Refusal]


def rebuild(
    index: AlertIndex,
    store: ListedStore,
    survey: Survey,
    schemas: SchemaLookup | None,
    *,
    max_packet_bytes: int,
    known_too: bool = False,
) -> Iterator[Rebuilt]:
    """Enter the alerts of a store that the index lacks.

    Parameters
    ----------
    index : AlertIndex
        The index.
    store : ListedStore
        The store.
    survey : Survey
        The survey.
    schemas : SchemaLookup or None
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    known_too : bool
        Whether to enter all others anew.

    Yields
    ------
    Rebuilt
        What became of a portion, once that is for good.

    Raises
    ------
    StoreUnavailable
        If the store or the index could not be asked. The same again goes on from there.
    """
    listed = store.listed(survey)
    while portion := list(islice(listed, _BATCH)):
        known = set() if known_too else index.known(survey.name, [alert_id for alert_id, _ in portion])
        wanted = [ids for ids in portion if ids[0] not in known]
        entries: list[IndexedAlert] = []
        refused: list[Refusal] = []
        for alert_id, packet in fetch_each(store, survey, wanted):
            try:
                if isinstance(packet, StampServiceError):
                    raise packet
                entries.append(
                    entry_of(open_alert(survey, alert_id, packet, schemas, max_packet_bytes), store.name)
                )
            except (AlertNotFound, PacketCorrupt, TooLarge) as error:
                refused.append(Refusal(alert_id, str(error), _REFUSALS[type(error)]))
        index.add(entries)
        yield Rebuilt(len(entries), len(known), refused)
