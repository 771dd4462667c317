"""Which addresses are lakes, which paths may come from outside, and how ranges are merged."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.errors import ConfigurationError, RequestError
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.hdfs import HdfsFiles
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.opening import LakeAccess, check_path, open_filesystem
from stamp_service.lake.ranges import merge_ranges, read_merged
from stamp_service.lake.s3 import S3Files
from stamp_service.lake.webhdfs import WebHdfsFiles

KIB = 1024


@pytest.mark.parametrize(
    ("url", "kind", "named"),
    [
        ("/data/lake", LocalFiles, "/data/lake"),
        ("file:///data/a%20lake", LocalFiles, "/data/a lake"),
        ("file://localhost/data", LocalFiles, "/data"),
        ("s3://bucket", S3Files, "s3://bucket"),
        ("s3://bucket/a/b/", S3Files, "s3://bucket/a/b"),
        ("hdfs://namenode:8020/lake/ztf", HdfsFiles, "hdfs://namenode:8020/lake/ztf"),
        ("hdfs://service/lake/", HdfsFiles, "hdfs://service/lake"),
        ("hdfs:///lake", HdfsFiles, "hdfs:///lake"),
        ("hdfs://service", HdfsFiles, "hdfs://service/"),
        ("webhdfs://namenode:9870/lake", WebHdfsFiles, "webhdfs://namenode:9870/lake"),
        ("swebhdfs://namenode:9871/lake", WebHdfsFiles, "swebhdfs://namenode:9871/lake"),
    ],
)
def test_an_address_tells_the_kind(url, kind, named):
    files = open_filesystem(url, LakeAccess())
    assert type(files) is kind
    assert files.url == named
    assert open_filesystem(files.url, LakeAccess()).url == named
    files.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://host/lake",
        "file://host/lake",
        "s3:///lake",
        "webhdfs:///lake",
        "hdfs://me:secret@host/lake",
        "s3://key:secret@bucket",
        "hdfs://host/a/../b",
        "://x",
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigurationError) as refused:
        open_filesystem(url, LakeAccess())
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("url", "package"), [("hdfs://h/a", "hdfs_native"), ("webhdfs://h:1/a", "fsspec")])
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, url, package):
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=r"stamp-service\[lake\]"):
        open_filesystem(url, LakeAccess())


@pytest.mark.parametrize(
    "path",
    ["a.parquet", "year=2024/month=01/part-0.snappy.parquet", "a b/ü=1/星.parquet", "..a/b..parquet", "a" * 1000],
)
def test_a_relative_path_is_taken_as_it_is(path):
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "//a", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/"),
        *("hdfs://host/a", "file:/etc/passwd", "s3://bucket/a", "C:/a", "a\\b", "..\\a", "a\0b", "a\nb", "\x7f"),
        *("\ud800", "a" * 1001, "ü" * 501),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path):
    with pytest.raises(RequestError) as refused:
        check_path(path)
    assert refused.value.parameter == "hdfsPath"


def test_ranges_that_lie_close_are_merged():
    near, far = Range(10 + 64 * KIB, 5), Range(10 + 64 * KIB + 1, 5)
    assert merge_ranges([near, Range(0, 10)]) == [Range(0, 64 * KIB + 15)]
    assert merge_ranges([far, Range(0, 10)]) == [Range(0, 10), far]
    assert merge_ranges([Range(0, 100), Range(10, 5), Range(90, 20)]) == [Range(0, 110)]
    assert merge_ranges([Range(5, 0)]) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 100_000)), max_size=8))
def test_what_is_read_merged_is_what_was_asked_for(pairs):
    content = bytes(range(251)) * 2000
    ranges = [Range(start, min(length, len(content) - start)) for start, length in pairs]
    asked = []

    def read(piece):
        asked.append(piece)
        return content[piece.start : sum(piece)]

    with ThreadPoolExecutor(4) as threads:
        pieces = read_merged(ranges, FileVersion(len(content), 0), read, threads)
    assert pieces == [content[start : start + length] for start, length in ranges]
    asked.sort()
    assert all(later.start - sum(piece) > 64 * KIB for piece, later in pairwise(asked))


@pytest.mark.parametrize("piece", [Range(-1, 5), Range(5, -1), Range(96, 5), Range(101, 0)])
def test_ranges_outside_a_file_are_not_read(piece):
    with ThreadPoolExecutor(1) as threads, pytest.raises(FileChanged):
        read_merged([piece], FileVersion(100, 0), lambda _: pytest.fail("read"), threads)
