"""Values that every process makes for itself."""

import gc
import subprocess
import sys
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


FORK = """
import os
from stamp_service.remote.processes import PerProcess
value = PerProcess(os.getpid)
assert value() == os.getpid()
with value._lock:
    child = os.fork()
    if child == 0:
        os._exit(7 if value() == os.getpid() and value.take() == os.getpid() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert value() == os.getpid()
"""


def test_made_anew_in_a_process_that_was_forked_while_its_lock_was_held():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=30)


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
