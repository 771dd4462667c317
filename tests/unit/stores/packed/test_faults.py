"""Torn files, flipped bits, lost indexes, interrupted steps: nothing acknowledged is lost or doubled."""

import os
import random
import shutil

import pytest

from stamp_service.errors import PacketCorrupt, StoreUnavailable
from stamp_service.stores.packed.names import tonight
from stamp_service.stores.packed.sqlite_files import writing
from tests.contracts.packed import FIRST_ID, found_in, packet_of, packs_of, put_numbers, spooled, stored_once
from tests.contracts.store import assert_unavailable

COUNT = 8


@pytest.fixture
def ztf(surveys):
    return surveys["ztf"]


class TestTornSpool:
    def test_at_every_byte_holds_what_was_whole(self, open_packed, folder, ztf, tmp_path):
        put_numbers(open_packed(), ztf, [0, 1, 3, 4])  # all in one pack
        (whole,) = spooled(folder)
        data = whole.read_bytes()
        ends = [place.offset + place.length for place in self._places(open_packed(), ztf)]
        for number, cut in enumerate([*range(0, len(data), 41), *ends, *(end - 1 for end in ends)]):
            other = tmp_path / f"torn-{number}"
            shutil.copytree(folder, other)
            (file,) = spooled(other)
            os.truncate(file, cut)
            expected = [number for number, end in zip([0, 1, 3, 4], ends, strict=True) if end <= cut]
            reader, writer = open_packed(other), open_packed(other)
            assert found_in(reader, ztf, range(5)) == expected
            assert put_numbers(writer, ztf, [0, 1, 3, 4, 6]) == 5 - len(expected)
            for store in (reader, writer):
                assert found_in(store, ztf, range(7)) == [0, 1, 3, 4, 6]
            assert len(stored_once(other)) == 5

    @staticmethod
    def _places(store, survey):
        spool = store._process().archive(survey.name)._holdings.spool
        spool.alert_ids()
        (file,) = spool._files.values()
        return file.places.values()

    @pytest.mark.parametrize(
        "garbage", [b"\0" * 5000, b"\x02\xff\x7f", os.urandom(100)], ids=("zeros", "short", "random")
    )
    def test_with_garbage_at_its_end(self, open_packed, folder, ztf, garbage):
        put_numbers(open_packed(), ztf, [0])
        (file,) = spooled(folder)
        with file.open("ab") as opened:
            opened.write(garbage)
        store = open_packed()
        assert found_in(store, ztf, range(3)) == [0]
        put_numbers(store, ztf, [1])
        assert found_in(open_packed(), ztf, range(3)) == [0, 1]
        assert len(stored_once(folder)) == 2

    def test_a_damaged_packet_keeps_none_of_those_behind_it_away(self, open_packed, folder, ztf):
        put_numbers(open_packed(), ztf, [0, 1, 3])
        (file,) = spooled(folder)
        places = {place.alert_id: place for place in self._places(open_packed(), ztf)}
        data = bytearray(file.read_bytes())
        data[places[str(FIRST_ID + 1)].offset + 1] ^= 0x40  # its length
        file.write_bytes(data)
        store = open_packed()
        assert found_in(store, ztf, range(4)) == [0, 3]
        put_numbers(store, ztf, [4])
        assert found_in(open_packed(), ztf, range(5)) == [0, 3, 4]

    def test_a_damaged_header_is_set_aside_and_the_stream_can_be_replayed(
        self, open_packed, folder, ztf, tmp_path
    ):
        put_numbers(open_packed(), ztf, [0, 1, 3])
        (file,) = spooled(folder)
        data = file.read_bytes()
        header = min(place.offset for place in self._places(open_packed(), ztf))
        dice = random.Random(6)
        for position in range(0, header, 43):
            other = tmp_path / f"flipped-{position}"
            shutil.copytree(folder, other)
            flipped = bytearray(data)
            flipped[position] ^= 1 << dice.randrange(8)
            (file,) = spooled(other)
            file.write_bytes(flipped)
            reader, writer = open_packed(other), open_packed(other)
            before = found_in(reader, ztf, range(5))
            assert before in ([], [0, 1, 3])  # some bits make no difference
            assert put_numbers(writer, ztf, [0, 1, 3, 4]) == 4 - len(before)
            for store in (reader, writer):
                assert found_in(store, ztf, range(5)) == [0, 1, 3, 4]
            suffixes = sorted(file.name.partition(".")[2] for file in spooled(other))
            assert suffixes == (["open.avro"] if before else ["damaged.avro", "open.avro"])


class TestFlippedBits:
    def test_give_the_packet_or_say_that_it_is_damaged(self, open_packed, folder, ztf):
        store = open_packed()
        put_numbers(store, ztf, range(6))
        store.flush(ztf)
        damaged = 0
        dice = random.Random(4)
        for pack in packs_of(folder):
            data = pack.read_bytes()
            for position in range(0, len(data), 23):
                flipped = bytearray(data)
                flipped[position] ^= 1 << dice.randrange(8)
                pack.write_bytes(flipped)
                reader = open_packed()
                damaged += sum(self._is_damaged(reader, ztf, number) for number in range(6))
                reader.close()
            pack.write_bytes(data)
        assert damaged > 50
        assert found_in(open_packed(), ztf, range(6)) == list(range(6))

    @staticmethod
    def _is_damaged(store, survey, number):
        try:
            found = store.get(survey, str(FIRST_ID + number))
        except PacketCorrupt:
            return True
        assert found == packet_of(number)
        return False

    def test_an_index_that_points_elsewhere_is_found_out(self, open_packed, folder, ztf):
        store = open_packed()
        put_numbers(store, ztf, [0, 1])
        store.flush(ztf)
        index = store._process().archive("ztf")._holdings.index
        (night,) = index.nights()
        with writing(index._path(night)) as connection:
            rows = connection.execute("SELECT alert_id, offset, length FROM alerts").fetchall()
            for (alert_id, _, _), (_, offset, length) in zip(rows, reversed(rows), strict=True):
                connection.execute(
                    "UPDATE alerts SET offset = ?, length = ? WHERE alert_id = ?", (offset, length, alert_id)
                )
        for number in (0, 1):
            with pytest.raises(PacketCorrupt, match="another alert"):
                open_packed().get(ztf, str(FIRST_ID + number))


class TestIndex:
    @pytest.fixture
    def flushed(self, open_packed, folder, ztf):
        store = open_packed(pack_bytes=1000)
        put_numbers(store, ztf, range(COUNT))
        store.flush(ztf)
        store.close()
        return folder

    def test_lost_is_made_anew(self, flushed, open_packed, ztf):
        shutil.rmtree(flushed / "index")
        assert found_in(open_packed(), ztf, range(COUNT + 1)) == list(range(COUNT))
        assert list((flushed / "index" / "ztf").glob("*.sqlite"))

    def test_torn_is_made_anew(self, flushed, open_packed, ztf):
        (index,) = (flushed / "index" / "ztf").glob("*.sqlite")
        data = index.read_bytes()
        for cut in [0, 1, 50, 99, 100, *range(1000, len(data), 4096), len(data) - 1]:
            index.write_bytes(data[:cut])
            store = open_packed()
            assert found_in(store, ztf, range(COUNT + 1)) == list(range(COUNT)), cut
            store.close()

    def test_torn_while_it_is_in_use_is_made_anew(self, flushed, open_packed, ztf):
        store = open_packed()
        assert found_in(store, ztf, [0]) == [0]
        (index,) = (flushed / "index" / "ztf").glob("*.sqlite")
        index.write_bytes(b"not SQLite's" * 100)
        assert found_in(store, ztf, range(COUNT + 1)) == list(range(COUNT))

    def test_packs_that_were_copied_here_are_found(self, flushed, open_packed, ztf, tmp_path):
        shutil.copytree(flushed / "packs", tmp_path / "other" / "packs")
        assert found_in(open_packed(tmp_path / "other"), ztf, range(COUNT + 1)) == list(range(COUNT))

    def test_is_brought_in_step_on_request(self, flushed, open_packed, ztf):
        store = open_packed()
        assert store.reindex(ztf) == 0
        shutil.rmtree(flushed / "index")
        assert store.reindex(ztf) == len(packs_of(flushed))
        assert store.reindex(ztf) == 0

    def test_leaves_out_a_pack_whose_header_is_damaged(self, flushed, open_packed, ztf, caplog):
        pack = packs_of(flushed)[0]
        pack.write_bytes(b"Obj\x02" + pack.read_bytes()[4:])
        shutil.rmtree(flushed / "index")
        assert 0 < len(found_in(open_packed(), ztf, range(COUNT))) < COUNT
        assert "left out of the index" in caplog.text


class TestBetweenTwoSteps:
    """What a writer that died while it sealed a pack leaves behind, made by hand."""

    @pytest.fixture(params=["full", "indexed", "placed"])
    def interrupted(self, request, open_packed, folder, ztf):
        store = open_packed()
        put_numbers(store, ztf, [0, 1, 3])
        (pack,) = spooled(folder)
        full = pack.with_name(pack.name.replace(".open.", ".full."))
        if request.param == "full":
            pack.rename(full)
            return
        data = pack.read_bytes()
        store.flush(ztf)
        store.close()
        full.write_bytes(data)
        if request.param == "indexed":
            shutil.rmtree(folder / "packs")

    def test_everything_is_there_once_and_the_rest_is_done(self, interrupted, open_packed, folder, ztf):
        reader, writer = open_packed(), open_packed()
        assert found_in(reader, ztf, range(4)) == [0, 1, 3]
        assert sorted(reader.alert_ids(ztf)) == [str(FIRST_ID + number) for number in (0, 1, 3)]
        assert put_numbers(writer, ztf, [0, 1, 3, 4]) == 1
        writer.close()
        assert len(packs_of(folder)) == 1
        assert [file.name.split(".")[1] for file in spooled(folder)] == ["open"]
        for store in (reader, writer):
            assert found_in(store, ztf, range(5)) == [0, 1, 3, 4]
        assert len(stored_once(folder)) == 4

    def test_a_pack_without_a_whole_header_is_removed(self, open_packed, folder, ztf):
        put_numbers(open_packed(), ztf, [0])
        (pack,) = spooled(folder)
        started = pack.with_name("20190401-" + "ab" * 16 + ".open.avro")
        for text in (b"", pack.read_bytes()[:500]):
            started.write_bytes(text)
            store = open_packed()
            assert found_in(store, ztf, range(2)) == [0]
            put_numbers(store, ztf, [0])
            assert not started.exists()


class TestDisk:
    def test_unreadable_is_not_absent(self, open_packed, folder, ztf):
        folder.mkdir()
        (folder / "spool").touch()
        store = open_packed()
        assert_unavailable(lambda: store.get(ztf, "1"))
        assert_unavailable(lambda: store.put(ztf, "1", b"packet"))

    def test_a_pack_that_is_gone_is_not_absent(self, open_packed, folder, ztf):
        store = open_packed()
        put_numbers(store, ztf, [0])
        store.flush(ztf)
        shutil.rmtree(folder / "packs")
        with pytest.raises(StoreUnavailable):
            store.get(ztf, str(FIRST_ID))

    def test_packs_that_cannot_be_placed_stay_in_the_spool(self, open_packed, folder, ztf):
        in_the_way = folder / "packs" / "ztf" / tonight()
        in_the_way.parent.mkdir(parents=True)
        in_the_way.touch()
        store = open_packed(pack_bytes=500)
        assert put_numbers(store, ztf, range(5)) == 5
        with pytest.raises(StoreUnavailable):
            store.flush(ztf)
        in_the_way.unlink()
        assert found_in(store, ztf, range(5)) == list(range(5))
        store.flush(ztf)
        assert spooled(folder) == []
        assert found_in(open_packed(), ztf, range(5)) == list(range(5))


def test_a_reader_follows_a_writer_through_everything(open_packed, ztf):
    """One store reads while another fills and seals packs, as two processes do."""
    reader, writer = open_packed(), open_packed(pack_bytes=2_000)
    for start in range(0, 60, 3):
        put_numbers(writer, ztf, range(start, start + 3))
        assert found_in(reader, ztf, range(start + 4)) == list(range(start + 3))
