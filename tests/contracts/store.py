"""What `Store` promises: every store's tests inherit one of these classes and provide the fixtures."""

import gzip
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from stamp_service.errors import AlertNotFound, PacketConflict, StampServiceError, StoreUnavailable, TooLarge
from stamp_service.stores import Store

MAX_PACKET_BYTES = 100_000
ALERT_IDS = {"ztf": "820128985515010010", "atlas": "01a59897o0020c_000002", "lsst": "7912941781254298"}
OBJECT_IDS = {"ztf": "ZTF18acuwwpp", "atlas": "1063629090302540700", "lsst": "123"}

# Stores keep bytes and know nothing of what is in them, so anything must come back as it was.
PACKETS = {
    "text": b"a packet",
    "one byte": b"\x00",
    "wire format": b"\x00\x00\x00\x03\x84" + bytes(range(256)),
    "gzipped": gzip.compress(b"a packet", mtime=1),
    "gzipped twice": gzip.compress(gzip.compress(b"a packet", mtime=1), mtime=2),
    "gzip's first bytes": b"\x1f\x8b",
    "line ends": b"\r\n\n\r\x1a\xff\xfe",
    "largest": random.Random(1).randbytes(MAX_PACKET_BYTES),
}


class ReadableStoreContract:
    """Fetching. Fixtures: `store`, and `seed(survey, alert_id, packet)` which makes a packet be there."""

    def test_is_a_store(self, store):
        assert isinstance(store, Store)
        assert store.name

    @pytest.mark.parametrize("name", PACKETS)
    def test_returns_every_packet_byte_for_byte(self, store, seed, surveys, name):
        seed(surveys["ztf"], ALERT_IDS["ztf"], PACKETS[name])
        assert store.get(surveys["ztf"], ALERT_IDS["ztf"]) == PACKETS[name]

    @pytest.mark.parametrize("survey", ["ztf", "atlas"])
    def test_finds_alerts_of_each_survey(self, store, seed, surveys, survey):
        seed(surveys[survey], ALERT_IDS[survey], b"packet")
        assert store.get(surveys[survey], ALERT_IDS[survey], OBJECT_IDS[survey]) == b"packet"

    def test_says_absent_for_what_is_not_there(self, store, seed, surveys):
        seed(surveys["ztf"], "123456", b"packet")
        for alert_id in ("12345", "1234567", "654321"):
            with pytest.raises(AlertNotFound):
                store.get(surveys["ztf"], alert_id)

    def test_refuses_a_packet_beyond_the_limit(self, store, seed, surveys, put_too_large):
        put_too_large(surveys["ztf"], "42", bytes(MAX_PACKET_BYTES + 1))
        with pytest.raises(TooLarge):
            store.get(surveys["ztf"], "42")

    def test_serves_many_threads_at_once(self, store, seed, surveys):
        packets = {str(1000 + number): f"packet {number}".encode() * 50 for number in range(8)}
        for alert_id, packet in packets.items():
            seed(surveys["ztf"], alert_id, packet)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda alert_id: store.get(surveys["ztf"], alert_id), list(packets) * 4))
        assert found == list(packets.values()) * 4

    def test_can_be_asked_now(self, store):
        store.check()

    def test_closing_twice_is_harmless(self, store):
        store.close()
        store.close()

    def test_works_again_after_closing(self, store, seed, surveys):
        seed(surveys["ztf"], "77", b"packet")
        store.close()
        assert store.get(surveys["ztf"], "77") == b"packet"


class StoreContract(ReadableStoreContract):
    """Fetching and putting. Fixtures: `store`, `put_too_large(survey, alert_id, packet)`, past any limit."""

    @pytest.fixture
    def seed(self, store):
        return store.put

    def test_is_writable(self, store):
        assert store.writable

    @pytest.mark.parametrize("name", PACKETS)
    def test_keeps_packets_under_a_gzip_key_byte_for_byte(self, store, surveys, name):
        assert store.put(surveys["lsst"], ALERT_IDS["lsst"], PACKETS[name])
        assert store.get(surveys["lsst"], ALERT_IDS["lsst"]) == PACKETS[name]

    def test_putting_again_changes_nothing(self, store, surveys):
        for survey in surveys.values():
            assert store.put(survey, ALERT_IDS[survey.name], b"packet") is True
            assert store.put(survey, ALERT_IDS[survey.name], bytes(bytearray(b"packet"))) is False
            assert store.get(survey, ALERT_IDS[survey.name]) == b"packet"

    def test_never_replaces_a_different_packet(self, store, surveys):
        for survey in surveys.values():
            store.put(survey, ALERT_IDS[survey.name], b"packet")
            with pytest.raises(PacketConflict):
                store.put(survey, ALERT_IDS[survey.name], b"Packet")
            assert store.get(survey, ALERT_IDS[survey.name]) == b"packet"

    def test_a_gzipped_packet_differs_from_what_it_holds(self, store, surveys):
        store.put(surveys["lsst"], ALERT_IDS["lsst"], b"a packet")
        with pytest.raises(PacketConflict):
            store.put(surveys["lsst"], ALERT_IDS["lsst"], PACKETS["gzipped"])
        assert store.get(surveys["lsst"], ALERT_IDS["lsst"]) == b"a packet"

    def test_keeps_surveys_apart(self, store, surveys):
        store.put(surveys["ztf"], "4242", b"of ZTF")
        with pytest.raises(AlertNotFound):
            store.get(surveys["lsst"], "4242")
        store.put(surveys["lsst"], "4242", b"of LSST")
        assert store.get(surveys["ztf"], "4242") == b"of ZTF"

    def test_takes_no_packet_beyond_the_limit(self, store, surveys):
        with pytest.raises(TooLarge):
            store.put(surveys["ztf"], "42", bytes(MAX_PACKET_BYTES + 1))
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], "42")

    def test_of_different_packets_at_once_exactly_one_wins(self, store, surveys):
        def put(number):
            try:
                return store.put(surveys["ztf"], "99", b"packet %d" % number)
            except PacketConflict:
                return "conflict"

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(put, range(8)))
        assert sorted(map(str, outcomes)) == ["True"] + ["conflict"] * 7
        assert store.get(surveys["ztf"], "99") == b"packet %d" % outcomes.index(True)

    def test_of_equal_packets_at_once_all_succeed(self, store, surveys):
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(lambda _: store.put(surveys["ztf"], "99", b"packet"), range(8)))
        assert True in outcomes
        assert store.get(surveys["ztf"], "99") == b"packet"


def assert_unavailable(call, *, kind=StoreUnavailable, says=""):
    """Check that a call fails as *unreachable*, never as *absent*, in a sentence fit to be shown."""
    with pytest.raises(StampServiceError) as caught:
        call()
    assert type(caught.value) is kind, repr(caught.value)
    message = str(caught.value)
    assert says in message
    assert message
    assert not message.endswith(".")
    for leak in ("://", "/", "Traceback", "Error(", "0x", "127.0.0.1"):
        assert leak not in message
    return caught.value
