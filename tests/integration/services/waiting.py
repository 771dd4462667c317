"""Waiting until something is so."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds, and fail where it does not in time.

    Parameters
    ----------
    condition : callable
        Asked twenty times a second.
    what : str
        What is waited for.
    seconds : float
        How long.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)
