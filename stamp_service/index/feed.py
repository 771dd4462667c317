"""Feeding the index: what a store has taken is entered, and trouble with the index stays the index's own."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from stamp_service.errors import StampServiceError, StoreUnavailable
from stamp_service.index.alert_index import AlertIndex
from stamp_service.index.entries import IndexedAlert, entry_of
from stamp_service.packets import Alert
from stamp_service.remote.processes import PerProcess

log = logging.getLogger(__name__)

IndexOutcome = Literal["ok", "failed"]
# An index that has just failed is not asked for so long, so that packets do not wait for it one after another.
_REST_S = 5.0
_REPAIR = "packets are stored without it, and `stamp-service index rebuild` makes up for that"


class _Queue:
    """What waits for its turn, in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.writing = threading.Lock()
        self.waiting: list[IndexedAlert] = []
        self.rests_until_s = 0.0


class IndexFeed:
    """Enters alerts into an index, and never fails.

    Threads that come while another one writes are waited for by nobody: the next of them writes for all, in one
    transaction.

    Parameters
    ----------
    index : AlertIndex
        The index.
    note : callable
        Told what became of how many alerts.
    """

    def __init__(self, index: AlertIndex, note: Callable[[IndexOutcome, int], None]) -> None:
        self._index = index
        self._note = note
        self._queue = PerProcess(_Queue)

    def add(self, alerts: Iterable[Alert], place: str) -> None:
        """Enter alerts; once this returns, they are in the index, or it is said that they are not.

        Parameters
        ----------
        alerts : iterable of Alert
            Alerts whose packets are stored.
        place : str
            Where: the name of a store.
        """
        entries = self._read(alerts, place)
        queue = self._queue()
        with queue.lock:
            queue.waiting += entries
        with queue.writing:
            with queue.lock:
                batch, queue.waiting = queue.waiting, []
            if batch:
                self._write(queue, batch)

    def _read(self, alerts: Iterable[Alert], place: str) -> list[IndexedAlert]:
        entries: list[IndexedAlert] = []
        for alert in alerts:
            try:
                entries.append(entry_of(alert, place))
                continue
            except StampServiceError as error:
                log.warning("not entered into the index: %s", error)
            except Exception:
                log.exception("not entered into the index: %s alert %s", alert.survey.name, alert.alert_id)
            self._note("failed", 1)
        return entries

    def _write(self, queue: _Queue, batch: Sequence[IndexedAlert]) -> None:
        outcome: IndexOutcome = "failed"
        try:
            if time.monotonic() >= queue.rests_until_s:
                self._index.add(batch)
                outcome = "ok"
        except StoreUnavailable as error:
            queue.rests_until_s = time.monotonic() + _REST_S
            log.warning("%s: %s", error, _REPAIR)
        except Exception:
            # A fault of ours. The packets are stored, and whoever brought them must not be told otherwise.
            log.exception("the index failed: %s", _REPAIR)
        finally:
            self._note(outcome, len(batch))
