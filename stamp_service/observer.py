"""Somebody who counts what the resolver does."""

from typing import Literal, Protocol

from stamp_service.index import IndexOutcome
from stamp_service.stores.write_backs import WriteBackOutcome

LookupOutcome = Literal["hit", "absent", "unavailable"]


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

    def indexed(self, outcome: IndexOutcome, alerts: int) -> None:
        """Note that alerts were entered into the index, or not though their packets are stored.

        Parameters
        ----------
        outcome : str
            How it ended.
        alerts : int
            How many.
        """
