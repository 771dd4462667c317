"""The store in memory keeps what every store promises."""

import pytest

from stamp_service.stores import MemoryStore
from tests.contracts.store import MAX_PACKET_BYTES, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore(MAX_PACKET_BYTES)

    @pytest.fixture
    def put_too_large(self, store):
        return lambda survey, alert_id, packet: store._packets.update({(survey.name, alert_id): packet})
