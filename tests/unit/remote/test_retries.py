"""Asking again."""

import time

import pytest

from stamp_service.errors import AlertNotFound, StoreTimeout, StoreUnavailable
from stamp_service.remote.retries import Transient, persist


@pytest.fixture
def pauses(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def failing(times, calls, error=None, pause_s=0.0):
    def call(attempt):
        calls.append(attempt)
        if len(calls) <= times:
            raise Transient(error or StoreUnavailable("busy"), pause_s)
        return "answer"

    return call


def test_what_works_is_asked_once(pauses):
    calls = []
    assert persist(failing(0, calls), 3) == "answer"
    assert calls == [0]
    assert pauses == []


def test_pauses_grow_and_vary(pauses):
    calls = []
    assert persist(failing(4, calls), 5) == "answer"
    assert calls == [0, 1, 2, 3, 4]
    assert all(0.05 * 2**n <= pause <= 0.1 * 2**n for n, pause in enumerate(pauses))


def test_pauses_never_exceed_seconds(pauses):
    persist(failing(20, []), 21)
    assert max(pauses) <= 5


def test_the_other_side_may_ask_for_longer(pauses):
    persist(failing(1, [], pause_s=3.0), 2)
    assert pauses == [3.0]


def test_the_last_failure_is_what_it_carried(pauses):
    calls = []
    with pytest.raises(StoreTimeout):
        persist(failing(9, calls, StoreTimeout("late")), 3)
    assert len(calls) == 3
    assert len(pauses) == 2


def test_other_failures_are_not_repeated(pauses):
    calls = []

    def call(attempt):
        calls.append(attempt)
        raise AlertNotFound("absent")

    with pytest.raises(AlertNotFound):
        persist(call, 3)
    assert calls == [0]


def test_no_pause_outlasts_the_deadline(pauses):
    calls = []
    with pytest.raises(StoreUnavailable):
        persist(failing(9, calls, pause_s=2.0), 3, time.monotonic() + 1.0)
    assert calls == [0]
    assert pauses == []
