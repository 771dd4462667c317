"""What the archive step makes of messages, and what its sinks refuse."""

import json
import time

import pytest

from stamp_service.demo import demo_alerts, demo_schemas
from stamp_service.errors import StoreUnavailable
from stamp_service.packets import MAX_PACKET_BYTES
from stamp_service.steps import ArchiveStep, Message, StoreSink
from stamp_service.steps.messages import Refusal, dead_letter
from stamp_service.stores import FolderSchemas, MemoryStore, PackedStore


def message(value: bytes | None, offset: int = 0) -> Message:
    return Message("topic", 0, offset, value, key=b"key", headers=(("topic", b"theirs"), ("night", b"3")))


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    return [alert.packet for alert in demo_alerts("ztf", objects=3)][:6]


@pytest.fixture(params=["memory", "packed"])
def store(request, tmp_path):
    store = (
        MemoryStore()
        if request.param == "memory"
        else PackedStore(tmp_path / "packed", schemas=None, max_packet_bytes=MAX_PACKET_BYTES)
    )
    yield store
    store.close()


def make_step(surveys, store, schemas=None) -> ArchiveStep:
    stores = dict.fromkeys(surveys, store)
    return ArchiveStep(surveys, stores, [StoreSink(stores)], schemas, MAX_PACKET_BYTES)


def test_messages_become_alerts_with_the_place_where_they_will_be(surveys, store, packets):
    processed = make_step(surveys, store).process([message(packet) for packet in packets])
    assert processed.refused == []
    assert [item.value.alert.packet.data for item in processed.items] == packets
    assert {item.value.entry.place for item in processed.items} == {store.name}


@pytest.mark.parametrize("value", [None, b"", b"no packet", b"Obj\x01rubbish", b"\x00\x00\x00\x00\x07body"])
def test_what_is_no_alert_is_refused_and_the_others_are_not(surveys, packets, value):
    processed = make_step(surveys, MemoryStore()).process(
        [message(packets[0]), message(value), message(packets[1])]
    )
    assert len(processed.items) == 2
    assert [refusal.message.value for refusal in processed.refused] == [value]
    assert processed.refused[0].reason


def test_a_packet_that_is_cut_short_anywhere_is_refused(surveys, packets):
    cuts = range(1, len(packets[0]), 997)
    processed = make_step(surveys, MemoryStore()).process([message(packets[0][:-cut]) for cut in cuts])
    assert processed.items == []
    assert len(processed.refused) == len(cuts)


def test_a_registry_that_is_away_refuses_nothing(surveys):
    class Away:
        def schema(self, schema_id):
            raise StoreUnavailable("the registry is away")

    packet = next(iter(demo_alerts("lsst", objects=1))).packet
    step = make_step(surveys, MemoryStore(), Away())
    with pytest.raises(StoreUnavailable, match="the registry is away"):
        step.process([message(packet)])


def test_wire_format_is_archived_as_it_came(surveys, tmp_path):
    for name, text in demo_schemas().items():
        (tmp_path / name).write_text(json.dumps(text))
    packet = next(iter(demo_alerts("lsst", objects=1))).packet
    store = MemoryStore()
    step = make_step(surveys, store, FolderSchemas(tmp_path))
    processed = step.process([message(packet)])
    assert step.sinks[0].write(processed.items) == []
    assert store.get(surveys["lsst"], processed.items[0].value.alert.alert_id) == packet
    step.close()


def test_the_store_takes_each_alert_once_and_refuses_another_packet_of_its_id(surveys, store, packets):
    step = make_step(surveys, store)
    # The sync marker, at both ends of the only block: the same alert in other bytes.
    other = packets[2].replace(packets[2][-16:], bytes(16))
    assert other != packets[2]
    stream = [*packets, packets[1], other, packets[0]]
    processed = step.process([message(packet, offset) for offset, packet in enumerate(stream)])
    assert len(processed.items) == len(stream)
    for _ in range(2):
        (refusal,) = step.sinks[0].write(processed.items)
        assert refusal.message.value == other
        assert "a different packet" in refusal.reason
    for item in processed.items[: len(packets)]:
        assert store.get(surveys["ztf"], item.value.alert.alert_id) == item.message.value
    step.close()


def test_a_store_that_is_away_is_not_asked_for_every_alert(surveys, packets):
    class Away(MemoryStore):
        asked = 0

        def put(self, survey, alert_id, packet, object_id=None):
            self.asked += 1
            time.sleep(0.02)
            raise StoreUnavailable("the store is away")

    store = Away()
    step = make_step(surveys, store)
    processed = step.process([message(packets[0], offset) for offset in range(1000)])
    with pytest.raises(StoreUnavailable, match="the store is away"):
        step.sinks[0].write(processed.items)
    assert store.asked < 500
    step.close()


def test_a_dead_letter_is_the_message_with_reason_and_origin():
    letter = dead_letter("letters", "archive", Refusal(message(b"value", 7), "it is bad"))
    assert (letter.topic, letter.key, letter.value) == ("letters", b"key", b"value")
    assert letter.headers == (
        ("night", b"3"),
        ("step", b"archive"),
        ("reason", b"it is bad"),
        ("topic", b"topic"),
        ("partition", b"0"),
        ("offset", b"7"),
    )
