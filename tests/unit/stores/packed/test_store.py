"""The packed store in a local folder: its contract, its layout, and every real alert."""

import fastavro
import pytest

from stamp_service.packets import Packet, recognise
from stamp_service.stores import FolderSchemas
from stamp_service.stores.packed import PackedAlert, PackedStore
from stamp_service.surveys import Surveys
from tests.contracts.store import MAX_PACKET_BYTES, StoreContract


def open_store(folder, limit=MAX_PACKET_BYTES, schemas=None, **options):
    return PackedStore(folder, schemas=schemas, max_packet_bytes=limit, **options)


class TestPackedStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = open_store(tmp_path / "packed")
        yield store
        store.close()

    @pytest.fixture
    def put_too_large(self, tmp_path):
        store = open_store(tmp_path / "packed", 10 * MAX_PACKET_BYTES)
        yield store.put
        store.close()


def packs_of(folder):
    return sorted((folder / "packs").rglob("*.avro"))


def spooled(folder):
    return sorted((folder / "spool").rglob("*.avro"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "packed"


@pytest.fixture
def open_packed(folder):
    """Open stores of one folder, as several processes would; all are closed."""
    stores = []

    def make(**options):
        stores.append(open_store(folder, options.pop("limit", 32 * 2**20), **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def real_alerts(shared_data, surveys):
    """Every real alert: survey, alert id and packet."""
    schemas = FolderSchemas(shared_data / "alerts" / "lsst" / "schema")
    own = Surveys([*surveys.values(), surveys["lsst"].model_copy(update={"name": "lsst_old"})])
    found = []
    for file in sorted((shared_data / "alerts").rglob("*")):
        if file.suffix in {".avro", ".wire"}:
            packet = file.read_bytes()
            if "elasticc" in str(file):
                found.append((own["lsst_old"], file.stem.rpartition("src")[2], packet))
            else:
                alert = recognise(surveys, packet, schemas)
                found.append((alert.survey, alert.alert_id, packet))
    return found


class TestRealAlerts:
    @pytest.fixture(params=["zstandard", "deflate"])
    def filled(self, request, open_packed, shared_data, real_alerts):
        schemas = FolderSchemas(shared_data / "alerts" / "lsst" / "schema")
        store = open_packed(codec=request.param, pack_bytes=300_000, schemas=schemas)
        for start in range(0, len(real_alerts), 25):
            store.put_many(PackedAlert(*alert) for alert in real_alerts[start : start + 25])
        return store

    def test_come_back_byte_for_byte_from_the_spool_and_from_packs(self, filled, folder, real_alerts, open_packed):
        assert len(real_alerts) > 120
        for survey, alert_id, packet in real_alerts:
            assert filled.get(survey, alert_id) == packet
        for survey in {survey.name: survey for survey, _, _ in real_alerts}.values():
            filled.flush(survey)
        assert spooled(folder) == []
        other = open_packed()
        for store in (filled, other):
            for survey, alert_id, packet in real_alerts:
                assert store.get(survey, alert_id) == packet

    def test_stand_in_packs_as_records_that_any_reader_reads(self, filled, folder, real_alerts, shared_data):
        for survey in {survey.name: survey for survey, _, _ in real_alerts}.values():
            filled.flush(survey)
        schemas = FolderSchemas(shared_data / "alerts" / "lsst" / "schema")
        ids, verbatim = set(), 0
        for pack in packs_of(folder):
            with pack.open("rb") as file:
                reader = fastavro.block_reader(file)
                for block in reader:
                    assert block.num_records == 1
                    (record,) = block
                    alert_id = record.pop("stamp_service")["alert_id"]
                    ids.add(alert_id)
                    packet = next(packet for _, other, packet in real_alerts if other == alert_id)
                    if "packet" in record:
                        verbatim += 1
                        assert record["packet"] == packet
                    else:
                        expected = Packet.parse(packet, schemas).record()
                        assert repr(record) == repr(expected)
        assert ids == {alert_id for _, alert_id, _ in real_alerts}
        assert verbatim == sum(b"snappy" in packet[:100_000] for _, _, packet in real_alerts)
