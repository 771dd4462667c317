"""One alert from several stores: who is asked, who asks, and what is kept.

A survey's stores are asked in order. *Absent* is said only when all of them said so; when one could not be asked
and none of the others has the alert, the answer is *unavailable*. What a later store has is put into the first, in
the background.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

from stamp_service.cache import ByteCache
from stamp_service.errors import AlertNotFound, PacketCorrupt, StampServiceError, StoreUnavailable, TooLarge
from stamp_service.packets import MAX_PACKET_BYTES, Alert, SchemaLookup, open_alert
from stamp_service.remote.processes import PerProcess
from stamp_service.stores import Store
from stamp_service.stores.flights import Flights
from stamp_service.surveys import Survey

log = logging.getLogger(__name__)

LookupOutcome = Literal["hit", "absent", "unavailable"]
WriteBackOutcome = Literal["ok", "failed", "dropped"]
# Packets that wait for being written back. Further ones are dropped, and found again when they are asked for.
_MAX_WAITING_BYTES = 64 * 1024 * 1024


class Observer(Protocol):
    """Somebody who counts what the resolver does."""

    def store_asked(self, store: str, outcome: LookupOutcome, seconds: float) -> None:
        """Note that a store was asked.

        Parameters
        ----------
        store : str
            The store's name.
        outcome : str
            What it said.
        seconds : float
            How long that took.
        """

    def cache_asked(self, *, hit: bool) -> None:
        """Note that the cache was asked; never called where it is off.

        Parameters
        ----------
        hit : bool
            Whether it had the packet.
        """

    def written_back(self, outcome: WriteBackOutcome) -> None:
        """Note that a packet was written back, or not.

        Parameters
        ----------
        outcome : str
            How it ended.
        """


class _Silent:
    """Counts nothing."""

    def store_asked(self, store: str, outcome: LookupOutcome, seconds: float) -> None:
        pass

    def cache_asked(self, *, hit: bool) -> None:
        pass

    def written_back(self, outcome: WriteBackOutcome) -> None:
        pass


class _WriteBacks:
    """Puts packets into stores in a thread of its own."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], int] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="write-back")

    def submit(self, store: Store, alert: Alert) -> None:
        key, size = (alert.survey.name, alert.alert_id), len(alert.packet.data)
        with self._lock:
            if key in self._waiting:
                return
            if sum(self._waiting.values()) + size <= _MAX_WAITING_BYTES:
                try:
                    self._executor.submit(self._put, store, alert)
                except RuntimeError:  # the interpreter is shutting down
                    log.debug("no thread is left for write-backs")
                else:
                    self._waiting[key] = size
                    return
        log.warning("write-back of %s alert %s was dropped", *key)
        self._observer.written_back("dropped")

    def _put(self, store: Store, alert: Alert) -> None:
        outcome: WriteBackOutcome = "failed"
        try:
            store.put(alert.survey, alert.alert_id, alert.packet.data, alert.object_id)
            outcome = "ok"
        except StampServiceError as error:
            log.warning("write-back of %s alert %s failed: %s", alert.survey.name, alert.alert_id, error)
        except Exception:
            log.exception("write-back of %s alert %s failed", alert.survey.name, alert.alert_id)
        finally:
            with self._lock:
                del self._waiting[alert.survey.name, alert.alert_id]
            self._observer.written_back(outcome)

    def close(self) -> None:
        self._executor.shutdown(wait=True)


class Resolver:
    """Finds alerts in the stores of their surveys.

    Parameters
    ----------
    stores : mapping of str to sequence of Store
        Each survey's stores, in the order in which they are asked.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    cache_bytes : int
        How much to keep of what was found, per process; 0 keeps nothing.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    observer : Observer, optional
        Who counts.
    """

    def __init__(
        self,
        stores: Mapping[str, Sequence[Store]],
        schemas: SchemaLookup | None = None,
        *,
        cache_bytes: int = 0,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        observer: Observer | None = None,
    ) -> None:
        self._stores = {name: tuple(ordered) for name, ordered in stores.items()}
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._observer = observer = observer or _Silent()
        self._cache: ByteCache[tuple[str, str]] = ByteCache(cache_bytes)
        self._flights = PerProcess(Flights)
        self._write_backs = PerProcess(lambda: _WriteBacks(observer))

    def packet(self, survey: Survey, alert_id: str, object_id: str | None = None) -> bytes:
        """Find an alert's packet.

        Parameters
        ----------
        survey : Survey
            The survey.
        alert_id : str
            A checked alert id.
        object_id : str, optional
            A checked object id, which the alert's must equal.

        Returns
        -------
        bytes
            The packet as it was published.

        Raises
        ------
        AlertNotFound
            If no store has it, or it belongs to another object.
        StoreUnavailable
            If a store could not be asked and no other has it.
        TooLarge
            If it exceeds the limit.
        PacketCorrupt
            If it has to be decoded, for its object or because it was found elsewhere than in the first store, and
            cannot be.
        """
        packet = self._find(survey, alert_id, object_id)
        if object_id is not None:
            _check_object(self._open(survey, alert_id, packet), object_id)
        return packet

    def alert(self, survey: Survey, alert_id: str, object_id: str | None = None) -> Alert:
        """Find an alert.

        Parameters
        ----------
        survey : Survey
            The survey.
        alert_id : str
            A checked alert id.
        object_id : str, optional
            A checked object id, which the alert's must equal.

        Returns
        -------
        Alert
            The alert.

        Raises
        ------
        AlertNotFound
            If no store has it, or it belongs to another object.
        StoreUnavailable
            If a store could not be asked and no other has it.
        TooLarge
            If its packet exceeds the limit.
        PacketCorrupt
            If its packet cannot be decoded.
        """
        alert = self._open(survey, alert_id, self._find(survey, alert_id, object_id))
        if object_id is not None:
            _check_object(alert, object_id)
        return alert

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:
        """Store a packet in the survey's first store that can be written to.

        Parameters
        ----------
        survey : Survey
            The survey.
        alert_id : str
            A checked alert id, which the caller found in the packet.
        packet : bytes
            The packet as it was published.
        object_id : str, optional
            The alert's object id, needed where the survey's keys have it.

        Returns
        -------
        bool
            True if it was stored, False if the same bytes were there already.

        Raises
        ------
        PacketConflict
            If a different packet is stored under this id.
        StoreUnavailable
            If it could not be stored.
        TooLarge
            If it exceeds the limit.
        """
        for store in self._stores[survey.name]:
            if store.writable:
                return store.put(survey, alert_id, packet, object_id)
        raise StoreUnavailable(f"no store of {survey.name} can be written to")

    def store_names(self, survey: Survey) -> list[str]:
        """Name the stores of a survey.

        Parameters
        ----------
        survey : Survey
            The survey.

        Returns
        -------
        list of str
            Their names, in the order in which they are asked.
        """
        return [store.name for store in self._stores[survey.name]]

    def check(self) -> dict[str, str | None]:
        """Find out which stores can be asked now.

        Returns
        -------
        dict of str to str or None
            What keeps each store from answering; None for those that answer.
        """
        problems: dict[str, str | None] = {}
        for store in self._all_stores():
            try:
                store.check()
                problems[store.name] = None
            except StoreUnavailable as error:
                problems[store.name] = str(error)
        return problems

    def close(self) -> None:
        """Finish what is being written back, and close the stores."""
        write_backs = self._write_backs.take()
        if write_backs is not None:
            write_backs.close()
        for store in self._all_stores():
            store.close()

    def _all_stores(self) -> list[Store]:
        return list({id(store): store for ordered in self._stores.values() for store in ordered}.values())

    def _open(self, survey: Survey, alert_id: str, packet: bytes) -> Alert:
        return open_alert(survey, alert_id, packet, self._schemas, self._max_packet_bytes)

    def _find(self, survey: Survey, alert_id: str, object_id: str | None) -> bytes:
        cached = self._cache.get((survey.name, alert_id))
        if self._cache.enabled:
            self._observer.cache_asked(hit=cached is not None)
        if cached is not None:
            return cached
        # The object id may decide under which key a store looks, so another one is another question.
        question = (survey.name, alert_id, object_id)
        return self._flights().share(question, lambda: self._fetch(survey, alert_id, object_id))

    def _fetch(self, survey: Survey, alert_id: str, object_id: str | None) -> bytes:
        # Whoever fetched it a moment ago may have landed between the look into the cache and the start.
        packet = self._cache.get((survey.name, alert_id))
        if packet is None:
            packet = self._ask_in_order(survey, alert_id, object_id)
            self._cache.put((survey.name, alert_id), packet)
        return packet

    def _ask_in_order(self, survey: Survey, alert_id: str, object_id: str | None) -> bytes:
        lacking: list[Store] = []
        failures: list[StoreUnavailable] = []
        for store in self._stores[survey.name]:
            try:
                packet = self._ask(store, survey, alert_id, object_id)
            except AlertNotFound:
                lacking.append(store)
            except StoreUnavailable as error:
                log.warning(
                    "store %s could not be asked for %s alert %s: %s", store.name, survey.name, alert_id, error
                )
                failures.append(error)
            else:
                if lacking or failures:
                    self._keep(self._open(survey, alert_id, packet), lacking)
                return packet
        if failures:
            raise failures[0]
        raise AlertNotFound(f"there is no {survey.name} alert {alert_id}")

    def _ask(self, store: Store, survey: Survey, alert_id: str, object_id: str | None) -> bytes:
        outcome: LookupOutcome = "unavailable"
        started_s = time.perf_counter()
        try:
            packet = store.get(survey, alert_id, object_id)
            outcome = "hit"
        except AlertNotFound:
            outcome = "absent"
            raise
        except (TooLarge, PacketCorrupt):
            # It is there, and that is what was asked.
            outcome = "hit"
            raise
        finally:
            self._observer.store_asked(store.name, outcome, time.perf_counter() - started_s)
        return packet

    def _keep(self, alert: Alert, lacking: Sequence[Store]) -> None:
        """Check a packet found further down, and write it back to the first store that said it lacks it."""
        # Reading anything compares the alert's id; what cannot be decoded is neither kept nor handed out.
        _ = alert.object_id
        for store in lacking:
            if store.writable:
                self._write_backs().submit(store, alert)
                return


def _check_object(alert: Alert, object_id: str) -> None:
    if alert.object_id != object_id:
        raise AlertNotFound(f"{alert.survey.name} alert {alert.alert_id} does not belong to object {object_id}")
