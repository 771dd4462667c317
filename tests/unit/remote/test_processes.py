"""Values that every process makes for itself."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

from stamp_service.remote.processes import PerProcess


def test_made_once_when_first_needed():
    made = []
    value = PerProcess(lambda: made.append(1) or object())
    assert made == []
    with ThreadPoolExecutor(8) as pool:
        values = set(pool.map(lambda _: value(), range(100)))
    assert len(values) == 1
    assert made == [1]


def test_made_anew_after_it_was_taken():
    value = PerProcess(object)
    first = value()
    assert value.take() is first
    assert value.take() is None
    assert value() is not first


def test_a_failure_is_not_kept():
    outcomes = iter([ValueError("no"), "made"])

    def make():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    value = PerProcess(make)
    try:
        value()
    except ValueError:
        assert value() == "made"
    else:
        raise AssertionError


def test_is_not_kept_alive():
    class Value:
        pass

    value = PerProcess(Value)
    value()
    gone = threading.Event()
    weakref.finalize(value, gone.set)
    del value
    gc.collect()
    assert gone.is_set()
