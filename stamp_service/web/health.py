"""Whether index and stores answer, asked so that one that hangs does not make the service look dead."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Lock
from typing import Any, TypeVar

from stamp_service.errors import StoreUnavailable
from stamp_service.index import AlertIndex
from stamp_service.remote.processes import PerProcess

T = TypeVar("T")

# Probes of whoever watches the service give up after some seconds, and it serves stamps without the index.
_PATIENCE_S = 1.0
# More than a service has stores; each is asked by one thread at a time.
_MOST_AT_A_TIME = 32


class IndexHealth:
    """Asks the index whether it answers, and waits for a moment only.

    Parameters
    ----------
    index : AlertIndex
        The index.
    """

    def __init__(self, index: AlertIndex) -> None:
        self._index = index
        self._process = PerProcess(Questions)

    def problem(self) -> str | None:
        """Find out what keeps the index from answering.

        Returns
        -------
        str or None
            In one sentence; None if it answers.
        """
        try:
            self._process().ask("index", self._index.check).result(_PATIENCE_S)
        except NotYet:
            return "the index has not answered yet"
        except StoreUnavailable as error:
            return str(error)
        return None


class Questions:
    """Asks in threads of its own, each question once at a time, however many wait for the answer."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._executor = ThreadPoolExecutor(_MOST_AT_A_TIME, thread_name_prefix="health")
        self._last: dict[str, Future[Any]] = {}

    def ask(self, name: str, question: Callable[[], T]) -> "Future[T]":
        """Ask, unless the same is being asked now.

        Parameters
        ----------
        name : str
            Names the question; there are few names.
        question : callable
            Finds the answer, within some time of its own.

        Returns
        -------
        concurrent.futures.Future
            The answer; who waits for it says how long.
        """
        with self._lock:
            last = self._last.get(name)
            if last is None or last.done():
                last = self._last[name] = self._executor.submit(question)
            return last
