"""Going through all packets of a store, several of which are on their way at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeAlias, runtime_checkable

from stamp_service.errors import AlertNotFound, ConfigurationError, PacketCorrupt, StampServiceError, TooLarge
from stamp_service.stores.protocol import Store
from stamp_service.surveys import Survey

# An alert id, and the object id where the store needs it to fetch the packet.
AlertIds: TypeAlias = tuple[str, str | None]
Fetched: TypeAlias = bytes | StampServiceError
# Stores answer slowly: a disk seeks, a bucket is far away.
_THREADS = 8


@runtime_checkable
class ListedStore(Store, Protocol):
    """A store that can say what it has."""

    def listed(self, survey: Survey) -> Iterator[AlertIds]:
        """Name the alerts of a survey, in no particular order.

        Parameters
        ----------
        survey : Survey
            The survey.

        Yields
        ------
        tuple of str and (str or None)
            Alert ids, and object ids where the store needs them to fetch a packet.

        Raises
        ------
        StoreUnavailable
            If the store cannot be listed.
        """
        ...


def listed_stores(survey: Survey, stores: Iterable[Store]) -> list[ListedStore]:
    """Pick the stores of a survey that can say what they have.

    Parameters
    ----------
    survey : Survey
        The survey.
    stores : iterable of Store
        Its stores.

    Returns
    -------
    list of ListedStore
        Those that can, in their order.

    Raises
    ------
    ConfigurationError
        If none can.
    """
    found = [store for store in stores if isinstance(store, ListedStore)]
    if not found:
        raise ConfigurationError(f"no store of {survey.name} can list what it has")
    return found


def fetch_each(store: Store, survey: Survey, wanted: Iterable[AlertIds]) -> Iterator[tuple[str, Fetched]]:
    """Fetch packets in order, a few ahead of the one that is handed out.

    Parameters
    ----------
    store : Store
        The store.
    survey : Survey
        The survey of the alerts.
    wanted : iterable of tuple of str and (str or None)
        Alert ids and object ids, as `ListedStore.listed` gives them.

    Yields
    ------
    str
        The alert id.
    bytes or StampServiceError
        Its packet, or why it cannot be had (`AlertNotFound`, `PacketCorrupt`, `TooLarge`).

    Raises
    ------
    StoreUnavailable
        If the store cannot be asked.
    """
    waiting = iter(wanted)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool:
        under_way: deque[tuple[str, Future[Fetched]]] = deque()

        def begin(count: int) -> None:
            for ids in islice(waiting, count):
                under_way.append((ids[0], pool.submit(_fetch, store, survey, *ids)))

        try:
            begin(2 * _THREADS)
            while under_way:
                alert_id, future = under_way.popleft()
                fetched = future.result()
                begin(1)
                yield alert_id, fetched
        finally:
            for _, future in under_way:
                future.cancel()


def _fetch(store: Store, survey: Survey, alert_id: str, object_id: str | None) -> Fetched:
    try:
        return store.get(survey, alert_id, object_id)
    except (AlertNotFound, PacketCorrupt, TooLarge) as error:
        return error
