"""Packets that are put into a store in the background, because it was found to lack them."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from stamp_service.errors import StampServiceError
from stamp_service.packets import Alert
from stamp_service.stores.protocol import Store

log = logging.getLogger(__name__)

WriteBackOutcome = Literal["ok", "failed", "dropped"]
# Packets that wait for being written back. Further ones are dropped, and found again when they are asked for.
_MAX_WAITING_BYTES = 64 * 1024 * 1024


class WriteBacks:
    """Puts packets into stores in a thread of its own.

    Parameters
    ----------
    put : callable
        Puts a packet into a store.
    note : callable
        Told how each one ended.
    """

    def __init__(self, put: Callable[[Store, Alert], object], note: Callable[[WriteBackOutcome], None]) -> None:
        self._put = put
        self._note = note
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], int] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="write-back")

    def submit(self, store: Store, alert: Alert) -> None:
        """Put a packet into a store, unless it waits for that already or too much does.

        Parameters
        ----------
        store : Store
            Where to.
        alert : Alert
            Whose packet; it was found to be of this alert.
        """
        key, size = (alert.survey.name, alert.alert_id), len(alert.packet.data)
        with self._lock:
            if key in self._waiting:
                return
            if sum(self._waiting.values()) + size <= _MAX_WAITING_BYTES:
                try:
                    self._executor.submit(self._put_noted, store, alert)
                except RuntimeError:  # the interpreter is shutting down
                    log.debug("no thread is left for write-backs")
                else:
                    self._waiting[key] = size
                    return
        log.warning("write-back of %s alert %s was dropped", *key)
        self._note("dropped")

    def _put_noted(self, store: Store, alert: Alert) -> None:
        outcome: WriteBackOutcome = "failed"
        try:
            self._put(store, alert)
            outcome = "ok"
        except StampServiceError as error:
            log.warning("write-back of %s alert %s failed: %s", alert.survey.name, alert.alert_id, error)
        except Exception:
            log.exception("write-back of %s alert %s failed", alert.survey.name, alert.alert_id)
        finally:
            with self._lock:
                del self._waiting[alert.survey.name, alert.alert_id]
            self._note(outcome)

    def close(self) -> None:
        """Finish what waits."""
        self._executor.shutdown(wait=True)
