"""A bounded cache of bytes, least recently used out first; it holds packets, and drawn pictures."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
# What an entry takes besides its bytes: the key, two dictionary slots, object headers.
_ENTRY_BYTES = 512


class ByteCache(Generic[K]):
    """Values by key, whose sizes together stay below a limit; safe for threads.

    Parameters
    ----------
    capacity_bytes : int
        The limit; 0 keeps nothing.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._size_bytes = 0
        self._values: OrderedDict[K, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def enabled(self) -> bool:
        """Whether anything can be kept."""
        return self._capacity_bytes > 0

    @property
    def size_bytes(self) -> int:
        """Bytes in use, with an allowance for each entry."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> bytes | None:
        """Look a value up, which makes it the most recently used.

        Parameters
        ----------
        key : hashable
            The key.

        Returns
        -------
        bytes or None
            The value, if it is kept.
        """
        if not self.enabled:
            return None
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: K, value: bytes) -> None:
        """Keep a value, at the expense of those not used for longest; one beyond the limit is not kept.

        Parameters
        ----------
        key : hashable
            The key.
        value : bytes
            The value.
        """
        if len(value) + _ENTRY_BYTES > self._capacity_bytes:
            return
        with self._lock:
            self._drop(self._values.pop(key, None))
            self._values[key] = value
            self._size_bytes += len(value) + _ENTRY_BYTES
            while self._size_bytes > self._capacity_bytes:
                self._drop(self._values.popitem(last=False)[1])

    def _drop(self, value: bytes | None) -> None:
        if value is not None:
            self._size_bytes -= len(value) + _ENTRY_BYTES
