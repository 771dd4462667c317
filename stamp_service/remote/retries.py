"""Asking again, a bounded number of times, for what may go well the next time."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from stamp_service.errors import StoreUnavailable

T = TypeVar("T")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Transient(Exception):
    """A failure that may be over when asked again.

    Parameters
    ----------
    error : StoreUnavailable
        What to raise once there are no attempts left.
    pause_s : float
        The least time to wait first, where the other side named one.
    """

    def __init__(self, error: StoreUnavailable, pause_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause_s = pause_s


def persist(call: Callable[[int], T], attempts: int, deadline: float | None = None) -> T:
    """Call until it works, with growing, jittered pauses.

    Parameters
    ----------
    call : callable
        Takes the number of the attempt, from 0; raises `Transient` for what is worth repeating.
    attempts : int
        How often to call in all.
    deadline : float, optional
        Time on `time.monotonic`'s clock beyond which no pause may last.

    Returns
    -------
    object
        What the call returned.

    Raises
    ------
    StoreUnavailable
        What the last failure carried.
    """
    for attempt in range(attempts):
        try:
            return call(attempt)
        except Transient as failure:
            backoff_s = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
            pause_s = max(failure.pause_s, backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            late = deadline is not None and time.monotonic() + pause_s >= deadline
            if late or attempt + 1 == attempts:
                raise failure.error from failure.__cause__
            time.sleep(pause_s)
    raise ValueError("attempts must be at least 1")
