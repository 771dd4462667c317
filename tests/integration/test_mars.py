"""MARS: the contract of reading, the answers it really gave, and everything that it must not get away with."""

import json
import socket
import threading
import time

import pytest

from stamp_service.errors import AlertNotFound, StoreTimeout, TooLarge
from stamp_service.stores import MarsPatience, MarsStore
from tests.contracts.store import ALERT_IDS, MAX_PACKET_BYTES, ReadableStoreContract, assert_unavailable
from tests.integration.services.faults import drip, hang
from tests.integration.services.faults import http as answer

ALERT_ID, OBJECT_ID = "820128985515010010", "ZTF18acuwwpp"


def open_store(url, hosts=(), *, limit=MAX_PACKET_BYTES, **patience):
    values = {"connect_timeout_s": 1.0, "read_timeout_s": 5.0, "total_timeout_s": 10.0, "attempts": 3} | patience
    return MarsStore(url, hosts, patience=MarsPatience(**values), max_packet_bytes=limit)


def look_up(avro, candid=ALERT_ID, object_id=OBJECT_ID):
    """Compose the answer to a look-up."""
    result = {"avro": avro, "candid": int(candid), "objectId": object_id}
    return answer(200, json.dumps({"results": [result]}).encode(), {"Content-Type": "application/json"})


class TestMarsStore(ReadableStoreContract):
    @pytest.fixture
    def store(self, mars_server):
        store = open_store(mars_server.url)
        yield store
        store.close()

    @pytest.fixture
    def seed(self, mars_server):
        return lambda survey, alert_id, packet: mars_server.add(
            alert_id,
            packet,
            {ALERT_IDS["ztf"]: OBJECT_ID, ALERT_IDS["atlas"]: "1063629090302540700"}.get(alert_id),
        )

    @pytest.fixture
    def put_too_large(self, seed):
        return seed

    def test_cannot_be_written_to(self, store, surveys):
        assert not store.writable
        assert_unavailable(lambda: store.put(surveys["ztf"], "1", b"packet"))


@pytest.fixture
def store(mars_server):
    store = open_store(mars_server.url)
    yield store
    store.close()


class TestLookUps:
    def test_the_answers_it_really_gave(self, shared_data, mars_server, store, surveys):
        found = (shared_data / "mars/found.json").read_text().replace("{avro_base}", mars_server.url + "packets")
        packet = (shared_data / f"alerts/ztf/{ALERT_ID}.avro").read_bytes()
        mars_server.results[ALERT_ID] = json.loads(found)["results"]
        mars_server.packets[f"/packets/2019/04/01/{ALERT_ID}.avro"] = packet
        large = open_store(mars_server.url, limit=10**7)
        assert large.get(surveys["ztf"], ALERT_ID, OBJECT_ID) == packet
        assert json.loads((shared_data / "mars/not_found.json").read_text())["results"] == []
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], "1")
        large.close()

    def test_are_asked_as_mars_expects(self, mars_server, store, surveys):
        mars_server.add(ALERT_ID, b"packet")
        store.get(surveys["ztf"], ALERT_ID)
        assert mars_server.requests == [f"/?candid={ALERT_ID}&format=json", f"/packets/{ALERT_ID}.avro"]

    def test_keep_the_query_of_the_configured_address(self, fault_server, surveys):
        server = fault_server(answer(200, b'{"results": []}'))
        store = open_store(server.url + "/api?key=k")
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], "1")
        assert server.requests[0].startswith("GET /api?key=k&candid=1&format=json HTTP/1.1")
        store.close()

    def test_of_another_object_are_absent_and_download_nothing(self, mars_server, store, surveys):
        mars_server.add(ALERT_ID, b"packet", OBJECT_ID)
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], ALERT_ID, "ZTF18acuwwpq")
        assert len(mars_server.requests) == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda results: results.append(dict(results[0])),
            lambda results: results[0].update(candid=820128985515010011),
            lambda results: results[0].update(candid=None),
            lambda results: results[0].pop("candid"),
            lambda results: results[0].update(avro=None),
            lambda results: results[0].update(avro=["http://127.0.0.1/"]),
            lambda results: results.__setitem__(0, "text"),
        ],
        ids=["two results", "another candid", "no candid", "candid missing", "no address", "a list", "text"],
    )
    def test_with_strange_results_are_unavailable(self, mars_server, store, surveys, change):
        mars_server.add(ALERT_ID, b"packet")
        change(mars_server.results[ALERT_ID])
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says="MARS")

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>Welcome to MARS</html>",
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"results": null}',
            b'{"results": {}}',
            b'{"results": [NaN',
            b"\xff\xfe",
        ],
    )
    def test_with_other_bodies_are_unavailable_and_not_repeated(self, fault_server, surveys, body):
        server = fault_server(answer(200, body))
        store = open_store(server.url)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says="MARS")
        assert len(server.requests) == 1
        assert_unavailable(store.check)
        store.close()

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
    def test_with_other_statuses_are_unavailable_and_not_repeated(self, fault_server, surveys, status):
        server = fault_server(answer(status, b'{"results": []}'))
        store = open_store(server.url)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says=f"status {status}")
        assert len(server.requests) == 1
        store.close()

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_with_statuses_that_may_pass_are_repeated(self, fault_server, surveys, status):
        server = fault_server(answer(status, b"<html>busy</html>"), answer(200, b'{"results": []}'))
        store = open_store(server.url)
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], ALERT_ID)
        store.close()

    def test_with_trouble_that_lasts_end_after_the_attempts_allowed(self, fault_server, surveys):
        server = fault_server(answer(500))
        store = open_store(server.url, attempts=3)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says="status 500")
        assert len(server.requests) == 3
        store.close()

    def test_wait_as_long_as_they_are_told(self, fault_server, surveys):
        server = fault_server(answer(503, headers={"Retry-After": "1"}), answer(200, b'{"results": []}'))
        store = open_store(server.url)
        started = time.monotonic()
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], ALERT_ID)
        assert time.monotonic() - started >= 1.0
        store.close()

    def test_are_limited_in_size(self, fault_server, surveys):
        server = fault_server(hang(answer(200, b"{", announced=2**40)))
        store = open_store(server.url)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID))
        store.close()

    def test_nobody_listens(self, surveys):
        store = open_store("http://127.0.0.1:1/")
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says="connection")
        assert_unavailable(store.check)
        store.close()


class TestTime:
    def test_silence_is_a_timeout(self, fault_server, surveys):
        server = fault_server(hang())
        store = open_store(server.url, read_timeout_s=0.2, attempts=2)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), kind=StoreTimeout)
        assert len(server.requests) == 2
        store.close()

    @pytest.mark.parametrize(
        "dripped",
        [
            answer(200, b"x" * 5000),
            answer(200, b"x" * 5000, {"Transfer-Encoding": "chunked", "X-Fill": "y" * 5000}),
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000,
        ],
        ids=["headers", "chunked", "until the end"],
    )
    def test_a_slow_drip_is_cut_off(self, fault_server, surveys, dripped):
        """Each byte comes well within the read timeout."""
        store = open_store(fault_server(drip(dripped, 0.02)).url, total_timeout_s=0.7)
        started = time.monotonic()
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), kind=StoreTimeout)
        assert time.monotonic() - started < 2.0
        store.close()

    def test_a_slow_drip_of_a_packet_is_cut_off(self, fault_server, surveys):
        body = answer(200, b"x" * 5000)
        packets = fault_server(lambda talk: (talk.send(body[:200]), drip(body[200:], 0.02)(talk)))
        store = open_store(fault_server(look_up(packets.url + "/1.avro")).url, total_timeout_s=0.7)
        started = time.monotonic()
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), kind=StoreTimeout)
        assert time.monotonic() - started < 2.0
        store.close()

    def test_a_drip_that_ends_in_time_is_waited_for(self, fault_server, surveys):
        store = open_store(fault_server(drip(answer(200, b'{"results": []}'), 0.001)).url)
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], ALERT_ID)
        store.close()

    def test_retries_end_with_the_deadline(self, fault_server, surveys):
        server = fault_server(answer(503, headers={"Retry-After": "3600"}))
        store = open_store(server.url, total_timeout_s=0.5)
        started = time.monotonic()
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID))
        assert time.monotonic() - started < 1.0
        store.close()

    def test_no_thread_stays_behind(self, mars_server, store, surveys):
        mars_server.add(ALERT_ID, b"packet")
        for _ in range(3):
            store.get(surveys["ztf"], ALERT_ID)
        timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        assert all(timer.finished.is_set() for timer in timers)


class TestPacketAddresses:
    def get(self, fault_server, surveys, avro, hosts=(), **kwargs):
        store = open_store(fault_server(look_up(avro)).url, hosts, **kwargs)
        try:
            return store.get(surveys["ztf"], ALERT_ID)
        finally:
            store.close()

    @pytest.mark.parametrize(
        "avro",
        [
            "file:///etc/passwd",
            "ftp://127.0.0.1/1.avro",
            "http://localhost/1.avro",
            "http://127.0.0.2/1.avro",
            "http://169.254.169.254/latest/meta-data",
            "http://2130706433/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://user@127.0.0.1/",
            "https://example.org/1.avro",
            "",
            "1.avro",
        ],
    )
    def test_that_are_not_allowed_are_refused(self, fault_server, surveys, avro):
        assert_unavailable(
            lambda: self.get(fault_server, surveys, avro), says="MARS could not be asked: an address"
        )

    def test_on_its_own_host_may_have_another_port(self, fault_server, surveys):
        packets = fault_server(answer(200, b"packet"))
        assert self.get(fault_server, surveys, packets.url + "/1.avro") == b"packet"

    def test_on_its_own_host_are_refused_where_other_hosts_are_listed(self, fault_server, surveys):
        packets = fault_server(answer(200, b"packet"))
        assert_unavailable(lambda: self.get(fault_server, surveys, packets.url, ["*.amazonaws.com"]))
        assert packets.requests == []

    def test_of_private_hosts_are_asked_where_they_are_listed_by_name(self, fault_server, surveys):
        packets = fault_server(answer(200, b"packet"))
        avro = packets.url.replace("127.0.0.1", "localhost")
        assert self.get(fault_server, surveys, avro, ["localhost"]) == b"packet"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_may_redirect_to_others_that_are_allowed(self, fault_server, surveys, status):
        packets = fault_server(answer(status, headers={"Location": "/elsewhere/1.avro"}), answer(200, b"packet"))
        assert self.get(fault_server, surveys, packets.url + "/1.avro") == b"packet"
        assert packets.requests[1].startswith("GET /elsewhere/1.avro ")

    @pytest.mark.parametrize(
        "location",
        ["http://localhost:{port}/", "http://[::1]:{port}/", "file:///etc/passwd", "//localhost:{port}/"],
    )
    def test_may_not_redirect_anywhere_else(self, fault_server, surveys, location):
        target = fault_server(answer(200, b"secret"))
        packets = fault_server(answer(302, headers={"Location": location.format(port=target.port)}))
        assert_unavailable(lambda: self.get(fault_server, surveys, packets.url + "/1.avro"))
        assert target.requests == []
        assert len(packets.requests) == 1

    def test_redirect_a_few_times_only(self, fault_server, surveys):
        packets = fault_server(answer(302, headers={"Location": "/again"}))
        assert_unavailable(lambda: self.get(fault_server, surveys, packets.url), says="redirects too often")
        assert len(packets.requests) == 4

    def test_a_redirect_without_a_target_ends(self, fault_server, surveys):
        packets = fault_server(answer(302))
        assert_unavailable(lambda: self.get(fault_server, surveys, packets.url))

    def test_the_look_up_itself_may_not_be_redirected_elsewhere(self, fault_server, surveys):
        target = fault_server(answer(200, b'{"results": []}'))
        server = fault_server(answer(302, headers={"Location": target.url.replace("127.0.0.1", "localhost")}))
        store = open_store(server.url)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID))
        assert target.requests == []
        store.close()

    @pytest.mark.parametrize("status", [403, 404, 410])
    def test_that_lead_nowhere_are_not_absence(self, fault_server, surveys, status):
        packets = fault_server(answer(status))
        assert_unavailable(lambda: self.get(fault_server, surveys, packets.url), says=f"status {status}")

    def test_a_packet_cut_short_is_fetched_again(self, fault_server, surveys):
        packets = fault_server(answer(200, b"pack", announced=6), answer(200, b"packet"))
        assert self.get(fault_server, surveys, packets.url) == b"packet"

    def test_a_packet_always_cut_short_is_never_handed_out(self, fault_server, surveys):
        packets = fault_server(answer(200, b"pack", announced=6))
        assert_unavailable(lambda: self.get(fault_server, surveys, packets.url))
        assert len(packets.requests) == 3

    def test_a_huge_packet_is_refused_before_it_is_read(self, fault_server, surveys):
        packets = fault_server(hang(answer(200, b"start", announced=2**40)))
        with pytest.raises(TooLarge):
            self.get(fault_server, surveys, packets.url)

    def test_a_huge_packet_of_unknown_length_is_refused(self, fault_server, surveys):
        endless = b"HTTP/1.1 200 OK\r\n\r\n"
        packets = fault_server(lambda talk: (talk.send(endless), [talk.send(bytes(65536)) for _ in range(4000)]))
        with pytest.raises(TooLarge):
            self.get(fault_server, surveys, packets.url)

    def test_a_compressed_packet_is_not_decompressed_on_the_way(self, fault_server, surveys):
        packets = fault_server(answer(200, b"\x1f\x8b packet", {"Content-Encoding": "gzip"}))
        assert self.get(fault_server, surveys, packets.url) == b"\x1f\x8b packet"

    def test_no_cookies_and_no_passwords_are_sent(self, fault_server, surveys, monkeypatch, tmp_path):
        (tmp_path / "netrc").write_text("default login me password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        packets = fault_server(
            answer(302, headers={"Location": "/2", "Set-Cookie": "a=b; Path=/"}), answer(200, b"packet")
        )
        self.get(fault_server, surveys, packets.url)
        sent = "".join(packets.requests).lower()
        assert "cookie" not in sent
        assert "authorization" not in sent


class TestNamesThatResolveToPrivateAddresses:
    """The fake stands at the network's edge: it is what the name server answers."""

    @pytest.fixture
    def resolve(self, monkeypatch):
        """Names to the address and port that they resolve to."""
        real, answers = socket.getaddrinfo, {}

        def getaddrinfo(host, port, *args, **kwargs):
            return real(*answers.get(host, (host, port)), *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return answers

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
    def test_are_refused_before_anything_is_sent(self, fault_server, surveys, resolve, scheme, address):
        secret = fault_server(answer(200, b"secret"))
        resolve["bucket.s3.amazonaws.com"] = (address, secret.port)
        store = open_store(fault_server(look_up(f"{scheme}://bucket.s3.amazonaws.com/1.avro")).url)
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says="private network")
        store.close()
        secret.wait_for_connection()
        assert secret.received == b""

    def test_may_be_asked_where_they_are_listed(self, fault_server, surveys, resolve):
        packets = fault_server(answer(200, b"packet"))
        resolve["minio.example.org"] = ("127.0.0.1", packets.port)
        store = open_store(fault_server(look_up("http://minio.example.org/1.avro")).url, ["minio.example.org"])
        assert store.get(surveys["ztf"], ALERT_ID) == b"packet"
        store.close()

    def test_may_not_be_asked_where_only_names_above_them_are_listed(self, fault_server, surveys, resolve):
        secret = fault_server(answer(200, b"secret"))
        resolve["minio.example.org"] = ("127.0.0.1", secret.port)
        store = open_store(fault_server(look_up("http://minio.example.org/1.avro")).url, ["*.example.org"])
        assert_unavailable(lambda: store.get(surveys["ztf"], ALERT_ID), says="private network")
        store.close()


def test_connections_are_used_again(mars_server, surveys):
    mars_server.add(ALERT_ID, b"packet")
    accepted = []
    accept = mars_server.get_request
    mars_server.get_request = lambda: accepted.append(1) or accept()
    store = open_store(mars_server.url)
    for _ in range(5):
        store.get(surveys["ztf"], ALERT_ID)
    store.close()
    assert len(accepted) == 1
