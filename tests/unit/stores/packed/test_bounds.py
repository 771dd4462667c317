"""Bounds of alert ids: they never leave out what is there, and mostly leave out what is not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.stores.packed.bounds import Bounds, BoundsTable
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.nights import NightIndex
from stamp_service.stores.packed.pieces import Piece, find_entries, key_of, write_entry
from stamp_service.stores.packed.scanning import Place

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
nights = st.lists(st.lists(ids, min_size=1, max_size=30), max_size=6)


@settings(max_examples=60)
@given(nights)
def test_whatever_is_there_is_asked_for(nights):
    table = BoundsTable((Bounds.of(night), number) for number, night in enumerate(nights))
    for number, night in enumerate(nights):
        for alert_id in night:
            assert number in list(table.find(alert_id))


def test_ids_that_grow_within_groups_lead_to_one_night():
    made = [
        [f"0{tel}a{58000 + night}o{number:04d}c" for tel in (1, 2, 3, 4) for number in range(9)]
        for night in range(50)
    ]
    table = BoundsTable((Bounds.of(night), number) for number, night in enumerate(made))
    for number, night in enumerate(made):
        assert [list(table.find(alert_id)) for alert_id in night] == [[number]] * len(night)
    assert list(table.find("05a58000o0000c")) == []
    assert list(table.find("01a57999o0000c")) == []


def test_ids_without_order_are_one_group():
    dice = random.Random(1)
    many = [dice.randbytes(8).hex() for _ in range(500)]
    assert Bounds.of(many).ranges == ((min(many), max(many)),)


@pytest.mark.parametrize("size", [1, 2, 40, 1500])
def test_an_index_knows_the_bounds_of_its_files(tmp_path, size):
    dice = random.Random(size)
    index = NightIndex(tmp_path)
    alerts = [f"{dice.randrange(4)}0{dice.randrange(3)}{number}" for number in range(size)]
    index.add(PackName("20190401", bytes(16)), [Place(alert_id, 5, 7) for alert_id in alerts])
    assert all(index.find(alert_id) is not None for alert_id in alerts)
    assert index._nights["20190401"].bounds == Bounds.of(alerts)
    assert index.find("zzz") is None
    index.close()


def test_an_index_sees_what_another_process_adds_at_once(tmp_path):
    reader, writer = NightIndex(tmp_path), NightIndex(tmp_path)
    for number in range(60):
        name = PackName(f"201904{number // 10:02d}", number.to_bytes(16, "big"))
        assert reader.find(f"{number:03d}") is None
        writer.add(name, [Place(f"{number:03d}", 1, 2)])
        assert reader.find(f"{number:03d}") == (name, 1, 2)
    reader.close()


class TestPieces:
    @pytest.mark.parametrize("alert_id", ["1", "a,b", "ä/%2F", "x" * 128])
    def test_names_are_read_back(self, alert_id):
        for bounds in (Bounds.of([alert_id]), Bounds.of([alert_id, "z"]), Bounds(())):
            piece = Piece("20190401", 2, bounds, "ab12")
            assert Piece.read(str(piece)) == piece
            assert str(piece).isascii()

    @pytest.mark.parametrize(
        "text", ["", "x", "20190401/1,a,b.index", "20190401/x,a,b,c.index", "20190401/1,a,b,c"]
    )
    def test_other_names_are_none(self, text):
        assert Piece.read(text) is None

    @pytest.mark.parametrize("count", [0, 1, 2, 100, 20_000])
    def test_entries_are_found_in_one_read(self, count):
        keys = [key_of(str(number)) for number in range(count)]
        data = b"".join(sorted(write_entry(key, bytes(16), number, 9) for number, key in enumerate(keys)))
        reads = []

        def read(offset, length):
            reads.append(length)
            return data[offset : offset + length]

        for number in range(0, count, max(1, count // 200)):
            reads.clear()
            assert find_entries(keys[number], len(data), read) == [(bytes(16), number, 9)]
            assert len(reads) <= 2
            assert count < 10_000 or max(reads) < len(data) // 10
        assert find_entries(key_of("absent"), len(data), read) == []

    def test_equal_keys_and_uneven_ones_are_all_found(self):
        low, high = bytes(8), b"\xff" * 8
        entries = [write_entry(low, bytes(16), number, 9) for number in range(700)]
        entries += [write_entry(high, bytes(16), number, 9) for number in range(50)]
        data = b"".join(entries)

        def read(offset, length):
            return data[offset : offset + length]

        assert len(find_entries(low, len(data), read)) == 700
        assert len(find_entries(high, len(data), read)) == 50
        assert find_entries(b"\x01" + bytes(7), len(data), read) == []
