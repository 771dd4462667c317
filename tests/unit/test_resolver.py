"""The resolver: who is asked in which order, what absent means, single flight, write-back, cache."""

import gc
import threading
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from stamp_service.errors import (
    AlertNotFound,
    PacketConflict,
    PacketCorrupt,
    RequestError,
    StoreTimeout,
    StoreUnavailable,
    TooLarge,
)
from stamp_service.index import IndexFeed, open_index
from stamp_service.packets import open_alert, write_ocf
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.stores import MemoryStore

SCHEMA = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {"name": "fill", "type": "bytes"},
    ],
}
OBJECT_ID = "ZTF18acuwwpp"


def packet_of(alert_id, object_id=OBJECT_ID, fill=b""):
    return write_ocf(SCHEMA, {"objectId": object_id, "candid": int(alert_id), "fill": fill})


def alert_of(survey, alert_id, **fields):
    return open_alert(survey, alert_id, packet_of(alert_id, **fields))


class FakeStore(MemoryStore):
    """A store in memory that counts, takes its time, and fails when told to."""

    def __init__(self, name, *alert_ids, writable=True, delay_s=0.0, error=None, put_error=None):
        super().__init__()
        self.name, self.writable = name, writable
        self.delay_s, self.error, self.put_error = delay_s, error, put_error
        self.gets, self.puts = [], []
        self.closed = 0
        for alert_id in alert_ids:
            self._packets["ztf", alert_id] = packet_of(alert_id)

    def get(self, survey, alert_id, object_id=None):
        self.gets.append((alert_id, object_id))
        time.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return super().get(survey, alert_id, object_id)

    def put(self, survey, alert_id, packet, object_id=None):
        self.puts.append((alert_id, object_id))
        time.sleep(self.delay_s)
        if self.put_error is not None:
            raise self.put_error
        return super().put(survey, alert_id, packet, object_id)

    def check(self):
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed += 1


class Counting:
    """An observer."""

    def __init__(self):
        self.asked, self.cache, self.written, self.entered = [], [], [], []
        self.seconds = []

    def store_asked(self, store, outcome, seconds):
        self.asked.append((store, outcome))
        self.seconds.append(seconds)

    def cache_asked(self, *, hit):
        self.cache.append(hit)

    def written_back(self, outcome):
        self.written.append(outcome)

    def indexed(self, outcome, alerts):
        self.entered.append((outcome, alerts))


@pytest.fixture
def ztf(surveys):
    return surveys["ztf"]


@pytest.fixture
def observer():
    return Counting()


@pytest.fixture
def resolve(observer):
    """Make resolvers of ZTF over some stores."""
    made = []

    def make(*stores, **options):
        made.append(Resolver({"ztf": stores}, observer=observer, **options))
        return made[-1]

    yield make
    for resolver in made:
        resolver.close()


class TestOrder:
    def test_the_first_that_has_it_answers(self, resolve, observer, ztf):
        first, second = FakeStore("first", "1"), FakeStore("second", "1")
        assert resolve(first, second).packet(ztf, "1") == packet_of("1")
        assert second.gets == []
        assert observer.asked == [("first", "hit")]

    def test_the_next_is_asked_after_absence(self, resolve, observer, ztf):
        assert resolve(FakeStore("first"), FakeStore("second", "1")).packet(ztf, "1") == packet_of("1")
        assert observer.asked == [("first", "absent"), ("second", "hit")]

    def test_the_next_is_asked_after_a_failure(self, resolve, observer, ztf):
        down = FakeStore("first", error=StoreUnavailable("down"))
        assert resolve(down, FakeStore("second", "1")).packet(ztf, "1") == packet_of("1")
        assert observer.asked == [("first", "unavailable"), ("second", "hit")]

    def test_absent_means_that_all_said_so(self, resolve, observer, ztf):
        with pytest.raises(AlertNotFound):
            resolve(FakeStore("first"), FakeStore("second")).packet(ztf, "1")
        assert observer.asked == [("first", "absent"), ("second", "absent")]

    @pytest.mark.parametrize("place", [0, 1])
    @pytest.mark.parametrize("kind", [StoreUnavailable, StoreTimeout])
    def test_unavailable_means_that_one_could_not_be_asked_and_none_had_it(self, resolve, ztf, place, kind):
        stores = [FakeStore("absent"), FakeStore("absent")]
        stores[place] = FakeStore("down", error=kind("down", retry_after_s=7))
        with pytest.raises(kind) as caught:
            resolve(*stores).packet(ztf, "1")
        assert type(caught.value) is kind
        assert caught.value.retry_after_s == 7

    @pytest.mark.parametrize("error", [TooLarge("large"), PacketCorrupt("damaged"), RequestError("needed")])
    def test_what_is_there_and_unusable_is_not_looked_for_elsewhere(self, resolve, ztf, error):
        second = FakeStore("second", "1")
        with pytest.raises(type(error)):
            resolve(FakeStore("first", error=error), second).packet(ztf, "1")
        assert second.gets == []

    def test_times_are_measured(self, resolve, observer, ztf):
        resolve(FakeStore("slow", "1", delay_s=0.05)).packet(ztf, "1")
        assert 0.05 <= observer.seconds[0] < 1

    def test_stores_are_named_in_order(self, resolve, ztf):
        assert resolve(FakeStore("a"), FakeStore("b")).store_names(ztf) == ["a", "b"]


class TestObjects:
    @pytest.mark.parametrize("method", ["packet", "alert"])
    def test_the_right_one(self, resolve, ztf, method):
        resolver = resolve(FakeStore("first", "1"))
        assert getattr(resolver, method)(ztf, "1", OBJECT_ID)

    @pytest.mark.parametrize("cache_bytes", [0, 10**6])
    @pytest.mark.parametrize("method", ["packet", "alert"])
    def test_another_one_is_not_found(self, resolve, ztf, method, cache_bytes):
        resolver = resolve(FakeStore("first", "1"), cache_bytes=cache_bytes)
        resolver.packet(ztf, "1")
        with pytest.raises(AlertNotFound, match="does not belong"):
            getattr(resolver, method)(ztf, "1", "ZTF18acuwwpq")

    def test_stores_are_told(self, resolve, ztf):
        store = FakeStore("first", "1")
        resolve(store).packet(ztf, "1", OBJECT_ID)
        assert store.gets == [("1", OBJECT_ID)]


class TestAlerts:
    def test_are_opened(self, resolve, ztf):
        alert = resolve(FakeStore("first", "1")).alert(ztf, "1")
        assert (alert.alert_id, alert.object_id) == ("1", OBJECT_ID)

    def test_that_are_others_are_corrupt(self, resolve, ztf):
        store = FakeStore("first")
        store.put(ztf, "1", packet_of("2"))
        with pytest.raises(PacketCorrupt):
            assert resolve(store).alert(ztf, "1").object_id

    def test_the_limit_holds_for_what_is_in_them(self, resolve, ztf):
        store = FakeStore("first")
        store.put(ztf, "1", packet_of("1", fill=bytes(2000)))
        with pytest.raises(TooLarge):
            resolve(store, max_packet_bytes=1000).alert(ztf, "1")

    def test_a_packet_is_handed_out_as_it_is_even_if_it_cannot_be_decoded(self, resolve, ztf):
        store = FakeStore("first")
        store.put(ztf, "1", b"Obj\x01 broken")
        assert resolve(store).packet(ztf, "1") == b"Obj\x01 broken"


class TestWriteBack:
    def test_what_a_later_store_had_is_put_into_the_first(self, resolve, observer, ztf):
        first, second = FakeStore("first"), FakeStore("second", "1", writable=False)
        resolver = resolve(first, second)
        resolver.packet(ztf, "1")
        resolver.close()
        assert first.puts == [("1", OBJECT_ID)]
        assert first.get(ztf, "1") == packet_of("1")
        assert observer.written == ["ok"]

    def test_happens_in_the_background(self, resolve, ztf):
        first = FakeStore("first")
        resolver = resolve(first, FakeStore("second", "1"))
        first.put = slow_put = SlowPut(first.put)
        started = time.monotonic()
        assert resolver.packet(ztf, "1") == packet_of("1")
        assert time.monotonic() - started < 0.5
        slow_put.go.set()
        resolver.close()
        assert first.puts

    def test_happens_once(self, resolve, observer, ztf):
        first = FakeStore("first")
        resolver = resolve(first, FakeStore("second", "1"))
        first.put = slow_put = SlowPut(first.put)
        for _ in range(5):
            resolver.packet(ztf, "1")
        slow_put.go.set()
        resolver.close()
        assert len(first.puts) == 1
        assert observer.written == ["ok"]

    @pytest.mark.parametrize(
        "error", [StoreUnavailable("full"), PacketConflict("another"), TooLarge("large"), ValueError("a bug")]
    )
    def test_that_fails_is_counted_and_costs_nothing(self, resolve, observer, ztf, caplog, error):
        first = FakeStore("first", put_error=error)
        resolver = resolve(first, FakeStore("second", "1"))
        assert resolver.packet(ztf, "1") == packet_of("1")
        resolver.close()
        assert observer.written == ["failed"]
        assert "write-back of ztf alert 1 failed" in caplog.text

    def test_that_failed_is_tried_again_when_it_is_asked_for_again(self, resolve, observer, ztf):
        first = FakeStore("first", put_error=StoreUnavailable("full"))
        resolver = resolve(first, FakeStore("second", "1"))
        resolver.packet(ztf, "1")
        resolver.close()
        first.put_error = None
        resolver.packet(ztf, "1")
        resolver.close()
        assert observer.written == ["failed", "ok"]

    def test_goes_to_the_first_that_can_be_written_to_and_lacks_it(self, resolve, ztf):
        readonly, down = FakeStore("a", writable=False), FakeStore("b", error=StoreUnavailable("down"))
        lacking, later = FakeStore("c"), FakeStore("d")
        resolver = resolve(readonly, down, lacking, later, FakeStore("e", "1"))
        resolver.packet(ztf, "1")
        resolver.close()
        assert [len(store.puts) for store in (readonly, down, lacking, later)] == [0, 0, 1, 0]

    def test_does_not_happen_for_what_the_first_has(self, resolve, observer, ztf):
        resolver = resolve(FakeStore("first", "1"), FakeStore("second", "1"))
        resolver.packet(ztf, "1")
        resolver.close()
        assert observer.written == []

    @pytest.mark.parametrize("wrong", [packet_of("2"), b"<html>busy</html>", b"", packet_of("1")[:-20]])
    @pytest.mark.parametrize("method", ["packet", "alert"])
    def test_never_happens_with_something_else_which_is_not_handed_out_either(
        self, resolve, observer, ztf, wrong, method
    ):
        first, second = FakeStore("first"), FakeStore("second")
        second.put(ztf, "1", wrong)
        resolver = resolve(first, second, cache_bytes=10**6)
        for _ in range(2):
            with pytest.raises(PacketCorrupt):
                getattr(resolver, method)(ztf, "1")
        resolver.close()
        assert first.puts == []
        assert observer.written == []

    def test_is_dropped_when_too_much_is_waiting(self, resolve, observer, ztf):
        first, second = FakeStore("first"), FakeStore("second")
        for number in range(1, 7):
            second.put(ztf, str(number), packet_of(str(number), fill=bytes(20 * 2**20)))
        resolver = resolve(first, second)
        first.put = slow_put = SlowPut(first.put)
        for number in range(1, 7):
            resolver.packet(ztf, str(number))
        assert observer.written == ["dropped"] * 3
        slow_put.go.set()
        resolver.close()
        assert Counter(observer.written) == {"dropped": 3, "ok": 3}


class SlowPut:
    """A put that waits until it may."""

    def __init__(self, put):
        self.put = put
        self.go = threading.Event()

    def __call__(self, *args):
        assert self.go.wait(10)
        return self.put(*args)


class TestSingleFlight:
    def ask(self, resolver, ztf, count=8, alert_ids=("1",)):
        ready = threading.Barrier(count)

        def one(number):
            ready.wait(10)
            try:
                return resolver.packet(ztf, alert_ids[number % len(alert_ids)])
            except Exception as error:
                return error

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def test_threads_that_want_the_same_fetch_it_once(self, resolve, ztf):
        store = FakeStore("first", "1", delay_s=0.2)
        assert self.ask(resolve(store), ztf) == [packet_of("1")] * 8
        assert len(store.gets) == 1

    def test_threads_that_want_others_do_not_wait(self, resolve, ztf):
        store = FakeStore("first", "1", "2", "3", "4", delay_s=0.2)
        started = time.monotonic()
        self.ask(resolve(store), ztf, alert_ids="1234")
        assert time.monotonic() - started < 0.7
        assert sorted(alert_id for alert_id, _ in store.gets) == list("1234")

    def test_all_fail_alike_and_later_ones_anew(self, resolve, ztf):
        store = FakeStore("first", "1", delay_s=0.2, error=StoreTimeout("late"))
        resolver = resolve(store)
        assert {type(error) for error in self.ask(resolver, ztf)} == {StoreTimeout}
        assert len(store.gets) == 1
        store.error = None
        assert resolver.packet(ztf, "1") == packet_of("1")

    def test_absence_is_shared_as_well(self, resolve, ztf):
        store = FakeStore("first", delay_s=0.2)
        assert {type(error) for error in self.ask(resolve(store), ztf)} == {AlertNotFound}
        assert len(store.gets) == 1

    def test_one_write_back_for_all(self, resolve, observer, ztf):
        first = FakeStore("first", delay_s=0.05)
        resolver = resolve(first, FakeStore("second", "1", delay_s=0.1))
        self.ask(resolver, ztf)
        resolver.close()
        assert len(first.puts) == 1

    def test_with_a_cache_it_is_fetched_once_even_by_stragglers(self, resolve, ztf):
        store = FakeStore("first", "1")
        resolver = resolve(store, cache_bytes=10**6)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: resolver.packet(ztf, "1"), range(400)))
        assert len(store.gets) == 1


class TestCache:
    def test_off_with_size_0(self, resolve, observer, ztf):
        store = FakeStore("first", "1")
        resolver = resolve(store, cache_bytes=0)
        for _ in range(3):
            resolver.packet(ztf, "1")
        assert len(store.gets) == 3
        assert observer.cache == []

    def test_holds_what_was_found(self, resolve, observer, ztf):
        store = FakeStore("first", "1")
        resolver = resolve(store, cache_bytes=10**6)
        for _ in range(3):
            assert resolver.packet(ztf, "1") == packet_of("1")
            assert resolver.alert(ztf, "1", OBJECT_ID).object_id == OBJECT_ID
        assert len(store.gets) == 1
        assert observer.cache == [False] + [True] * 5

    def test_forgets_what_was_not_used_for_longest(self, resolve, ztf):
        store = FakeStore("first", "1", "2", "3")
        resolver = resolve(store, cache_bytes=2 * (len(packet_of("1")) + 512))
        for alert_id in ("1", "2", "1", "3", "1", "2"):
            resolver.packet(ztf, alert_id)
        assert [alert_id for alert_id, _ in store.gets] == ["1", "2", "3", "2"]

    def test_does_not_hold_absence(self, resolve, ztf):
        store = FakeStore("first")
        resolver = resolve(store, cache_bytes=10**6)
        with pytest.raises(AlertNotFound):
            resolver.packet(ztf, "1")
        resolver.put(alert_of(ztf, "1"))
        assert resolver.packet(ztf, "1") == packet_of("1")

    def test_keeps_surveys_apart(self, observer, surveys):
        stores = {name: FakeStore(name) for name in ("ztf", "lsst")}
        resolver = Resolver({name: [store] for name, store in stores.items()}, cache_bytes=10**6)
        stores["ztf"].put(surveys["ztf"], "1", b"of ZTF")
        stores["lsst"].put(surveys["lsst"], "1", b"of LSST")
        for _ in range(2):
            assert resolver.packet(surveys["ztf"], "1") == b"of ZTF"
            assert resolver.packet(surveys["lsst"], "1") == b"of LSST"
        resolver.close()


class TestPut:
    def test_goes_to_the_first_that_can_be_written_to(self, resolve, ztf):
        first, second, third = FakeStore("a", writable=False), FakeStore("b"), FakeStore("c")
        resolver = resolve(first, second, third)
        assert resolver.put(alert_of(ztf, "1")) is True
        assert resolver.put(alert_of(ztf, "1")) is False
        assert second.puts == [("1", OBJECT_ID)] * 2
        assert first.puts == third.puts == []

    def test_conflicts_are_passed_on(self, resolve, ztf):
        resolver = resolve(FakeStore("first", "1"))
        with pytest.raises(PacketConflict):
            resolver.put(alert_of(ztf, "1", fill=b"other"))

    def test_without_any_is_unavailable(self, resolve, ztf):
        resolver = resolve(FakeStore("a", writable=False))
        with pytest.raises(StoreUnavailable):
            resolver.put(alert_of(ztf, "1"))
        with pytest.raises(StoreUnavailable):
            resolver.put_each([alert_of(ztf, "1")])

    def test_of_many_each_has_its_outcome(self, observer, surveys, ztf):
        first, other = FakeStore("first", "2", "3"), FakeStore("other")
        resolver = Resolver({"ztf": [first], "atlas": [other]}, observer=observer)
        alerts = [alert_of(ztf, "1"), alert_of(ztf, "2", fill=b"other"), alert_of(ztf, "3")]
        new, conflict, present = resolver.put_each(alerts)
        assert (new, present) == (True, False)
        assert isinstance(conflict, PacketConflict)
        assert resolver.put_each([]) == []
        first.put_error = StoreTimeout("too slow")
        with pytest.raises(StoreTimeout):
            resolver.put_each(alerts)
        resolver.close()


class TestIndex:
    @pytest.fixture
    def index(self, tmp_path):
        return open_index(Settings(data_dir=tmp_path))

    @staticmethod
    def ids(index):
        return [(one.alert_id, one.place) for one in index.search("ztf", limit=100).alerts]

    def test_has_what_was_put_once_it_is_stored(self, resolve, observer, index, ztf):
        resolver = resolve(FakeStore("away", writable=False), FakeStore("b", "3"), index=index)
        resolver.put(alert_of(ztf, "1"))
        resolver.put_each([alert_of(ztf, "2"), alert_of(ztf, "3", fill=b"other"), alert_of(ztf, "1")])
        assert self.ids(index) == [("1", "b"), ("2", "b")]
        assert [one.alert_id for one in index.alerts_of("ztf", OBJECT_ID)] == ["1", "2"]
        assert observer.entered == [("ok", 1), ("ok", 2)]

    def test_has_what_was_there_before_there_was_an_index(self, resolve, index, ztf):
        resolver = resolve(FakeStore("first", "1"), index=index)
        assert resolver.put(alert_of(ztf, "1")) is False
        assert self.ids(index) == [("1", "first")]

    def test_has_what_was_written_back(self, resolve, index, ztf):
        resolver = resolve(FakeStore("first"), FakeStore("second", "1"), index=index)
        resolver.packet(ztf, "1")
        resolver.close()
        assert self.ids(index) == [("1", "first")]
        index.close()

    def test_has_nothing_of_what_could_not_be_stored(self, resolve, observer, index, ztf):
        resolver = resolve(FakeStore("first", put_error=StoreTimeout("too slow")), index=index)
        for put in (lambda: resolver.put(alert_of(ztf, "1")), lambda: resolver.put_each([alert_of(ztf, "1")])):
            with pytest.raises(StoreTimeout):
                put()
        assert self.ids(index) == []
        assert observer.entered == []

    def test_that_is_away_keeps_no_packet_from_being_stored(self, resolve, observer, tmp_path, ztf, caplog):
        store = FakeStore("first")
        lost = open_index(Settings(data_dir=tmp_path, index_url="sqlite:////nowhere/index.sqlite"))
        resolver = resolve(store, index=lost)
        assert resolver.put(alert_of(ztf, "1")) is True
        # Once it has failed, it is left alone for a while.
        assert resolver.put_each([alert_of(ztf, "2"), alert_of(ztf, "3")]) == [True, True]
        assert store.get(ztf, "1") == packet_of("1")
        assert observer.entered == [("failed", 1), ("failed", 2)]
        assert caplog.text.count("stamp-service index rebuild") == 1

    def test_lacks_what_cannot_be_read_and_has_the_rest(self, resolve, observer, index, ztf, caplog):
        resolver = resolve(FakeStore("first"), index=index)
        damaged = open_alert(ztf, "1", packet_of("2"))
        assert resolver.put_each([alert_of(ztf, "3")]) == [True]
        IndexFeed(index, observer.indexed).add([damaged, alert_of(ztf, "4")], "first")
        assert self.ids(index) == [("3", "first"), ("4", "first")]
        assert observer.entered == [("ok", 1), ("failed", 1), ("ok", 1)]
        assert "another alert" in caplog.text

    def test_takes_what_threads_bring_at_once_in_few_transactions(self, resolve, observer, index, ztf):
        resolver = resolve(FakeStore("first"), index=index)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: resolver.put(alert_of(ztf, str(number))), range(1, 65)))
        assert len(self.ids(index)) == 64
        assert sum(count for _, count in observer.entered) == 64
        assert len(observer.entered) < 64


class TestHealth:
    def test_says_what_keeps_each_store_from_answering(self, surveys):
        fine, down = FakeStore("fine"), FakeStore("down", error=StoreTimeout("too slow"))
        resolver = Resolver({"ztf": [fine, down], "lsst": [fine]})
        assert resolver.check() == {"fine": None, "down": "too slow"}
        resolver.close()

    def test_closes_each_store_once(self):
        shared, own = FakeStore("shared"), FakeStore("own")
        resolver = Resolver({"ztf": [shared, own], "lsst": [shared]})
        resolver.close()
        assert (shared.closed, own.closed) == (1, 1)


def test_memory_does_not_grow_with_the_number_of_alerts(ztf):
    """All bookkeeping is bounded, and freed without waiting for the garbage collector."""
    store = FakeStore("first")
    resolver = Resolver({"ztf": [store]}, cache_bytes=100_000)

    def ask(numbers):
        for number in numbers:
            store._packets = {("ztf", str(number)): bytes(1000)}
            resolver.packet(ztf, str(number))
            with suppress(AlertNotFound):
                resolver.packet(ztf, str(10**9 + number))
            store.gets.clear()

    gc.disable()
    ask(range(1, 300))
    tracemalloc.start()
    try:
        ask(range(300, 600))
        before, _ = tracemalloc.get_traced_memory()
        ask(range(600, 2600))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
        resolver.close()
    assert after < before + 10_000
