"""The packed store on S3, its contract on `moto` and its faults; and writers that die."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from botocore.exceptions import EndpointConnectionError

from stamp_service.stores import S3Access
from stamp_service.stores.packed import PackedBuckets, PackedStore
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.pieces import key_of, write_entry
from stamp_service.surveys import load_surveys
from tests.contracts.packed import FIRST_ID, found_in, packs_of, put_numbers, spooled, stored_once
from tests.contracts.store import MAX_PACKET_BYTES, StoreContract, assert_unavailable
from tests.integration.services.faults import hang, http, s3_error

NO_S3 = "http://127.0.0.1:9"


@pytest.fixture
def ztf(surveys):
    return surveys["ztf"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "packed"


@pytest.fixture
def open_packed(folder, s3_url, bucket):
    """Open stores on S3, or without; several folders are several machines."""
    stores = []

    def make(where=folder, url=s3_url, limit=MAX_PACKET_BYTES, *, remote=True, **options):
        access = S3Access(endpoint_url=url, connect_timeout_s=1.0, read_timeout_s=1.0)
        buckets = PackedBuckets(buckets=dict.fromkeys(load_surveys(), bucket), access=access, attempts=2)
        stores.append(
            PackedStore(where, schemas=None, max_packet_bytes=limit, remote=buckets if remote else None, **options)
        )
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def keys_of(s3_client, bucket, part):
    listed = s3_client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return [item["Key"] for item in listed if part in item["Key"]]


def refuse(**_kwargs):
    raise EndpointConnectionError(endpoint_url="s3")


@contextmanager
def counting(url):
    """Stand between a store and S3; gives an address, and a list of what was read: where, and how many bytes."""
    asked = []

    class Between(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = requests.request(self.command, url + self.path, data=body, headers=headers, timeout=10)
            parts = [part for part in ("/packs/", "/index/") if part in self.path and "list-type" not in self.path]
            asked.extend((f"{self.command} {part}", len(answer.content)) for part in parts)
            self.send_response(answer.status_code)
            for name in ("Content-Type", "ETag", "Last-Modified", "Content-Range", "Accept-Ranges"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_HEAD = do_DELETE = _pass_on  # noqa: N815 - http.server's names

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestPackedStoreOnS3(StoreContract):
    @pytest.fixture
    def store(self, open_packed):
        return open_packed()

    @pytest.fixture
    def put_too_large(self, open_packed):
        return open_packed(limit=10 * MAX_PACKET_BYTES).put


class TestOnS3:
    def test_packs_are_whole_objects_and_their_index_lies_beside_them(
        self, open_packed, s3_client, bucket, folder, ztf
    ):
        store = open_packed(pack_bytes=2_000)
        put_numbers(store, ztf, range(40))
        store.flush(ztf)
        packs, pieces = keys_of(s3_client, bucket, "/packs/"), keys_of(s3_client, bucket, "/index/")
        assert len(packs) == len(pieces) > 3
        assert all(key.startswith("packed/ztf/packs/") and key.endswith(".avro") for key in packs)
        assert all(str(FIRST_ID)[:10] in key for key in pieces)
        assert spooled(folder) == []
        assert found_in(store, ztf, range(41)) == list(range(40))

    def test_another_machine_finds_them_without_any_local_index(self, open_packed, ztf, tmp_path):
        store, other = open_packed(pack_bytes=2_000), open_packed(tmp_path / "other")
        put_numbers(store, ztf, range(40))
        store.flush(ztf)
        assert found_in(other, ztf, range(41)) == list(range(40))
        assert not (tmp_path / "other").exists()

    def test_pieces_of_many_packs_become_one(self, open_packed, s3_client, bucket, ztf, tmp_path):
        store = open_packed(pack_bytes=1)
        put_numbers(store, ztf, range(70))
        store.flush(ztf)
        assert len(keys_of(s3_client, bucket, "/packs/")) == 70
        pieces = keys_of(s3_client, bucket, "/index/")
        assert len(pieces) == 7
        assert found_in(open_packed(tmp_path / "other"), ztf, range(71)) == list(range(70))
        assert found_in(store, ztf, range(71)) == list(range(70))

    def test_pieces_of_a_past_night_become_one(self, open_packed, s3_client, bucket, folder, ztf, tmp_path):
        store = open_packed()
        put_numbers(store, ztf, range(30))
        for file in spooled(folder):
            file.rename(file.with_name("20190401" + file.name[8:]))
        store.flush(ztf)
        assert len(keys_of(s3_client, bucket, "/index/20190401/")) > 1
        other = open_packed(tmp_path / "other")
        assert found_in(other, ztf, [0]) == [0]
        put_numbers(store, ztf, range(30, 33))
        store.flush(ztf)
        assert len(keys_of(s3_client, bucket, "/index/20190401/")) == 1
        # It still has the list of pieces that are gone.
        assert found_in(other, ztf, range(30)) == list(range(30))
        assert found_in(open_packed(tmp_path / "third"), ztf, range(34)) == list(range(33))

    def test_a_machine_that_lost_its_disk_goes_on(self, open_packed, folder, ztf):
        store = open_packed(pack_bytes=2_000)
        put_numbers(store, ztf, range(20))
        store.flush(ztf)
        store.close()
        shutil.rmtree(folder)
        store = open_packed(pack_bytes=2_000)
        assert found_in(store, ztf, range(21)) == list(range(20))
        assert put_numbers(store, ztf, range(25)) == 5
        assert store.reindex(ztf) > 0
        assert sorted(store.alert_ids(ztf)) == [str(FIRST_ID + number) for number in range(25)]

    def test_a_torn_local_index_is_done_without(self, open_packed, folder, ztf):
        store = open_packed(pack_bytes=2_000)
        put_numbers(store, ztf, range(20))
        store.flush(ztf)
        (index,) = (folder / "index" / "ztf").glob("*.sqlite")
        index.write_bytes(index.read_bytes()[:9000])
        assert found_in(store, ztf, range(21)) == list(range(20))

    def test_a_lost_index_is_made_anew_from_the_packs(self, open_packed, folder, s3_client, bucket, ztf, tmp_path):
        store = open_packed(pack_bytes=2_000)
        put_numbers(store, ztf, range(20))
        store.flush(ztf)
        store.close()
        shutil.rmtree(folder)
        for key in keys_of(s3_client, bucket, "/index/"):
            s3_client.delete_object(Bucket=bucket, Key=key)
        assert_unavailable(lambda: open_packed().get(ztf, str(FIRST_ID)), says="is lost")
        assert open_packed().reindex(ztf) == len(keys_of(s3_client, bucket, "/packs/"))
        assert len(keys_of(s3_client, bucket, "/index/")) == 1
        assert found_in(open_packed(tmp_path / "other"), ztf, range(21)) == list(range(20))

    @pytest.mark.parametrize("first_steps", ["indexed", "published", "uploaded"])
    def test_interrupted_sealing_is_done_again(self, open_packed, folder, s3_client, bucket, ztf, first_steps):
        store = open_packed()
        put_numbers(store, ztf, [0, 1, 3])
        (pack,) = spooled(folder)
        data = pack.read_bytes()
        store.flush(ztf)
        store.close()
        pack.with_name(pack.name.replace(".open.", ".full.")).write_bytes(data)
        undone = {"indexed": ("/index/", "/packs/"), "published": ("/packs/",), "uploaded": ()}
        for part in undone[first_steps]:
            for key in keys_of(s3_client, bucket, part):
                s3_client.delete_object(Bucket=bucket, Key=key)
        store = open_packed()
        assert put_numbers(store, ztf, [0, 1, 3, 4]) == 1
        store.flush(ztf)
        assert len(keys_of(s3_client, bucket, "/packs/")) == 2
        assert len(keys_of(s3_client, bucket, "/index/")) == 2
        assert found_in(store, ztf, range(5)) == [0, 1, 3, 4]

    def test_one_lookup_is_one_range_read_or_two(self, open_packed, ztf, s3_url, tmp_path):
        with counting(s3_url) as (url, asked):
            writer, other = open_packed(url=url), open_packed(tmp_path / "other", url=url)
            put_numbers(writer, ztf, [number for number in range(60) if number % 3 != 2])
            writer.flush(ztf)
            assert found_in(writer, ztf, [0]) == [0]  # with the header of its pack, once per kind
            asked.clear()
            assert found_in(writer, ztf, [1, 3, 57]) == [1, 3, 57]
            assert [what for what, _ in asked] == ["GET /packs/"] * 3
            assert all(0 < size < 1000 for _, size in asked)

            assert found_in(other, ztf, [0]) == [0]  # with the list of pieces as well
            asked.clear()
            assert found_in(other, ztf, [1, 3, 57]) == [1, 3, 57]
            assert [what for what, _ in asked] == ["GET /packs/"] * 3  # a small piece is kept

    def test_a_large_index_is_not_read_whole(self, open_packed, ztf, s3_url, s3_client, bucket, tmp_path):
        """A night of 200,000 alerts, of which only one has a pack."""
        writer = open_packed()
        put_numbers(writer, ztf, [0])
        writer.flush(ztf)
        (key,) = keys_of(s3_client, bucket, "/index/")
        (pack,) = (PackName.read(name.split("/")[-1][:-5]) for name in keys_of(s3_client, bucket, "/packs/"))
        found = writer._process().archive("ztf")._holdings.index.find(str(FIRST_ID))
        entries = [write_entry(key_of(str(number)), pack.marker, 1, 1) for number in range(200_000)]
        entries.append(write_entry(key_of(str(FIRST_ID)), pack.marker, found.offset, found.length))
        s3_client.put_object(Bucket=bucket, Key=key, Body=b"".join(sorted(entries)))
        with counting(s3_url) as (url, asked):
            other = open_packed(tmp_path / "other", url=url)
            assert found_in(other, ztf, [0]) == [0]
            asked.clear()
            assert found_in(other, ztf, [0]) == [0]
            (index, index_size), (packs, _) = asked
            assert (index, packs) == ("GET /index/", "GET /packs/")
            assert 0 < index_size < 100_000


class TestS3Away:
    def test_nothing_is_acknowledged_that_might_be_a_conflict(self, open_packed, ztf):
        store = open_packed(pack_bytes=2_000)
        put_numbers(store, ztf, range(20))
        store.flush(ztf)
        store.close()
        down = open_packed(url=NO_S3, pack_bytes=2_000)
        # Whether another machine packed it cannot be known.
        assert_unavailable(lambda: put_numbers(down, ztf, [30]))
        assert_unavailable(lambda: down.get(ztf, str(FIRST_ID + 30)))
        assert_unavailable(lambda: down.get(ztf, str(FIRST_ID)))
        assert_unavailable(down.check)

    def test_uploads_that_fail_are_made_again(self, open_packed, folder, ztf):
        store = open_packed(pack_bytes=2_000)
        put_numbers(store, ztf, [0])
        events = store._clients().boto.meta.events
        events.register("before-call.s3.PutObject", refuse)
        assert put_numbers(store, ztf, range(1, 30)) == 29
        assert_unavailable(lambda: store.flush(ztf))
        assert found_in(store, ztf, range(30)) == list(range(30))
        events.unregister("before-call.s3.PutObject", refuse)
        store.flush(ztf)
        assert spooled(folder) == []
        assert found_in(store, ztf, range(30)) == list(range(30))

    @pytest.mark.parametrize(
        "answer", [s3_error(503, "SlowDown"), s3_error(403, "AccessDenied"), http(500), hang()]
    )
    def test_is_not_absence(self, open_packed, fault_server, ztf, answer):
        store = open_packed(url=fault_server(answer).url)
        with pytest.raises(Exception, match="S3") as caught:
            store.get(ztf, "1")
        assert_unavailable(lambda: store.get(ztf, "1"), kind=type(caught.value))


# Forks a writer for each line that it reads. A writer puts packets from where the last one stopped, five at a
# time, and says how far it came after each portion that was acknowledged.
WRITER = """
import os, sys
from pathlib import Path
from stamp_service.stores.packed import PackedStore
from stamp_service.surveys import load_surveys
from tests.contracts.packed import put_numbers
folder, survey = Path(sys.argv[1]), load_surveys()["ztf"]
print("ready", flush=True)
for line in sys.stdin:
    start, stop, size = map(int, line.split())
    child = os.fork()
    if child == 0:
        store = PackedStore(folder, schemas=None, max_packet_bytes=100_000, pack_bytes=10_000)
        print("pid", os.getpid(), flush=True)
        for number in range(start, stop, 5):
            put_numbers(store, survey, range(number, min(stop, number + 5)), size)
            print("kept", min(stop, number + 5), flush=True)
        store.close()
        os._exit(0)
    os.waitpid(child, 0)
    print("over", flush=True)
"""


@contextmanager
def running_writers(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=20)


def write(process, start, stop, size=300):
    """Start a writer; gives its process id."""
    process.stdin.write(f"{start} {stop} {size}\n")
    process.stdin.flush()
    word, pid = process.stdout.readline().split()
    assert word == "pid"
    return int(pid)


def outcome(process, start):
    """Read how far a writer came."""
    kept = start
    while (line := process.stdout.readline()) != "over\n":
        kept = int(line.split()[1])
    return kept


class TestKilledWriters:
    def test_lose_nothing_that_was_acknowledged_and_double_nothing(self, open_packed, folder, ztf):
        dice, kept, reader = random.Random(5), 0, open_packed(remote=False)
        with running_writers(folder) as process:
            for _ in range(25):
                pid = write(process, kept, kept + 10_000)
                time.sleep(dice.uniform(0, 0.12))
                os.kill(pid, signal.SIGKILL)
                kept = outcome(process, kept)
                assert found_in(reader, ztf, range(max(0, kept - 20), kept)) == list(
                    range(max(0, kept - 20), kept)
                )
            write(process, 0, kept + 5)
            assert outcome(process, 0) == kept + 5
        assert kept > 50
        for store in (reader, open_packed(remote=False)):
            assert found_in(store, ztf, range(kept + 5)) == list(range(kept + 5))
        assert len(packs_of(folder)) > 1
        assert stored_once(folder) >= {str(FIRST_ID + number) for number in range(kept + 5)}

    def test_of_two_at_once_each_packet_is_stored_once(self, open_packed, folder, ztf):
        with running_writers(folder) as one, running_writers(folder) as other:
            for process in (one, other):
                write(process, 0, 200)
            assert [outcome(process, 0) for process in (one, other)] == [200, 200]
        assert found_in(open_packed(remote=False), ztf, range(201)) == list(range(200))
        assert len(stored_once(folder)) == 200


FILLS_ITS_DISK = """
import resource, sys
from pathlib import Path
from stamp_service.errors import StoreUnavailable
from stamp_service.stores.packed import PackedStore
from stamp_service.surveys import load_surveys
from tests.contracts.packed import put_numbers
# No file may grow beyond this, which looks to a program like a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
store = PackedStore(Path(sys.argv[1]), schemas=None, max_packet_bytes=100_000)
survey, kept = load_surveys()["ztf"], 0
try:
    for number in range(0, 10_000, 2):
        put_numbers(store, survey, range(number, number + 2))
        kept = number + 2
except StoreUnavailable as error:
    print(kept, error)
try:
    put_numbers(store, survey, range(kept, kept + 2))
except StoreUnavailable:
    print("still full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put_numbers(store, survey, range(kept, kept + 2))
print("goes on")
"""


class TestFullDisk:
    def test_full_says_so_and_keeps_what_was_acknowledged(self, open_packed, folder, ztf):
        command = [sys.executable, "-c", FILLS_ITS_DISK, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        first, *others = done.stdout.splitlines()
        kept, _, message = first.partition(" ")
        assert message == "the spool could not be written to"
        assert others == ["still full", "goes on"]
        assert int(kept) > 20
        assert found_in(open_packed(remote=False), ztf, range(int(kept) + 2)) == list(range(int(kept) + 2))
        stored_once(folder)
