"""Going through all packets of a store, several of which are on their way at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

from stamp_service.stores.protocol import Store
from stamp_service.surveys import Survey

T = TypeVar("T")
R = TypeVar("R")
# Stores answer slowly: a disk seeks, a bucket is far away.
_THREADS = 8


@runtime_checkable
class ListedStore(Store, Protocol):
    """A store that can say what it has."""

    def listed(self, survey: Survey) -> Iterator[tuple[str, str | None]]:
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


def read_ahead(ids: Iterable[T], read: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Read packets in order, a few ahead of the one that is handed out.

    Parameters
    ----------
    ids : iterable
        What to read.
    read : callable
        Reads one.

    Yields
    ------
    tuple of object
        What was to be read, and what `read` gave.

    Raises
    ------
    Exception
        Whatever `read` raises.
    """
    waiting = iter(ids)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="read-ahead") as pool:
        under_way: deque[tuple[T, Future[R]]] = deque()
        try:
            for what in islice(waiting, 2 * _THREADS):
                under_way.append((what, pool.submit(read, what)))
            while under_way:
                done, future = under_way.popleft()
                result = future.result()
                for what in islice(waiting, 1):
                    under_way.append((what, pool.submit(read, what)))
                yield done, result
        finally:
            for _, future in under_way:
                future.cancel()
