"""The small cache keeps what is used and stays small."""

from threading import Thread

from stamp_service.packets.bounded import Bounded


def test_what_was_used_longest_ago_is_forgotten():
    cache: Bounded[int, str] = Bounded(2)
    cache.put(1, "one")
    cache.put(2, "two")
    assert cache.get(1) == "one"
    cache.put(3, "three")
    assert (cache.get(1), cache.get(2), cache.get(3), len(cache)) == ("one", None, "three", 2)
    cache.put(1, "uno")
    assert (cache.get(1), len(cache)) == ("uno", 2)


def test_threads_share_it():
    cache: Bounded[int, int] = Bounded(10)
    wrong: list[int] = []

    def work(offset: int) -> None:
        for number in range(2000):
            cache.put(number % 30, number % 30)
            found = cache.get((number + offset) % 30)
            if found not in {None, (number + offset) % 30}:
                wrong.append(found)

    threads = [Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert wrong == []
    assert len(cache) == 10
