"""S3: the store's contract on `moto`, and everything that can go wrong on a server that misbehaves."""

import gzip
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from stamp_service.errors import AlertNotFound, PacketConflict, RequestError, StoreTimeout, TooLarge
from stamp_service.stores import S3Access, S3Store, fetch_each
from stamp_service.surveys import Survey, load_surveys
from tests.contracts.store import ALERT_IDS, MAX_PACKET_BYTES, PACKETS, StoreContract, assert_unavailable
from tests.integration.services.faults import drip, hang, http, s3_error

PACKET = random.Random(2).randbytes(70_000)


def open_store(url, bucket="packets", *, attempts=3, read_timeout_s=5.0, limit=MAX_PACKET_BYTES):
    access = S3Access(endpoint_url=url, connect_timeout_s=1.0, read_timeout_s=read_timeout_s)
    names = dict.fromkeys(load_surveys(), bucket)
    return S3Store(names, access, attempts=attempts, max_packet_bytes=limit)


def keys_of(s3_client, bucket):
    return [item["Key"] for item in s3_client.list_objects_v2(Bucket=bucket).get("Contents", [])]


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, s3_url, bucket):
        store = open_store(s3_url, bucket)
        yield store
        store.close()

    @pytest.fixture
    def put_too_large(self, s3_url, bucket):
        store = open_store(s3_url, bucket, limit=10 * MAX_PACKET_BYTES)
        yield store.put
        store.close()

    def test_keeps_surveys_apart(self, store, surveys):
        """One bucket for two surveys with equal key templates is the operator's wish; others differ."""
        store.put(surveys["ztf"], "4242", b"of ZTF")
        with pytest.raises(AlertNotFound):
            store.get(surveys["lsst"], "4242")


class TestKeys:
    @pytest.fixture
    def store(self, s3_url, bucket):
        store = open_store(s3_url, bucket)
        yield store
        store.close()

    def test_are_what_each_survey_says(self, store, s3_client, bucket, surveys):
        for name, survey in surveys.items():
            store.put(survey, ALERT_IDS[name], b"packet")
        assert set(keys_of(s3_client, bucket)) == {
            "010010515589821028.avro",
            "200000_c0200o79895a10.avro",
            "v2/alerts/791294/7912941781254298.avro.gz",
        }

    def test_may_need_an_object_id(self, store, s3_client, bucket, surveys):
        survey = surveys["lsst"].model_copy(update={"key": "{object_id}_{alert_id}.avro"})
        store.put(survey, "123", b"packet", "7")
        assert keys_of(s3_client, bucket) == ["7_123.avro"]
        assert store.get(survey, "123", "7") == b"packet"
        with pytest.raises(AlertNotFound):
            store.get(survey, "123", "8")
        with pytest.raises(RequestError):
            store.get(survey, "123")

    @pytest.mark.parametrize(
        "key", ["a b/{alert_id}", "ü+%2F&=?#{alert_id}.avro", "/{alert_id}", "{alert_id}/", "//{alert_id}"]
    )
    def test_are_escaped_as_s3_expects(self, store, s3_client, bucket, surveys, key):
        survey = surveys["ztf"].model_copy(update={"key": key})
        store.put(survey, "123", b"packet")
        assert keys_of(s3_client, bucket) == [key.replace("{alert_id}", "123")]
        assert store.get(survey, "123") == b"packet"

    def test_with_slashes_at_the_ends_are_other_keys(self, store, s3_client, bucket, surveys):
        s3_client.put_object(Bucket=bucket, Key="123", Body=b"another")
        survey = surveys["ztf"].model_copy(update={"key": "/{alert_id}"})
        with pytest.raises(AlertNotFound):
            store.get(survey, "123")

    def test_for_gzip_hold_gzip_that_everybody_reads(self, store, s3_client, bucket, surveys):
        store.put(surveys["lsst"], "123456789", PACKET)
        (key,) = keys_of(s3_client, bucket)
        stored = s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert gzip.decompress(stored) == PACKET
        assert subprocess.run(["gunzip"], input=stored, capture_output=True, check=True).stdout == PACKET

    def test_for_gzip_keep_what_others_put_there(self, store, s3_client, bucket, surveys):
        s3_client.put_object(Bucket=bucket, Key="v2/alerts/123456/123456789.avro.gz", Body=PACKETS["gzipped"])
        assert store.get(surveys["lsst"], "123456789") == PACKETS["gzipped"]

    def test_for_gzip_give_back_a_copy_of_what_lies_there(self, store, s3_client, bucket, surveys):
        """Somebody downloads an object that we gzipped and puts it again under another id."""
        store.put(surveys["lsst"], "123456789", b"a packet")
        (key,) = keys_of(s3_client, bucket)
        copied = s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
        store.put(surveys["lsst"], "123456780", copied)
        assert store.get(surveys["lsst"], "123456780") == copied
        assert store.get(surveys["lsst"], "123456789") == b"a packet"

    def test_for_gzip_are_limited_after_decompression(self, store, s3_url, bucket, surveys):
        large = open_store(s3_url, bucket, limit=10 * MAX_PACKET_BYTES)
        large.put(surveys["lsst"], "123456789", bytes(5 * MAX_PACKET_BYTES))
        large.close()
        with pytest.raises(TooLarge):
            store.get(surveys["lsst"], "123456789")


def all_of(store: S3Store, survey: Survey) -> Iterator[tuple[str, object]]:
    return fetch_each(store, survey, store.listed(survey))


class TestListing:
    @pytest.fixture
    def store(self, s3_url, bucket):
        store = open_store(s3_url, bucket)
        yield store
        store.close()

    def test_goes_through_all_packets_of_a_survey(self, store, s3_client, bucket, surveys):
        packets = {str(1000 + number): b"packet %d" % number for number in range(40)}
        for alert_id, packet in packets.items():
            store.put(surveys["ztf"], alert_id, packet)
        store.put(surveys["lsst"], "123456789", b"of LSST")
        s3_client.put_object(Bucket=bucket, Key="packed/ztf/index/x", Body=b"no alert")
        assert dict(all_of(store, surveys["ztf"])) == packets
        assert list(all_of(store, surveys["lsst"])) == [("123456789", b"of LSST")]

    def test_with_object_ids_in_the_keys(self, store, surveys):
        survey = surveys["lsst"].model_copy(update={"key": "{object_id}_{alert_id}.avro"})
        store.put(survey, "123", b"packet", "7")
        assert list(all_of(store, survey)) == [("123", b"packet")]

    def test_needs_the_bucket(self, s3_url, surveys):
        store = open_store(s3_url, "no-such-bucket")
        assert_unavailable(lambda: list(store.listed(surveys["ztf"])), says="does not have the bucket of")
        store.close()


class TestAbsence:
    """Only `NoSuchKey` is absence."""

    def test_no_bucket(self, s3_url, surveys):
        store = open_store(s3_url, "no-such-bucket")
        for call in (
            lambda: store.get(surveys["ztf"], "1"),
            lambda: store.put(surveys["ztf"], "1", b"packet"),
            store.check,
        ):
            assert_unavailable(call, says="does not have the bucket of")
        store.close()

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (s3_error(403, "AccessDenied"), "denied access to the bucket of ztf"),
            (s3_error(403, "InvalidAccessKeyId"), "refused the credentials"),
            (s3_error(403, "SignatureDoesNotMatch"), "refused the credentials"),
            (s3_error(400, "ExpiredToken"), "refused the credentials"),
            (s3_error(403, "InvalidObjectState"), "denied access"),
            (s3_error(404, "NoSuchBucket"), "does not have the bucket"),
            (http(404), "status 404"),
            (http(404, b"<html>nginx</html>", {"Content-Type": "text/html"}), "status 404"),
            (http(403, b"forbidden"), "denied access"),
            (s3_error(405, "MethodNotAllowed"), "status 405"),
        ],
    )
    def test_other_answers_are_not_and_are_not_repeated(self, fault_server, surveys, answer, says):
        server = fault_server(answer)
        store = open_store(server.url)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"), says=says)
        assert len(server.requests) == 2  # the fast one, and boto3's to learn why
        assert_unavailable(store.check, says=says.replace("ztf", ""))
        store.close()

    def test_no_such_key_is(self, fault_server, surveys):
        store = open_store(fault_server(s3_error(404, "NoSuchKey")).url)
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], "1")
        store.check()
        store.close()

    def test_nobody_listens(self, surveys):
        store = open_store("http://127.0.0.1:1")
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"), says="connection")
        assert_unavailable(store.check)
        store.close()

    def test_no_credentials(self, s3_url, bucket, surveys, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        store = open_store(s3_url, bucket)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"), says="no AWS credentials")
        assert_unavailable(store.check, says="no AWS credentials")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
        with pytest.raises(AlertNotFound):
            store.get(surveys["ztf"], "1")
        store.close()

    def test_broken_aws_configuration(self, s3_url, bucket, surveys, monkeypatch):
        monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
        assert_unavailable(lambda: open_store(s3_url, bucket).get(surveys["ztf"], "1"), says="configuration")


class TestFaults:
    def test_throttling_passes(self, fault_server, surveys):
        server = fault_server(s3_error(503, "SlowDown"), s3_error(503, "SlowDown"), http(200, PACKET))
        store = open_store(server.url)
        assert store.get(surveys["ztf"], "1") == PACKET
        assert len(server.requests) == 3
        store.close()

    @pytest.mark.parametrize(
        ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")]
    )
    def test_trouble_that_lasts_ends_after_the_attempts_allowed(self, fault_server, surveys, status, code):
        server = fault_server(s3_error(status, code))
        store = open_store(server.url, attempts=3)
        error = assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
        assert error.retry_after_s > 0
        assert len(server.requests) == 3
        store.close()

    @pytest.mark.parametrize("sent", [0, 1, 30_000, 69_999])
    def test_a_body_cut_short_is_read_again(self, fault_server, surveys, sent):
        cut = http(200, PACKET[:sent], announced=len(PACKET))
        store = open_store(fault_server(cut, cut, http(200, PACKET)).url)
        assert store.get(surveys["ztf"], "1") == PACKET
        store.close()

    def test_a_body_always_cut_short_is_never_handed_out(self, fault_server, surveys):
        server = fault_server(http(200, PACKET[:1000], announced=len(PACKET)))
        store = open_store(server.url)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
        assert len(server.requests) == 3
        store.close()

    @pytest.mark.parametrize("begun", [b"", http(200, PACKET[:1000], announced=len(PACKET))])
    def test_silence_is_a_timeout(self, fault_server, surveys, begun):
        server = fault_server(hang(begun))
        store = open_store(server.url, attempts=2, read_timeout_s=0.3)
        started = time.monotonic()
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"), kind=StoreTimeout)
        assert time.monotonic() - started < 5
        assert len(server.requests) == 2
        store.close()

    def test_a_short_silence_passes(self, fault_server, surveys):
        store = open_store(fault_server(hang(), http(200, PACKET)).url, read_timeout_s=0.3)
        assert store.get(surveys["ztf"], "1") == PACKET
        store.close()

    def test_a_slow_answer_is_waited_for(self, fault_server, surveys):
        store = open_store(fault_server(drip(http(200, b"packet"), 0.002)).url, read_timeout_s=0.5)
        assert store.get(surveys["ztf"], "1") == b"packet"
        store.close()

    def test_a_terabyte_is_refused_before_it_is_read(self, fault_server, surveys):
        server = fault_server(hang(http(200, b"start", announced=2**40)))
        store = open_store(server.url, read_timeout_s=20.0)
        started = time.monotonic()
        with pytest.raises(TooLarge):
            store.get(surveys["ztf"], "1")
        assert time.monotonic() - started < 5
        store.close()

    def test_nonsense_is_unavailable(self, fault_server, surveys):
        store = open_store(fault_server(b"SSH-2.0-OpenSSH_9.2\r\n").url)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
        store.close()


class TestConditionalPuts:
    MISSING = s3_error(404, "NoSuchKey")

    def methods(self, server):
        return "".join(request[0] for request in server.requests)

    def test_a_server_that_ignores_conditions_is_still_not_made_to_replace(self, fault_server, surveys):
        server = fault_server(http(200, b"another packet"), http(200))
        store = open_store(server.url)
        with pytest.raises(PacketConflict):
            store.put(surveys["ztf"], "1", b"packet")
        assert self.methods(server) == "G"
        store.close()

    def test_the_condition_is_sent(self, fault_server, surveys):
        server = fault_server(self.MISSING, self.MISSING, http(200))
        store = open_store(server.url)
        assert store.put(surveys["ztf"], "1", b"packet") is True
        assert "if-none-match: *" in server.requests[-1].lower()
        store.close()

    def test_a_server_that_refuses_conditions_is_asked_without(self, fault_server, surveys):
        server = fault_server(self.MISSING, self.MISSING, s3_error(501, "NotImplemented"), http(200))
        store = open_store(server.url)
        assert store.put(surveys["ztf"], "1", b"packet") is True
        assert self.methods(server) == "GGPP"
        assert "if-none-match" not in server.requests[-1].lower()
        store.close()

    @pytest.mark.parametrize("code", [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")])
    @pytest.mark.parametrize("attempts", [1, 3])
    def test_losing_a_race_to_the_same_packet_is_no_conflict(self, fault_server, surveys, code, attempts):
        server = fault_server(self.MISSING, self.MISSING, s3_error(*code), http(200, b"packet"))
        store = open_store(server.url, attempts=attempts)
        assert store.put(surveys["ztf"], "1", b"packet") is False
        store.close()

    def test_losing_a_race_to_another_packet_is(self, fault_server, surveys):
        lost = s3_error(412, "PreconditionFailed")
        store = open_store(fault_server(self.MISSING, self.MISSING, lost, http(200, b"another")).url)
        with pytest.raises(PacketConflict):
            store.put(surveys["ztf"], "1", b"packet")
        store.close()

    def test_a_lost_answer_to_a_put_that_worked_is_no_conflict(self, fault_server, surveys):
        server = fault_server(self.MISSING, self.MISSING, http(500), http(200, b"packet"))
        store = open_store(server.url)
        assert store.put(surveys["ztf"], "1", b"packet") is False
        store.close()

    def test_a_refused_put_is_unavailable(self, fault_server, surveys):
        server = fault_server(self.MISSING, self.MISSING, s3_error(403, "AccessDenied"))
        store = open_store(server.url)
        assert_unavailable(lambda: store.put(surveys["ztf"], "1", b"packet"), says="denied access")
        assert self.methods(server) == "GGP"
        store.close()


CREDENTIALS = """
import datetime, json, pathlib, sys
count = pathlib.Path(sys.argv[1])
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
# So soon that boto3 renews them at every use.
ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
print(json.dumps({"Version": 1, "AccessKeyId": f"key{number}", "SecretAccessKey": "secret",
                  "SessionToken": f"token{number}", "Expiration": ends.isoformat()}))
"""


def test_credentials_that_expire_are_renewed(fault_server, surveys, monkeypatch, tmp_path):
    script = tmp_path / "credentials.py"
    script.write_text(CREDENTIALS)
    process = f"{sys.executable} {script} {tmp_path / 'count'}"
    (tmp_path / "aws-config").write_text(f"[default]\nregion = eu-west-1\ncredential_process = {process}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    server = fault_server(http(200, b"packet"), s3_error(400, "ExpiredToken"), http(200, b"packet"))
    store = open_store(server.url)
    assert store.get(surveys["ztf"], "1") == b"packet"
    assert store.get(surveys["ztf"], "1") == b"packet"
    store.close()
    tokens = [
        line
        for request in server.requests
        for line in request.lower().split("\r\n")
        if line.startswith("x-amz-security-token")
    ]
    assert len(tokens) == 3
    assert len(set(tokens)) >= 2
    assert all("/eu-west-1/s3/" in request for request in server.requests)


def test_requests_carry_the_region_of_the_settings_where_aws_names_none(fault_server, surveys):
    server = fault_server(http(200, b"packet"))
    access = S3Access(endpoint_url=server.url, region="eu-south-2")
    store = S3Store({"ztf": "packets"}, access, attempts=1, max_packet_bytes=1000)
    store.get(surveys["ztf"], "1")
    assert "/eu-south-2/s3/" in server.requests[0]
    assert server.requests[0].startswith("GET /packets/1.avro HTTP/1.1")
    store.close()


FORK = """
import json, os, signal, sys
from stamp_service.stores import S3Access, S3Store
from stamp_service.surveys import load_surveys
signal.alarm(30)
ztf = load_surveys()["ztf"]
store = S3Store({"ztf": sys.argv[2]}, S3Access(endpoint_url=sys.argv[1]), attempts=2, max_packet_bytes=10**6)
before = int(sys.argv[3])
if before:
    assert len(store.get(ztf, "1")) == 6
child = os.fork()
signal.alarm(30)
for _ in range(3):
    assert len(store.get(ztf, "1")) == 6
if not child:
    os._exit(7)
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""


@pytest.mark.parametrize("used_before", [False, True])
def test_works_in_a_process_that_was_forked(s3_url, bucket, surveys, used_before):
    store = open_store(s3_url, bucket)
    store.put(surveys["ztf"], "1", b"packet")
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", FORK, s3_url, bucket, str(int(used_before))],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == 7


def test_writers_in_several_processes(s3_url, bucket, surveys):
    code = """
import sys
from stamp_service.errors import PacketConflict
from stamp_service.stores import S3Access, S3Store
from stamp_service.surveys import load_surveys
store = S3Store({"ztf": sys.argv[2]}, S3Access(endpoint_url=sys.argv[1]), attempts=3, max_packet_bytes=10**6)
try:
    print(store.put(load_surveys()["ztf"], "1", sys.argv[3].encode()))
except PacketConflict:
    print("conflict")
"""
    arguments = [sys.executable, "-c", code, s3_url, bucket]
    processes = [
        subprocess.Popen([*arguments, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b", "a")
    ]
    outcomes = Counter(process.communicate(timeout=60)[0].strip() for process in processes)
    assert outcomes["True"] == 1
    assert outcomes["conflict"] >= 1
    assert sum(outcomes.values()) == 3
