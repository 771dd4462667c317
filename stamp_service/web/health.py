"""Whether the index answers, asked so that an index that hangs does not make the service look dead."""

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Lock

from stamp_service.errors import StoreUnavailable
from stamp_service.index import AlertIndex
from stamp_service.remote.processes import PerProcess

# Probes of whoever watches the service give up after some seconds, and it serves stamps without the index.
_PATIENCE_S = 1.0


class IndexHealth:
    """Asks the index whether it answers, and waits for a moment only.

    Parameters
    ----------
    index : AlertIndex
        The index.
    """

    def __init__(self, index: AlertIndex) -> None:
        self._index = index
        self._process = PerProcess(_Asking)

    def problem(self) -> str | None:
        """Find out what keeps the index from answering.

        Returns
        -------
        str or None
            In one sentence; None if it answers.
        """
        try:
            self._process().ask(self._index).result(_PATIENCE_S)
        except NotYet:
            return "the index has not answered yet"
        except StoreUnavailable as error:
            return str(error)
        return None


class _Asking:
    """One question at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="index-health")
        self._last: Future[None] | None = None

    def ask(self, index: AlertIndex) -> "Future[None]":
        with self._lock:
            if self._last is None or self._last.done():
                self._last = self._executor.submit(index.check)
            return self._last
