"""Packed stores in a folder, as several processes would open them."""

import pytest

from stamp_service.packets import recognise
from stamp_service.stores import FolderSchemas
from stamp_service.stores.packed import PackedStore
from stamp_service.surveys import Surveys


@pytest.fixture
def folder(tmp_path):
    """Where a store keeps everything."""
    return tmp_path / "packed"


@pytest.fixture
def open_packed(folder):
    """Open stores, of one folder unless told otherwise; all are closed."""
    stores = []

    def make(where=folder, limit=32 * 2**20, schemas=None, **options):
        stores.append(PackedStore(where, schemas=schemas, max_packet_bytes=limit, **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def lsst_schemas(shared_data):
    """The schemas of real packets in wire format."""
    return FolderSchemas(shared_data / "alerts" / "lsst" / "schema")


@pytest.fixture(scope="session")
def real_alerts(shared_data, surveys, lsst_schemas):
    """Every real alert: survey, alert id and packet."""
    # The simulated ones name their fields otherwise: only their bytes matter here.
    simulated = surveys["lsst"].model_copy(update={"name": "lsst_simulated"})
    known = Surveys([*surveys.values(), simulated])
    found = []
    for file in sorted((shared_data / "alerts").rglob("*")):
        packet = file.read_bytes() if file.suffix in {".avro", ".wire"} else b""
        if packet and "elasticc" in str(file):
            found.append((known["lsst_simulated"], file.stem.rpartition("src")[2], packet))
        elif packet:
            alert = recognise(surveys, packet, lsst_schemas)
            found.append((alert.survey, alert.alert_id, packet))
    return found
