"""One alert from several stores and lakes: who is asked, who asks, and what is kept.

A survey's sources are asked in order. *Absent* is said only when all of them said so; when one could not be asked
and none of the others has the alert, the answer is *unavailable*. A packet that a later store has is put into the
first, in the background. A lake has alerts without their packets.

Whatever is put into a store is entered into the index.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from stamp_service.cache import ByteCache
from stamp_service.errors import AlertNotFound, PacketCorrupt, StoreUnavailable, TooLarge
from stamp_service.index import AlertIndex, IndexFeed, IndexOutcome
from stamp_service.lake.alert import LakeAlert
from stamp_service.lake.lake import Lake
from stamp_service.lake.lakes import Lakes
from stamp_service.observer import LookupOutcome, Observer
from stamp_service.packets import MAX_PACKET_BYTES, Alert, SchemaLookup, open_alert
from stamp_service.remote.processes import PerProcess
from stamp_service.sources import Member, Source, label, members, name_of, problems_of
from stamp_service.stores import Store
from stamp_service.stores.bulk import put, put_each
from stamp_service.stores.flights import Flights
from stamp_service.stores.protocol import PutOutcome
from stamp_service.stores.write_backs import WriteBackOutcome, WriteBacks
from stamp_service.surveys import Survey

log = logging.getLogger(__name__)

AnyAlert = Alert | LakeAlert


class _Silent:
    """Counts nothing."""

    def store_asked(self, store: str, outcome: LookupOutcome, seconds: float) -> None:
        pass

    def cache_asked(self, *, hit: bool) -> None:
        pass

    def written_back(self, outcome: WriteBackOutcome) -> None:
        pass

    def indexed(self, outcome: IndexOutcome, alerts: int) -> None:
        pass


class Resolver:
    """Finds alerts in the stores and lakes of their surveys.

    Parameters
    ----------
    sources : mapping of str to sequence of Store or Lakes
        What each survey is looked up in, in this order; `Lakes` stand for those of them that are the survey's.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    index : AlertIndex, optional
        Where alerts are entered whose packets are put into stores; closed with the resolver. Trouble with it is
        logged and counted, and the packets are stored all the same.
    cache_bytes : int
        How much to keep of what was found, per process; 0 keeps nothing.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    observer : Observer, optional
        Who counts.
    """

    def __init__(
        self,
        sources: Mapping[str, Sequence[Source]],
        schemas: SchemaLookup | None = None,
        *,
        index: AlertIndex | None = None,
        cache_bytes: int = 0,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        observer: Observer | None = None,
    ) -> None:
        self._sources = {name: tuple(ordered) for name, ordered in sources.items()}
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._observer = observer = observer or _Silent()
        self._cache: ByteCache[tuple[str, str]] = ByteCache(cache_bytes)
        self._flights: PerProcess[Flights[bytes | LakeAlert]] = PerProcess(Flights)
        self._write_backs = PerProcess(lambda: WriteBacks(self._put_into, observer.written_back))
        self._index = index
        self._feed = None if index is None else IndexFeed(index, observer.indexed)

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
            If no store has it, though a lake may have the alert, or it belongs to another object.
        StoreUnavailable
            If a store could not be asked and no other has it.
        TooLarge
            If it exceeds the limit.
        PacketCorrupt
            If it has to be decoded, for its object or because it was found elsewhere than in the first store, and
            cannot be.
        """
        packet = self._find(survey, alert_id, object_id)
        if isinstance(packet, LakeAlert):
            packet = self._find_behind(packet, object_id)
        if object_id is not None:
            _check_object(self._open(survey, alert_id, packet), object_id)
        return packet

    def alert(self, survey: Survey, alert_id: str, object_id: str | None = None) -> AnyAlert:
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
        Alert or LakeAlert
            The alert.

        Raises
        ------
        AlertNotFound
            If no store and no lake has it, or it belongs to another object.
        StoreUnavailable
            If a store or a lake could not be asked and no other has it.
        TooLarge
            If its packet exceeds the limit.
        PacketCorrupt
            If its packet, or the lake's file, cannot be decoded.
        """
        found = self._find(survey, alert_id, object_id)
        alert = found if isinstance(found, LakeAlert) else self._open(survey, alert_id, found)
        if object_id is not None:
            _check_object(alert, object_id)
        return alert

    def put(self, alert: Alert) -> bool:
        """Store a packet in its survey's first store that can be written to.

        Parameters
        ----------
        alert : Alert
            The alert; the caller found its id in the packet.

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
        return self._put_into(self._writable(alert.survey), alert)

    def put_each(self, alerts: Sequence[Alert]) -> list[PutOutcome]:
        """Store many packets at once, each as `put` does.

        Parameters
        ----------
        alerts : sequence of Alert
            Alerts of any surveys.

        Returns
        -------
        list of (bool or StampServiceError)
            For each: whether it was stored or was there, or why it was refused.

        Raises
        ------
        StoreUnavailable
            If they could not be stored. Some may be; the same again is right.
        """
        by_store: dict[int, tuple[Store, list[int]]] = {}
        for number, alert in enumerate(alerts):
            store = self._writable(alert.survey)
            by_store.setdefault(id(store), (store, []))[1].append(number)
        outcomes: dict[int, PutOutcome] = {}
        for store, numbers in by_store.values():
            own = dict(zip(numbers, put_each(store, [alerts[n] for n in numbers]), strict=True))
            self._enter([alerts[n] for n, outcome in own.items() if isinstance(outcome, bool)], store)
            outcomes |= own
        return [outcomes[number] for number in range(len(alerts))]

    def _writable(self, survey: Survey) -> Store:
        for store in self._sources[survey.name]:
            if not isinstance(store, Lakes) and store.writable:
                return store
        raise StoreUnavailable(f"no store of {survey.name} can be written to")

    def _put_into(self, store: Store, alert: Alert) -> bool:
        is_new = put(store, alert)
        self._enter([alert], store)
        return is_new

    def _enter(self, alerts: Sequence[Alert], store: Store) -> None:
        if self._feed is not None:
            self._feed.add(alerts, store.name)

    def store_names(self, survey: Survey) -> list[str]:
        """Name the stores and lakes of a survey.

        Parameters
        ----------
        survey : Survey
            The survey.

        Returns
        -------
        list of str
            Their names, in the order in which they are asked; a lake's has `lake:` in front.

        Raises
        ------
        StoreUnavailable
            If the catalogue of lakes cannot be read.
        """
        return [label(member) for source in self._sources[survey.name] for member in members(source, survey)]

    def check(self) -> dict[str, str | None]:
        """Find out which stores and lakes can be asked now.

        Returns
        -------
        dict of str to str or None
            What keeps each one from answering; None for those that answer.
        """
        problems: dict[str, str | None] = {}
        for check in self.checks().values():
            problems |= check()
        return problems

    def checks(self) -> dict[str, Callable[[], dict[str, str | None]]]:
        """Say how to find that out of each store by itself, for those who do not wait for the slowest.

        Returns
        -------
        dict of str to callable
            Each answers as `check` does, for the store of that name, or for all lakes.
        """
        return {name_of(source): partial(problems_of, source) for source in self._all_sources()}

    def close(self) -> None:
        """Finish what is being written back, and close stores, lakes and index."""
        write_backs = self._write_backs.take()
        if write_backs is not None:
            write_backs.close()
        for source in self._all_sources():
            source.close()
        if self._index is not None:
            self._index.close()

    def _all_sources(self) -> list[Source]:
        return list({id(source): source for ordered in self._sources.values() for source in ordered}.values())

    def _open(self, survey: Survey, alert_id: str, packet: bytes) -> Alert:
        return open_alert(survey, alert_id, packet, self._schemas, self._max_packet_bytes)

    def _find(self, survey: Survey, alert_id: str, object_id: str | None) -> bytes | LakeAlert:
        cached = self._cache.get((survey.name, alert_id))
        if self._cache.enabled:
            self._observer.cache_asked(hit=cached is not None)
        if cached is not None:
            return cached
        # The object id may decide under which key a store looks, so another one is another question.
        question = (survey.name, alert_id, object_id)
        return self._flights().share(question, lambda: self._fetch(survey, alert_id, object_id))

    def _fetch(self, survey: Survey, alert_id: str, object_id: str | None) -> bytes | LakeAlert:
        # Whoever fetched it a moment ago may have landed between the look into the cache and the start.
        found: bytes | LakeAlert | None = self._cache.get((survey.name, alert_id))
        if found is None:
            found = self._ask_in_order(self._sources[survey.name], survey, alert_id, object_id)
            if isinstance(found, bytes):
                self._cache.put((survey.name, alert_id), found)
        return found

    def _find_behind(self, alert: LakeAlert, object_id: str | None) -> bytes:
        """Ask the stores alone for the packet of an alert that a lake has."""
        survey, alert_id = alert.survey, alert.alert_id
        stores = [source for source in self._sources[survey.name] if not isinstance(source, Lakes)]
        try:
            packet = self._ask_in_order(stores, survey, alert_id, object_id)
        except AlertNotFound:
            raise AlertNotFound(f"{survey.name} alert {alert_id} is kept in a lake, without its packet") from None
        assert isinstance(packet, bytes)
        return packet

    def _ask_in_order(
        self, sources: Sequence[Source], survey: Survey, alert_id: str, object_id: str | None
    ) -> bytes | LakeAlert:
        lacking: list[Store] = []
        failures: list[StoreUnavailable] = []
        for source in sources:
            try:
                found = self._ask(source, survey, alert_id, object_id)
            except StoreUnavailable as error:
                name = "lakes" if isinstance(source, Lakes) else f"store {source.name}"
                log.warning("%s could not be asked for %s alert %s: %s", name, survey.name, alert_id, error)
                failures.append(error)
                continue
            if isinstance(found, bytes) and (lacking or failures):
                self._keep(self._open(survey, alert_id, found), lacking)
            if found is not None:
                return found
            if not isinstance(source, Lakes):
                lacking.append(source)
        if failures:
            raise failures[0]
        raise AlertNotFound(f"there is no {survey.name} alert {alert_id}")

    def _ask(
        self, source: Source, survey: Survey, alert_id: str, object_id: str | None
    ) -> bytes | LakeAlert | None:
        """Ask a store, or each of the survey's lakes until one has the alert; None if it is absent."""
        failure: StoreUnavailable | None = None
        for member in members(source, survey):
            try:
                return self._ask_one(member, survey, alert_id, object_id)
            except AlertNotFound:
                continue
            except StoreUnavailable as error:
                failure = error
        if failure is not None:
            raise failure
        return None

    def _ask_one(self, member: Member, survey: Survey, alert_id: str, object_id: str | None) -> bytes | LakeAlert:
        outcome: LookupOutcome = "unavailable"
        started_s = time.perf_counter()
        try:
            # A lake finds alerts by their own id; whether the object is the one asked for is seen then.
            found = member.alert(alert_id) if isinstance(member, Lake) else member.get(survey, alert_id, object_id)
            outcome = "hit"
        except AlertNotFound:
            outcome = "absent"
            raise
        except (TooLarge, PacketCorrupt):
            # It is there, and that is what was asked.
            outcome = "hit"
            raise
        finally:
            self._observer.store_asked(label(member), outcome, time.perf_counter() - started_s)
        return found

    def _keep(self, alert: Alert, lacking: Sequence[Store]) -> None:
        """Check a packet found further down, and write it back to the first store that said it lacks it."""
        # Reading anything compares the alert's id; what cannot be decoded is neither kept nor handed out.
        _ = alert.object_id
        for store in lacking:
            if store.writable:
                self._write_backs().submit(store, alert)
                return


def _check_object(alert: AnyAlert, object_id: str) -> None:
    if alert.object_id != object_id:
        raise AlertNotFound(f"{alert.survey.name} alert {alert.alert_id} does not belong to object {object_id}")
