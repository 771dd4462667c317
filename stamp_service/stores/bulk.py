"""Many packets into one store: as the store can take them, each with its own outcome."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from stamp_service.errors import PacketConflict, PacketCorrupt, TooLarge
from stamp_service.packets import Alert
from stamp_service.stores.packed import PackedAlert, PackedStore
from stamp_service.stores.protocol import PutOutcome, Store

# Stores answer slowly (a disk flushes, a bucket is far away), so several packets are on their way at once.
_THREADS = 8


def put_each(store: Store, alerts: Sequence[Alert]) -> list[PutOutcome]:
    """Put packets into a store unless they are there.

    Parameters
    ----------
    store : Store
        The store.
    alerts : sequence of Alert
        Alerts whose packets were checked.

    Returns
    -------
    list of (bool or StampServiceError)
        For each alert, in their order: whether it was stored or the same bytes were there already, or why it was
        refused (`PacketConflict`, `PacketCorrupt`, `TooLarge`).

    Raises
    ------
    StoreUnavailable
        If they cannot be stored. Some may be; putting them again is harmless.
    """
    if isinstance(store, PackedStore):
        return store.put_each([PackedAlert(a.survey, a.alert_id, a.packet.data, a.packet) for a in alerts])
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="put") as pool:
        return list(pool.map(partial(_put, store), alerts))


def _put(store: Store, alert: Alert) -> PutOutcome:
    try:
        return put(store, alert)
    except (PacketConflict, PacketCorrupt, TooLarge) as error:
        return error


def put(store: Store, alert: Alert) -> bool:
    """Put an alert's packet into a store unless it is there.

    Parameters
    ----------
    store : Store
        The store.
    alert : Alert
        The alert.

    Returns
    -------
    bool
        True if it was stored, False if the same bytes were there already.

    Raises
    ------
    StampServiceError
        What `Store.put` raises.
    """
    return store.put(alert.survey, alert.alert_id, alert.packet.data, alert.object_id)
