"""Where the archive step keeps alerts: stores and the index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stamp_service.index import AlertIndex, IndexedAlert
from stamp_service.packets import Alert
from stamp_service.steps.messages import Item, Refusal
from stamp_service.stores import Store
from stamp_service.stores.bulk import put_each


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
        return [refusal for store, own in by_store.values() for refusal in _put(store, own)]

    def close(self) -> None:
        """Close the stores."""
        for store in {id(store): store for store in self._stores.values()}.values():
            store.close()


def _put(store: Store, items: Sequence[Item[Archived]]) -> list[Refusal]:
    outcomes = put_each(store, [item.value.alert for item in items])
    return [
        Refusal(item.message, str(outcome))
        for item, outcome in zip(items, outcomes, strict=True)
        if not isinstance(outcome, bool)
    ]


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
