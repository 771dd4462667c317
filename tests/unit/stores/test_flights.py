"""Single flight."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stamp_service.errors import RequestError, StoreTimeout, StoreUnavailable
from stamp_service.stores.flights import Flights


def fly(flights, fetch, count=8):
    """Ask for the same thing in several threads at once; gives what each got or what was raised."""
    ready = threading.Barrier(count)

    def ask(_):
        ready.wait(10)
        try:
            return flights.share("key", fetch)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


class Fetch:
    def __init__(self, outcome):
        self.outcome = outcome
        self.calls = 0

    def __call__(self):
        self.calls += 1
        time.sleep(0.2)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def test_one_fetches_for_all():
    fetch = Fetch(b"packet")
    assert fly(Flights(), fetch) == [b"packet"] * 8
    assert fetch.calls == 1


def test_all_fail_alike():
    fetch = Fetch(StoreTimeout("late", retry_after_s=9))
    errors = fly(Flights(), fetch)
    assert fetch.calls == 1
    assert {type(error) for error in errors} == {StoreTimeout}
    assert {(str(error), error.retry_after_s) for error in errors} == {("late", 9)}
    assert len({id(error) for error in errors}) == 8


def test_errors_keep_their_parameters():
    errors = fly(Flights(), Fetch(RequestError("needed", "object_id")))
    assert {(type(error), error.parameter) for error in errors} == {(RequestError, "object_id")}


def test_a_failure_does_not_poison_what_comes_later():
    flights = Flights()
    with pytest.raises(StoreUnavailable):
        flights.share("key", Fetch(StoreUnavailable("down")))
    assert flights.share("key", Fetch(b"packet")) == b"packet"


def test_what_comes_later_is_fetched_anew():
    flights, fetch = Flights(), Fetch(b"packet")
    flights.share("key", fetch)
    flights.share("key", fetch)
    assert fetch.calls == 2


def test_different_keys_do_not_wait_for_each_other():
    flights, inner = Flights(), Fetch(b"inner")
    assert flights.share("outer", lambda: b"outer " + flights.share("key", inner)) == b"outer inner"


def test_a_thread_that_is_told_to_stop_does_not_stop_the_others():
    errors = fly(Flights(), Fetch(SystemExit()), count=4)
    assert sorted(type(error).__name__ for error in errors) == ["StoreUnavailable"] * 3 + ["SystemExit"]


def test_nothing_stays_behind():
    flights = Flights()
    for number in range(100):
        flights.share(number, lambda: b"packet")
    assert not flights._under_way
