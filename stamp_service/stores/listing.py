"""Going through all packets of a store, several of which are on their way at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
# Stores answer slowly: a disk seeks, a bucket is far away.
_THREADS = 8


def read_ahead(ids: Iterable[T], read: Callable[[T], bytes]) -> Iterator[tuple[T, bytes]]:
    """Read packets in order, a few ahead of the one that is handed out.

    Parameters
    ----------
    ids : iterable
        What to read.
    read : callable
        Reads one.

    Yields
    ------
    tuple of object and bytes
        What was read, and the packet.

    Raises
    ------
    Exception
        Whatever `read` raises.
    """
    waiting = iter(ids)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="read-ahead") as pool:
        under_way: deque[tuple[T, Future[bytes]]] = deque()
        try:
            for what in islice(waiting, 2 * _THREADS):
                under_way.append((what, pool.submit(read, what)))
            while under_way:
                done, future = under_way.popleft()
                packet = future.result()
                for what in islice(waiting, 1):
                    under_way.append((what, pool.submit(read, what)))
                yield done, packet
        finally:
            for _, future in under_way:
                future.cancel()
