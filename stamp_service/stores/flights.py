"""Single flight: of those who want the same thing at the same time one fetches it, and the others wait."""

import copy
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from stamp_service.errors import StoreUnavailable

T = TypeVar("T")


class Flights(Generic[T]):
    """What is being fetched now, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Future[T]] = {}

    def share(self, key: Hashable, fetch: Callable[[], T]) -> T:
        """Fetch something, or wait for the thread that is fetching it already.

        Parameters
        ----------
        key : hashable
            What is wanted.
        fetch : callable
            Fetches it. If it fails, all who wait now fail alike; whoever comes later tries anew.

        Returns
        -------
        object
            What was fetched.

        Raises
        ------
        StoreUnavailable
            If the thread that was fetching it was told to stop; otherwise whatever `fetch` raised.
        """
        with self._lock:
            flight = self._under_way.get(key)
            if flight is None:
                own = self._under_way[key] = Future()
        if flight is not None:
            return _await(flight)
        try:
            found = fetch()
        except BaseException as error:
            self._land(key)
            own.set_exception(error)
            # The error's traceback holds this frame, which must not hold the error: only the garbage collector
            # would free that circle.
            del own
            raise
        self._land(key)
        own.set_result(found)
        return found

    def _land(self, key: Hashable) -> None:
        with self._lock:
            del self._under_way[key]


def _await(flight: "Future[T]") -> T:
    error = flight.exception()
    if error is None:
        return flight.result()
    if not isinstance(error, Exception):
        # The other thread was told to stop; this one was not.
        raise StoreUnavailable("the look-up was interrupted", retry_after_s=1)
    # A copy: raising one exception in several threads would pile up all their tracebacks on it.
    raise copy.copy(error) from error
