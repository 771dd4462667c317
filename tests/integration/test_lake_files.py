"""Lakes on S3, HDFS and WebHDFS: the contract on real servers, and what happens when those fail."""

import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hdfs_native import Client

from stamp_service.errors import LakeFileNotFound, StoreTimeout, StoreUnavailable
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.opening import LakeAccess, open_filesystem
from stamp_service.remote.s3_clients import S3Access
from tests.contracts.filesystem import CONTENT, PATH, FilesystemContract
from tests.integration.services.faults import hang, http, s3_error

# Of what fails; what works may take longer on a busy machine.
TIMEOUT_S = 3.0
PIECE = Range(100_000, 66_000)
EXPECTED = CONTENT[100_000:166_000]


@contextmanager
def opened():
    """Give a function that opens file systems, and close them all."""
    files = []

    def open_files(url, **access):
        files.append(open_filesystem(url, LakeAccess(**access)))
        return files[-1]

    yield open_files
    for one in files:
        one.close()


def put_content(files, tmp_path):
    source = tmp_path / "content"
    source.write_bytes(CONTENT)
    return files.put(PATH, source)


class TestS3Files(FilesystemContract):
    @pytest.fixture
    def open_files(self, s3_url, bucket):
        with opened() as open_any:
            yield lambda: open_any(f"s3://{bucket}/a prefix/", s3=S3Access(endpoint_url=s3_url))

    @pytest.fixture
    def delete(self, s3_client, bucket):
        return lambda path: s3_client.delete_object(Bucket=bucket, Key=f"a prefix/{path}")

    def test_puts_a_large_file_in_parts(self, files, put):
        content = CONTENT * 8
        version = put(content=content)
        assert version.tag.endswith('-3"')
        assert files.read(PATH, version, [Range(8_000_000, 1000)]) == [content[8_000_000:8_001_000]]

    def test_reads_one_range_with_one_request(self, open_files, put, s3_url, bucket, fault_server):
        server = fault_server(_part(EXPECTED))
        with opened() as open_any:
            files = open_any(f"s3://{bucket}", s3=S3Access(endpoint_url=server.url))
            assert files.read(PATH, S3_VERSION, [PIECE]) == [EXPECTED]
        (request,) = server.requests
        assert "range: bytes=100000-165999" in request.lower()
        assert f"if-match: {S3_VERSION.tag}" in request.lower()


class TestHdfsFiles(FilesystemContract):
    @pytest.fixture
    def open_files(self, hdfs):
        root = f"{hdfs.url}/{uuid.uuid4().hex}/a lake"
        with opened() as open_any:
            yield lambda: open_any(root)

    @pytest.fixture
    def delete(self, hdfs, files):
        client = Client(hdfs.url)
        return lambda path: client.delete(f"{files.url.removeprefix(hdfs.url)}/{path}")


class TestWebHdfsFiles(FilesystemContract):
    @pytest.fixture
    def open_files(self, hdfs):
        root = f"{hdfs.web_url}/{uuid.uuid4().hex}/a lake"
        with opened() as open_any:
            yield lambda: open_any(root, hdfs_user="somebody")

    @pytest.fixture
    def delete(self, hdfs, files):
        client = Client(hdfs.url)
        return lambda path: client.delete(f"{files.url.removeprefix(hdfs.web_url)}/{path}")


@pytest.fixture(params=["hdfs", "webhdfs"])
def stored(request, hdfs, tmp_path):
    """A file system on HDFS with a file in it, and the file's version."""
    with opened() as open_any:
        url = f"{hdfs.url if request.param == 'hdfs' else hdfs.web_url}/{uuid.uuid4().hex}"
        files = open_any(url, hdfs_timeout_s=TIMEOUT_S)
        yield files, put_content(files, tmp_path)


@pytest.fixture
def stored_twice(hdfs, tmp_path):
    """The same on HDFS and on WebHDFS."""
    with opened() as open_any:
        roots = [f"{url}/{uuid.uuid4().hex}" for url in (hdfs.url, hdfs.web_url)]
        both = [open_any(root, hdfs_timeout_s=TIMEOUT_S) for root in roots]
        yield [(files, put_content(files, tmp_path)) for files in both]


def walked(files):
    return list(files.walk())


def assert_fails_in_time(call, *arguments, error=StoreUnavailable):
    started = time.monotonic()
    with pytest.raises(error) as failure:
        call(*arguments)
    assert time.monotonic() - started < TIMEOUT_S + 2
    assert "/" not in str(failure.value)


def ask_patiently(call, *arguments):
    """Ask until it works, for as long as a server may need that has just started."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return call(*arguments)
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise


class TestNameNode:
    def test_stopped_and_started_again(self, hdfs, stored_twice, tmp_path):
        with opened() as open_any:
            fresh = [open_any(files.url, hdfs_timeout_s=TIMEOUT_S) for files, _ in stored_twice]
            hdfs.stop_name_node()
            try:
                for new, (files, version) in zip(fresh, stored_twice, strict=True):
                    assert_fails_in_time(new.version, PATH)
                    assert_fails_in_time(new.read, PATH, version, [PIECE])
                    assert_fails_in_time(walked, new)
                    assert_fails_in_time(put_content, files, tmp_path)
                    assert_fails_in_time(files.check)
            finally:
                hdfs.start_name_node()
            for new, (files, version) in zip(fresh, stored_twice, strict=True):
                assert ask_patiently(new.read, PATH, version, [PIECE]) == [EXPECTED]
                assert ask_patiently(files.version, PATH) == version
                ask_patiently(files.check)

    def test_silent(self, hdfs, stored_twice):
        """It accepts connections and says nothing, and so do all DataNodes."""
        for files, version in stored_twice:
            assert files.read(PATH, version, [PIECE]) == [EXPECTED]
        hdfs.pause()
        try:
            for files, version in stored_twice:
                assert_fails_in_time(files.version, PATH, error=StoreTimeout)
                assert_fails_in_time(files.read, PATH, version, [PIECE])
        finally:
            hdfs.resume()
        for files, version in stored_twice:
            assert ask_patiently(files.read, PATH, version, [PIECE]) == [EXPECTED]
            assert ask_patiently(files.version, PATH) == version


@pytest.fixture
def whole_hdfs(hdfs):
    yield hdfs
    hdfs.revive_data_nodes()


class TestDataNodes:
    def test_one_is_killed_while_reads_go_on(self, whole_hdfs, stored):
        hurried, version = stored
        stop, wrong, counts = threading.Event(), [], [0] * 4

        def read(files, number):
            while not stop.is_set():
                start = (counts[number] * 37_000) % 2_400_000
                try:
                    if files.read(PATH, version, [Range(start, 66_000)]) != [CONTENT[start : start + 66_000]]:
                        wrong.append(start)
                except Exception as error:
                    wrong.append(error)
                counts[number] += 1

        def wait_for_reads(each):
            wanted, deadline = [count + each for count in counts], time.monotonic() + 60
            while any(count < least for count, least in zip(counts, wanted, strict=True)):
                assert time.monotonic() < deadline, "reads stand still"
                time.sleep(0.02)

        with opened() as open_any, ThreadPoolExecutor(4) as threads:
            files = open_any(hurried.url)
            for number in range(4):
                threads.submit(read, files, number)
            try:
                wait_for_reads(10)
                whole_hdfs.kill_data_node(0)
                wait_for_reads(30)
            finally:
                stop.set()
        assert wrong == []

    def test_all_are_killed(self, whole_hdfs, stored):
        files, version = stored
        for _ in range(3):
            whole_hdfs.kill_data_node(0)
        assert_fails_in_time(files.read, PATH, version, [PIECE])
        whole_hdfs.revive_data_nodes()
        assert ask_patiently(files.read, PATH, version, [PIECE]) == [EXPECTED]


FORKED = """
import os, sys
from stamp_service.lake.opening import LakeAccess, open_filesystem
files = open_filesystem(sys.argv[1], LakeAccess())
path, version = next(files.walk())
child = os.fork()
assert files.version(path) == version
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done")
"""


class TestProcesses:
    def test_that_were_forked_end_as_others_do(self, stored):
        """hdfs-native's clients wait forever when they are freed in a forked process."""
        files, _ = stored
        run = subprocess.run(
            [sys.executable, "-c", FORKED, files.url], capture_output=True, timeout=30, check=True
        )
        assert run.stdout.split() == [b"done"] * 2


class TestHdfsAddresses:
    def test_come_from_hadoops_configuration(self, hdfs, tmp_path, stored_twice):
        """A name service with two NameNodes, of which the first is not there."""
        files, version = stored_twice[0]
        settings = {
            "dfs.nameservices": "lakes",
            "dfs.ha.namenodes.lakes": "one,two",
            "dfs.namenode.rpc-address.lakes.one": "127.0.0.1:1",
            "dfs.namenode.rpc-address.lakes.two": hdfs.url.removeprefix("hdfs://"),
            "fs.defaultFS": "hdfs://lakes",
        }
        properties = "".join(
            f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items()
        )
        (tmp_path / "hdfs-site.xml").write_text(f"<configuration>{properties}</configuration>")
        path = files.url.removeprefix(hdfs.url)
        with opened() as open_any:
            for url in (f"hdfs://lakes{path}", f"hdfs://{path}"):
                by_name = open_any(url, hadoop_conf_dir=tmp_path)
                assert by_name.url == url
                assert by_name.read(PATH, version, [PIECE]) == [EXPECTED]

    @pytest.mark.parametrize(
        "url", ["hdfs://127.0.0.1:1/lake", "hdfs://no-such-host.invalid/lake", "hdfs:///lake"]
    )
    def test_that_lead_nowhere(self, url):
        with opened() as open_any:
            files = open_any(url, hdfs_timeout_s=TIMEOUT_S)
            assert_fails_in_time(files.version, PATH)
            assert_fails_in_time(files.check)

    def test_of_a_folder_that_is_not_there(self, hdfs):
        with opened() as open_any:
            for url in (hdfs.url, hdfs.web_url):
                files = open_any(f"{url}/no such folder")
                with pytest.raises(StoreUnavailable, match="does not have the lake's folder"):
                    files.check()
                with pytest.raises(LakeFileNotFound):
                    list(files.walk())


S3_VERSION = FileVersion(len(CONTENT), 0, '"tag"')


def _part(body, *, status=206, tag='"tag"', start=PIECE.start, announced=None):
    headers = {"ETag": tag, "Content-Range": f"bytes {start}-{start + PIECE.length - 1}/{len(CONTENT)}"}
    return http(status, body, headers, announced)


def _page(*keys, token=None):
    found = "".join(
        f"<Contents><Key>lake/{key}</Key><Size>7</Size><ETag>&quot;tag&quot;</ETag>"
        "<LastModified>2024-01-02T03:04:05.678Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = (
        f"<ListBucketResult><IsTruncated>{str(bool(token)).lower()}</IsTruncated>{more}{found}</ListBucketResult>"
    )
    return http(200, body.encode(), {"Content-Type": "application/xml"})


class TestS3Listing:
    def test_goes_on_page_by_page_past_failures(self, fault_server):
        slow = s3_error(503, "SlowDown")
        server = fault_server(
            slow, _page("_SUCCESS", token="one"), slow, _page("a.parquet", token="two"), _page("b.parquet")
        )
        version = FileVersion(7, 1_704_164_645_000_000_000, '"tag"')
        with opened() as open_any:
            files = open_any("s3://bucket/lake", s3=S3Access(endpoint_url=server.url))
            assert list(files.walk()) == [("a.parquet", version), ("b.parquet", version)]
        assert "continuation-token=one" in server.requests[3]
        assert "continuation-token=two" in server.requests[4]


class TestS3Faults:
    """The fast read is the first request, boto3's two follow."""

    @pytest.fixture
    def read(self, fault_server):
        with opened() as open_any:

            def read(*answers, version=S3_VERSION):
                self.server = fault_server(*answers)
                access = S3Access(endpoint_url=self.server.url, read_timeout_s=0.5)
                return open_any("s3://bucket/lake", s3=access).read(PATH, version, [PIECE])

            yield read

    @pytest.mark.parametrize(
        "fault",
        [
            s3_error(503, "SlowDown"),
            http(503),
            _part(EXPECTED[:1000], announced=PIECE.length),
            _part(EXPECTED[:-1]),
            b"",
            b"nonsense\r\n\r\n",
        ],
    )
    def test_that_pass_are_asked_again(self, read, fault):
        assert read(fault, fault, _part(EXPECTED)) == [EXPECTED]
        assert len(self.server.requests) == 3

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (s3_error(503, "SlowDown"), "fewer requests"),
            (http(500), "status 500"),
            (_part(EXPECTED[:1000], announced=PIECE.length), "short"),
            (_part(EXPECTED[:-1]), "short"),
            (_part(EXPECTED, start=0), "another range"),
        ],
    )
    def test_that_stay_make_it_unavailable(self, read, fault, says):
        with pytest.raises(StoreUnavailable, match=says):
            read(fault)
        assert len(self.server.requests) == 3

    def test_a_whole_object_instead_of_a_range_is_refused_unread(self, read):
        with pytest.raises(StoreUnavailable, match="the range"):
            read(http(200, CONTENT, {"ETag": '"tag"'}))

    def test_silence_is_a_timeout(self, read):
        with pytest.raises(StoreTimeout):
            read(hang())

    @pytest.mark.parametrize(
        "fault",
        [
            s3_error(412, "PreconditionFailed"),
            s3_error(416, "InvalidRange"),
            s3_error(404, "NoSuchKey"),
            _part(EXPECTED, tag='"other"'),
        ],
    )
    def test_another_version_is_noticed(self, read, fault):
        with pytest.raises(FileChanged):
            read(fault)

    def test_a_version_without_a_tag_is_read_all_the_same(self, read):
        assert read(_part(EXPECTED), version=FileVersion(len(CONTENT), 0)) == [EXPECTED]

    def test_a_missing_bucket_is_no_absence(self, s3_url):
        with opened() as open_any:
            files = open_any("s3://no-such-bucket/lake", s3=S3Access(endpoint_url=s3_url))
            for call in (
                lambda: files.version(PATH),
                lambda: files.read(PATH, S3_VERSION, [PIECE]),
                lambda: list(files.walk()),
                files.check,
            ):
                with pytest.raises(StoreUnavailable, match="does not have the lake's bucket"):
                    call()

    @pytest.mark.parametrize("answer", [s3_error(503, "SlowDown"), s3_error(403, "AccessDenied")])
    def test_writing_fails_as_reading_does(self, fault_server, tmp_path, answer):
        with opened() as open_any:
            server = fault_server(answer)
            files = open_any("s3://bucket", s3=S3Access(endpoint_url=server.url))
            with pytest.raises(StoreUnavailable):
                put_content(files, tmp_path)
