"""Segments: found is what is there, however keys are spread, and merging loses nothing that lives."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.lake.durable import written_whole
from stamp_service.lake.segments import (
    Entries,
    Segment,
    SegmentTorn,
    join,
    key_of,
    keys_of,
    merge_segments,
    write_segment,
)

LAST = 2**64 - 1
# Small ones share pages and repeat; the others are anywhere, at both ends too.
KEYS = st.lists(st.integers(0, 40) | st.integers(0, LAST) | st.sampled_from([0, LAST, LAST - 1]), max_size=60)


def entries(keys, files=None, times=None):
    return Entries(
        np.array(keys, np.uint64),
        np.arange(len(keys), dtype=np.uint32) if files is None else np.array(files, np.uint32),
        None if times is None else np.array(times, np.float64),
    )


@pytest.fixture
def written(tmp_path):
    """Write a segment and open it."""
    counter = iter(range(10**6))

    def make(given):
        path = tmp_path / str(next(counter))
        write_segment(path, given)
        return Segment(path)

    return make


@settings(max_examples=60)
@given(keys=KEYS, repeats=st.integers(1, 30))
def test_every_key_is_found_with_all_of_its_files(tmp_path_factory, keys, repeats):
    keys = keys * repeats
    path = tmp_path_factory.mktemp("segments") / "s"
    write_segment(path, entries(keys, times=np.linspace(0, 1, len(keys))))
    segment = Segment(path)
    for key in {*keys, 0, 1, 17, LAST, 2**63}:
        found = segment.find(key)
        assert sorted(found.files) == [place for place, other in enumerate(keys) if other == key]
        assert (found.times == np.linspace(0, 1, len(keys))[found.files]).all()


def test_many_spread_keys(written):
    keys = np.random.default_rng(1).integers(0, 2**64, 50_000, dtype=np.uint64)
    segment = written(entries(keys))
    for place in range(0, len(keys), 499):
        assert place in segment.find(int(keys[place])).files
    for key in np.random.default_rng(2).integers(0, 2**64, 100, dtype=np.uint64):
        assert len(segment.find(int(key))) == 0


@pytest.mark.parametrize("spread", ["crowded", "gap", "one key", "steps"])
def test_keys_that_are_not_spread_as_hashes_are(written, spread):
    n = 100_000
    keys = {
        "crowded": np.arange(n, dtype=np.uint64) + np.uint64(2**63),
        "gap": np.concatenate([np.arange(n // 2, dtype=np.uint64), LAST - np.arange(n // 2, dtype=np.uint64)]),
        "one key": np.full(n, 5),
        "steps": 2.0 ** np.linspace(0, 63, n),
    }[spread].astype(np.uint64)
    segment = written(entries(keys))
    for key in {int(keys[place]) for place in range(0, n, 9999)}:
        assert len(segment.find(key)) == np.count_nonzero(keys == key)
        assert len(segment.find(key + 1)) == np.count_nonzero(keys == key + 1)


def test_none_at_all(written):
    assert len(written(entries([])).find(7)) == 0


def test_ids_are_hashed_alike_one_by_one_and_together():
    assert keys_of([b"1", b"ZTF18acuwwpp"]).tolist() == [key_of("1"), key_of("ZTF18acuwwpp")]


class TestMerging:
    @pytest.mark.parametrize("has_times", [False, True])
    def test_keeps_what_lives_in_order(self, written, tmp_path, has_times):
        random = np.random.default_rng(3)
        parts = [
            entries(
                random.integers(0, 2**64, n, dtype=np.uint64),
                random.integers(0, 50, n),
                random.random(n) if has_times else None,
            )
            for n in (7000, 5000, 3, 0)
        ]
        live = np.ones(50, bool)
        live[[7, 8]] = False
        count = merge_segments(tmp_path / "merged", [written(part) for part in parts], live, 1000)
        merged = Segment(tmp_path / "merged").entries
        everything = join(parts)
        expected = everything.pick(live[everything.files])
        assert count == len(merged) == len(expected)
        assert (merged.keys[1:] >= merged.keys[:-1]).all()
        order, places = np.lexsort((merged.files, merged.keys)), np.lexsort((expected.files, expected.keys))
        assert (merged.keys[order] == expected.keys[places]).all()
        assert (merged.files[order] == expected.files[places]).all()
        if has_times:
            assert (merged.times[order] == expected.times[places]).all()

    def test_of_nothing_that_lives(self, written, tmp_path):
        assert merge_segments(tmp_path / "merged", [written(entries([1, 2], [0, 0]))], np.zeros(1, bool)) == 0

    def test_leaves_readers_what_they_have(self, written, tmp_path):
        segment = written(entries([1, 2, 3]))
        for file in tmp_path.iterdir():
            file.unlink()
        assert segment.find(2).files.tolist() == [1]


class TestTorn:
    def test_is_every_file_cut_short(self, tmp_path):
        path = tmp_path / "s"
        write_segment(path, entries(range(10), times=range(10)))
        whole = path.read_bytes()
        for size in (0, 1, 63, 64, 100, len(whole) - 1):
            path.write_bytes(whole[:size])
            with pytest.raises(SegmentTorn):
                Segment(path)

    def test_is_another_format(self, tmp_path):
        path = tmp_path / "s"
        write_segment(path, entries(range(10)))
        path.write_bytes(b"STMPSEG9" + path.read_bytes()[8:])
        with pytest.raises(SegmentTorn):
            Segment(path)


def test_a_file_that_could_not_be_written_is_not_there(tmp_path):
    (tmp_path / "there").write_text("before")
    for name in ("there", "new"):
        with suppress(RuntimeError), written_whole(tmp_path / name) as file:
            file.write(b"half")
            raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "before"
