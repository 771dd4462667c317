"""The bounded cache of bytes."""

import random
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.cache import ByteCache


def test_keeps_what_fits():
    cache = ByteCache(10_000)
    cache.put("a", b"1" * 1000)
    assert cache.get("a") == b"1" * 1000
    assert cache.get("b") is None
    assert len(cache) == 1


def test_lets_the_least_recently_used_go_first():
    cache = ByteCache(10_000)
    for key in "abcdef":
        cache.put(key, bytes(1000))
    assert cache.get("a") is not None
    cache.put("g", bytes(1000))
    assert [key for key in "abcdefg" if cache.get(key) is not None] == ["a", "c", "d", "e", "f", "g"]


def test_replaces():
    cache = ByteCache(10_000)
    cache.put("a", bytes(4000))
    cache.put("a", b"new")
    assert cache.get("a") == b"new"
    assert len(cache) == 1
    assert cache.size_bytes < 1000


@pytest.mark.parametrize("capacity", [0, 100])
def test_what_is_larger_than_all_of_it_is_not_kept(capacity):
    cache = ByteCache(capacity)
    cache.put("a", bytes(101))
    assert cache.get("a") is None
    assert len(cache) == cache.size_bytes == 0


def test_something_too_large_drives_nothing_out():
    cache = ByteCache(10_000)
    cache.put("a", bytes(1000))
    cache.put("b", bytes(20_000))
    assert cache.get("a") is not None


def test_off_with_size_0():
    assert not ByteCache(0).enabled
    assert ByteCache(1).enabled


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3000), st.booleans()), max_size=100))
def test_never_exceeds_its_size_and_never_mixes_values_up(steps):
    cache, last = ByteCache(10_000), {}
    for key, size, put in steps:
        if put:
            last[key] = bytes([key]) * size
            cache.put(key, last[key])
        elif cache.get(key) is not None:
            assert cache.get(key) == last[key]
        assert 0 <= cache.size_bytes <= 10_000
        assert (len(cache) == 0) == (cache.size_bytes == 0)


def test_threads():
    cache, failures = ByteCache(50_000), []

    def work(seed):
        dice = random.Random(seed)
        for _ in range(3000):
            key = dice.randrange(100)
            value = cache.get(key)
            if value is not None and value != bytes([key]) * len(value):
                failures.append(key)
            cache.put(key, bytes([key]) * dice.randrange(5000))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.size_bytes == sum(len(value) + 512 for value in cache._values.values()) <= 50_000


def test_memory_is_what_it_says():
    """Many small entries, whose bookkeeping outweighs them."""
    tracemalloc.start()
    try:
        cache = ByteCache(2_000_000)
        for number in range(20_000):
            cache.put(("ztf", str(10**17 + number)), bytes(50))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 500_000 < taken < 2_000_000
