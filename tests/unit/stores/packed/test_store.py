"""The packed store in a local folder: its contract, its layout, and every real alert."""

from collections import Counter

import fastavro
import pytest

from stamp_service.errors import AlertNotFound, PacketConflict, TooLarge
from stamp_service.packets import Packet
from stamp_service.stores.packed import PackedAlert, PackedStore
from tests.contracts.packed import FIRST_ID, packet_of, packs_of, put_numbers, spooled
from tests.contracts.store import MAX_PACKET_BYTES, StoreContract


class TestPackedStore(StoreContract):
    @pytest.fixture
    def store(self, open_packed):
        return open_packed(limit=MAX_PACKET_BYTES)

    @pytest.fixture
    def put_too_large(self, open_packed):
        return open_packed(limit=10 * MAX_PACKET_BYTES).put


class TestFullPacks(TestPackedStore):
    """The same with every packet in a pack of its own, which is full at once."""

    @pytest.fixture
    def store(self, open_packed):
        return open_packed(limit=MAX_PACKET_BYTES, pack_bytes=1, codec="deflate")


@pytest.fixture(scope="class", params=["zstandard", "deflate"])
def filled(request, tmp_path_factory, lsst_schemas, real_alerts):
    """A store with every real alert, and whether each came back from the spool."""
    folder = tmp_path_factory.mktemp("real") / "packed"
    store = PackedStore(
        folder, schemas=lsst_schemas, max_packet_bytes=2**25, codec=request.param, pack_bytes=300_000
    )
    for start in range(0, len(real_alerts), 25):
        store.put_many(PackedAlert(*alert) for alert in real_alerts[start : start + 25])
    from_spool = [store.get(survey, alert_id) == packet for survey, alert_id, packet in real_alerts]
    assert spooled(folder)
    for survey in {survey.name: survey for survey, _, _ in real_alerts}.values():
        store.flush(survey)
    yield store, folder, from_spool
    store.close()


class TestRealAlerts:
    def test_come_back_byte_for_byte(self, filled, real_alerts, open_packed):
        store, folder, from_spool = filled
        assert len(real_alerts) > 120
        assert all(from_spool)
        assert spooled(folder) == []
        for reader in (store, open_packed(folder)):
            for survey, alert_id, packet in real_alerts:
                assert reader.get(survey, alert_id) == packet

    def test_stand_in_packs_as_records_that_any_reader_reads(self, filled, real_alerts, lsst_schemas):
        packets = {alert_id: packet for _, alert_id, packet in real_alerts}
        forms = Counter()
        for pack in packs_of(filled[1]):
            with pack.open("rb") as file:
                for block in fastavro.block_reader(file):
                    assert block.num_records == 1
                    (record,) = block
                    packet = packets.pop(record.pop("stamp_service")["alert_id"])
                    forms["packet" if "packet" in record else "record"] += 1
                    if "packet" in record:
                        assert Packet.parse(packet).codec == "snappy"
                        assert record["packet"] == packet
                    else:
                        assert repr(record) == repr(Packet.parse(packet, lsst_schemas).record())
        assert packets == {}
        assert forms["record"] > 50
        assert forms["packet"] > 50

    def test_are_read_with_the_surveys_own_schema_as_if_nothing_was_added(self, filled, real_alerts, lsst_schemas):
        packets = {alert_id: packet for _, alert_id, packet in real_alerts}
        read = 0
        for pack in packs_of(filled[1]):
            with pack.open("rb") as file:
                reader = fastavro.reader(file)
                if reader.metadata["stamp_service.form"] == "verbatim":
                    continue
                alert_id = next(reader)["stamp_service"]["alert_id"]
                own = Packet.parse(packets[alert_id], lsst_schemas)
                file.seek(0)
                # fastavro matches records by name, and takes a null field without default for a missing one.
                (first, *_) = fastavro.reader(file, own.schema)
                assert repr(first) == repr(own.record())
                read += 1
        assert read > 5


class TestLayout:
    def test_packs_are_full_at_their_size(self, open_packed, folder, surveys):
        store = open_packed(pack_bytes=20_000)
        assert put_numbers(store, surveys["ztf"], range(900)) == 900
        store.flush(surveys["ztf"])
        sizes = [pack.stat().st_size for pack in packs_of(folder)]
        assert len(sizes) > 4
        assert sum(size < 20_000 for size in sizes) <= 2  # the last of records, and the last of other packets
        assert max(sizes) < 21_000

    def test_a_pack_is_named_after_its_night_and_its_sync_marker(self, open_packed, folder, surveys):
        store = open_packed()
        put_numbers(store, surveys["ztf"], [0])
        store.flush(surveys["ztf"])
        (pack,) = packs_of(folder)
        night, _, marker = pack.stem.partition("-")
        assert pack.parent.name == night
        assert pack.read_bytes()[-16:].hex() == marker

    def test_a_pack_of_another_night_takes_no_more(self, open_packed, folder, surveys):
        store = open_packed()
        put_numbers(store, surveys["ztf"], [0])
        (open_pack,) = spooled(folder)
        open_pack.rename(open_pack.with_name("20190401" + open_pack.name[8:]))
        put_numbers(store, surveys["ztf"], [1])
        store.flush(surveys["ztf"])
        assert {pack.parent.name for pack in packs_of(folder)} > {"20190401"}
        for number in (0, 1):
            assert store.get(surveys["ztf"], str(FIRST_ID + number)) == packet_of(number)

    def test_headers_that_all_differ_do_not_make_a_pack_each(self, open_packed, folder, surveys):
        store = open_packed()
        packets = {str(number): packet_of(0).replace(b'"alert"', b'"a%04d"' % number) for number in range(40)}
        for alert_id, packet in packets.items():
            store.put(surveys["ztf"], alert_id, packet)
        assert len(spooled(folder)) <= 17
        for alert_id, packet in packets.items():
            assert store.get(surveys["ztf"], alert_id) == packet


class TestPuttingMany:
    def test_says_how_many_are_new(self, open_packed, surveys):
        store = open_packed()
        assert put_numbers(store, surveys["ztf"], range(10)) == 10
        assert put_numbers(store, surveys["ztf"], range(5, 15)) == 5
        assert put_numbers(store, surveys["ztf"], [20, 20, 21]) == 2

    def test_keeps_all_others_when_one_is_refused(self, open_packed, surveys):
        store, survey = open_packed(limit=10_000), surveys["ztf"]
        put_numbers(store, survey, [1])
        for refused, error in ((b"different", PacketConflict), (bytes(10_001), TooLarge)):
            alerts = [PackedAlert(survey, "1", b"a"), PackedAlert(survey, str(FIRST_ID + 1), refused)]
            alerts.append(PackedAlert(surveys["lsst"], "2", b"b"))
            with pytest.raises(error):
                store.put_many(alerts)
            assert store.get(survey, "1") == b"a"
            assert store.get(surveys["lsst"], "2") == b"b"
            assert store.get(survey, str(FIRST_ID + 1)) == packet_of(1)

    def test_of_nothing_is_nothing(self, open_packed):
        assert open_packed().put_many([]) == 0

    def test_names_every_alert_once(self, open_packed, surveys):
        store = open_packed(pack_bytes=5_000)
        put_numbers(store, surveys["ztf"], range(100))
        ids = list(store.alert_ids(surveys["ztf"]))
        assert sorted(ids) == [str(FIRST_ID + number) for number in range(100)]
        assert list(store.alert_ids(surveys["lsst"])) == []


def test_a_reader_makes_no_files(open_packed, folder, surveys):
    store = open_packed()
    with pytest.raises(AlertNotFound):
        store.get(surveys["ztf"], "1")
    assert not folder.exists()


def test_stores_of_different_codecs_read_each_others_packs(open_packed, surveys):
    first, second = open_packed(codec="deflate"), open_packed(codec="zstandard")
    put_numbers(first, surveys["ztf"], range(4))
    put_numbers(second, surveys["ztf"], range(4, 8))
    first.flush(surveys["ztf"])
    for store in (first, second, PackedStore(first._folder, schemas=None, max_packet_bytes=10_000)):
        for number in range(8):
            assert store.get(surveys["ztf"], str(FIRST_ID + number)) == packet_of(number)
