"""Clients that each process makes for itself.

Sockets, locks and threads do not survive a fork, and gunicorn forks. So whatever holds them is made by the
process that uses it, when it first does.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that is made once in every process.

    Parameters
    ----------
    make : callable
        Makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._forget()
        _living.add(self)

    def _forget(self) -> None:
        self._made: tuple[T] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        """Return this process's value, which is made now if it does not exist.

        Returns
        -------
        object
            The value.
        """
        made = self._made
        if made is None:
            with self._lock:
                made = self._made
                if made is None:
                    self._made = made = (self._make(),)
        return made[0]

    def take(self) -> T | None:
        """Give the value up, for closing it.

        Returns
        -------
        object or None
            This process's value, if it was made; the next call makes another.
        """
        with self._lock:
            made, self._made = self._made, None
        return made[0] if made is not None else None


_living: WeakSet[PerProcess[Any]] = WeakSet()


def _forget_all() -> None:
    for value in list(_living):
        value._forget()


os.register_at_fork(after_in_child=_forget_all)
