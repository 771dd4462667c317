"""Side indexes: exact lookups, the same after a round trip, refused when torn."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.lake.files import FileVersion
from stamp_service.lake.ids import NO_ID, Ids
from stamp_service.lake.places import PAGE, CutoutIndex
from stamp_service.lake.side_index import IndexTorn, SideIndex

VERSION = FileVersion(123, 456, "tag")


def index_of(alerts, objects, times):
    ids = Ids(np.array(alerts), np.array(objects), np.array(times, np.float64))
    return SideIndex(VERSION, "ztf", "pyarrow", ids, groups=(len(alerts),), cutouts={})


def cutout_index():
    return CutoutIndex(
        "cutoutScience",
        "SNAPPY",
        1,
        np.array([0, 2, 3], np.uint32),
        np.frombuffer(PAGE.pack(100, 90_000, 150_006, 6, 0) + PAGE.pack(95_000, 50, 46, 6, 3), np.uint8),
        np.array([80_006, 150_006, 46], np.uint32),
        np.array([1, 2, 3], np.uint32),
        np.array([3, 40_000, 80_000, 1], np.uint32),
    )


def full_index():
    ids = Ids(np.array([7, 5, 6]), np.array([b"b", b"a", b"b"]), np.array([1.0, 2.0, 0.5]))
    return SideIndex(VERSION, "ztf", "fragment", ids, groups=(3,), cutouts={"science": cutout_index()})


def test_alerts_are_found_by_their_exact_ids():
    index = index_of([30, 10, 20], [b"x", b"y", b"x"], [1, 2, 3])
    assert [index.find_alert(text) for text in ("10", "20", "30")] == [1, 2, 0]
    for text in ("", "1", "11", "010", "+10", " 10", "10 ", "1_0", "10.0", "\u0661\u0660", "-10", "9" * 30, "a"):
        assert index.find_alert(text) is None


def test_text_ids_are_found_by_their_exact_letters():
    index = index_of([b"01a_2", b"01a"], [b"", b"o"], [1, 2])
    assert (index.find_alert("01a"), index.find_alert("01a_2")) == (1, 0)
    for text in ("", "01", "01A", "01a\0", "01a_22", "01\u00e4"):
        assert index.find_alert(text) is None
    assert index.object_id(0) is None
    assert index.find_object("") == ()


def test_an_object_is_listed_by_time_and_then_by_alert():
    index = index_of([4, 3, 2, 1], [b"o", b"o", b"o", b"p"], [5.0, 5.0, np.nan, 1.0])
    assert index.find_object("o") == (2, 1, 0)
    assert index.find_object("p") == (3,)


def test_null_ids_are_found_by_nobody():
    index = index_of([1, NO_ID], [NO_ID, 9], [1, 2])
    assert index.object_id(0) is None
    assert index.alert_id(1) == ""
    assert index.find_alert(str(NO_ID)) is None
    assert index.find_object(str(NO_ID)) == ()
    assert index.find_object("9") == (1,)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 5)), max_size=40))
def test_what_is_in_the_index_is_found(rows):
    index = index_of(
        [row[0] for row in rows] or np.zeros(0, int),
        [b"%d" % row[1] for row in rows] or np.zeros(0, "S1"),
        [0.0] * len(rows),
    )
    for number, (alert, owner) in enumerate(rows):
        assert rows[index.find_alert(str(alert))][0] == alert
        assert number in index.find_object(str(owner))
    assert sum(len(index.find_object(str(owner))) for owner in range(6)) == len(rows)


def test_a_value_is_placed_in_its_page_and_fragments():
    cutout = cutout_index()
    first, second, third = (cutout.place(row) for row in range(3))
    assert (first.start, first.end, first.first, first.last) == (6, 80_006, 3, 80_000)
    assert (second.start, second.end, second.first, second.last) == (80_006, 150_006, 40_000, 90_000)
    assert (third.offset, third.row, third.rows, third.first, third.last) == (95_000, 0, 1, 1, 50)


def test_an_index_comes_back_as_it_was_dumped(tmp_path):
    path = tmp_path / "index"
    index = full_index()
    path.write_bytes(index.dump())
    loaded = SideIndex.load(path)
    assert (loaded.version, loaded.survey_name, loaded.tier, loaded.groups) == (VERSION, "ztf", "fragment", (3,))
    assert loaded.dump() == index.dump()
    assert loaded.find_alert("5") == 1
    assert loaded.find_object("b") == (2, 0)
    assert loaded.cutouts["science"].place(1) == index.cutouts["science"].place(1)
    assert loaded.kinds(0) == ("science",)


def test_torn_indexes_are_refused(tmp_path):
    path = tmp_path / "index"
    whole = full_index().dump()
    source = random.Random(2)
    flipped = []
    for at in range(0, len(whole), 3):
        copy = bytearray(whole)
        copy[at] ^= 1 << source.randrange(8)
        flipped.append(bytes(copy))
    cut = [whole[:length] for length in range(0, len(whole), 7)]
    for torn in (*flipped, *cut, whole + b"\0", b"\0" * len(whole)):
        path.write_bytes(torn)
        with pytest.raises(IndexTorn):
            SideIndex.load(path)
