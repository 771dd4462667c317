"""The archive step: every alert of the stream to its survey's store and to the index."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from stamp_service.errors import ConfigurationError, StampServiceError, StoreUnavailable
from stamp_service.index import AlertIndex, IndexedAlert, entry_of, open_index
from stamp_service.packets import Alert, SchemaLookup, recognise
from stamp_service.settings import Settings
from stamp_service.steps.messages import Item, Message, Output, Processed, Refusal
from stamp_service.steps.step import Sink
from stamp_service.stores import PackedAlert, PackedStore, Store, open_schemas, open_stores
from stamp_service.surveys import Surveys

log = logging.getLogger(__name__)

# Stores answer slowly (a disk flushes, a bucket is far away), so several packets are on their way at once.
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Archived:
    """What is archived of a message.

    Parameters
    ----------
    alert : Alert
        The alert.
    entry : IndexedAlert
        Its row in the index.
    """

    alert: Alert
    entry: IndexedAlert


class StoreSink:
    """Puts packets into stores.

    Parameters
    ----------
    stores : mapping of str to Store
        The store of each survey.
    """

    name = "store"

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stores = stores
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    def write(self, items: Sequence[Item[Archived]]) -> Sequence[Refusal]:
        """Put packets.

        Parameters
        ----------
        items : sequence of Item
            The alerts.

        Returns
        -------
        sequence of Refusal
            Alerts under whose id a different packet is stored, and packets that are too large.

        Raises
        ------
        StoreUnavailable
            If a store cannot be written to.
        """
        by_store: dict[int, tuple[Store, list[Item[Archived]]]] = {}
        for item in items:
            store = self._stores[item.value.alert.survey.name]
            by_store.setdefault(id(store), (store, []))[1].append(item)
        return [refusal for store, own in by_store.values() for refusal in self._put(store, own)]

    def _put(self, store: Store, items: Sequence[Item[Archived]]) -> Iterable[Refusal]:
        if not isinstance(store, PackedStore):
            return self._put_each(store, items)
        alerts = [item.value.alert for item in items]
        put = store.put_each(
            [PackedAlert(one.survey, one.alert_id, one.packet.data, one.packet) for one in alerts]
        )
        outcomes = zip(items, put, strict=True)
        return [
            Refusal(item.message, str(error)) for item, error in outcomes if isinstance(error, StampServiceError)
        ]

    def _put_each(self, store: Store, items: Sequence[Item[Archived]]) -> Iterable[Refusal]:
        under_way = [self._pool.submit(_put_one, store, item) for item in items]
        done, not_done = wait(under_way, return_when=FIRST_EXCEPTION)
        if not_done:  # the store is away: what has not been started would only wait for it as well
            _cancel(not_done)
        outcomes = [future.result() for future in sorted(done, key=lambda future: future.exception() is None)]
        return [refusal for refusal in outcomes if refusal is not None]

    def close(self) -> None:
        """Close the stores."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for store in {id(store): store for store in self._stores.values()}.values():
            store.close()


def _cancel(futures: "Iterable[Future[Refusal | None]]") -> None:
    wait([future for future in futures if not future.cancel()])


def _put_one(store: Store, item: Item[Archived]) -> Refusal | None:
    alert = item.value.alert
    try:
        store.put(alert.survey, alert.alert_id, alert.packet.data, alert.object_id)
    except StoreUnavailable:
        raise
    except StampServiceError as error:
        return Refusal(item.message, str(error))
    return None


class IndexSink:
    """Adds alerts to the index.

    Parameters
    ----------
    index : AlertIndex
        The index.
    """

    name = "index"

    def __init__(self, index: AlertIndex) -> None:
        self._index = index

    def write(self, items: Sequence[Item[Archived]]) -> Sequence[Refusal]:
        """Add alerts.

        Parameters
        ----------
        items : sequence of Item
            The alerts.

        Returns
        -------
        sequence of Refusal
            None of them.

        Raises
        ------
        StoreUnavailable
            If the index cannot be written to.
        """
        self._index.add([item.value.entry for item in items])
        return ()

    def close(self) -> None:
        """Close the index."""
        self._index.close()


class ArchiveStep:
    """Archives alerts; a `Step`.

    Parameters
    ----------
    surveys : Surveys
        The surveys that packets may be of.
    stores : mapping of str to Store
        The store of each survey.
    sinks : sequence of Sink
        Where alerts are kept, in this order.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    """

    name = "archive"

    def __init__(
        self,
        surveys: Surveys,
        stores: Mapping[str, Store],
        sinks: Sequence[Sink[Archived]],
        schemas: SchemaLookup | None,
        max_packet_bytes: int,
    ) -> None:
        self.sinks = sinks
        self._surveys = surveys
        self._stores = stores
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes

    def process(self, messages: Sequence[Message]) -> Processed[Archived]:
        """Recognise packets.

        Parameters
        ----------
        messages : sequence of Message
            Messages whose values are packets.

        Returns
        -------
        Processed
            Alerts, and what cannot be decoded.

        Raises
        ------
        StoreUnavailable
            If a schema could not be looked up.
        """
        items: list[Item[Archived]] = []
        refused: list[Refusal] = []
        for message in messages:
            try:
                items.append(Item(message, self._read(message.value or b"")))
            except StoreUnavailable:
                raise
            except StampServiceError as error:
                refused.append(Refusal(message, str(error)))
            except Exception as error:
                # A fault of ours. One packet must not keep all others from being archived.
                log.exception("a packet could not be read")
                refused.append(Refusal(message, f"reading the packet failed with {type(error).__name__}"))
        return Processed(items, refused)

    def _read(self, data: bytes) -> Archived:
        alert = recognise(self._surveys, data, self._schemas, self._max_packet_bytes)
        # This holds the packet against its schema as well.
        return Archived(alert, entry_of(alert, self._stores[alert.survey.name].name))

    def outputs(self, items: Sequence[Item[Archived]]) -> Iterable[Output]:  # noqa: ARG002 - a step's others do
        """Write nothing: nobody waits for this step.

        Parameters
        ----------
        items : sequence of Item
            The alerts.

        Returns
        -------
        iterable of Output
            None.
        """
        return ()

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            sink.close()


def open_archive_step(settings: Settings, surveys: Surveys, further: Sequence[Sink[Archived]] = ()) -> ArchiveStep:
    """Make the archive step.

    Parameters
    ----------
    settings : Settings
        Which stores and which index.
    surveys : Surveys
        The surveys that packets may be of.
    further : sequence of Sink
        Where alerts are kept besides, after store and index.

    Returns
    -------
    ArchiveStep
        The step.

    Raises
    ------
    ConfigurationError
        If a survey has no store that can be written to.
    StoreUnavailable
        If the index cannot be opened.
    """
    stores = {name: _writable(name, ordered) for name, ordered in open_stores(settings, surveys).items()}
    sinks: tuple[Sink[Archived], ...] = (StoreSink(stores), IndexSink(open_index(settings)), *further)
    return ArchiveStep(surveys, stores, sinks, open_schemas(settings), settings.max_packet_bytes)


def _writable(survey: str, stores: Sequence[Store]) -> Store:
    for store in stores:
        if store.writable:
            return store
    raise ConfigurationError(f"no store of {survey} can be written to")
