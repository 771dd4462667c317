"""Where the archive step keeps alerts: stores and the index."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from stamp_service.errors import StampServiceError, StoreUnavailable
from stamp_service.index import AlertIndex, IndexedAlert
from stamp_service.packets import Alert
from stamp_service.steps.messages import Item, Refusal
from stamp_service.stores import PackedAlert, PackedStore, Store

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
        The store of each survey; alerts of others are not put.
    name : str
        What metrics and the log call it.
    """

    def __init__(self, stores: Mapping[str, Store], name: str = "store") -> None:
        self.name = name
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
            store = self._stores.get(item.value.alert.survey.name)
            if store is not None:
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
