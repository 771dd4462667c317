"""What `Filesystem` promises: every kind's tests inherit this class and provide the fixtures."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from stamp_service.errors import LakeFileNotFound, StoreUnavailable
from stamp_service.lake.files import FileChanged, FileVersion, Range

PATH = "year=2024/month=01/day=02/part-0.parquet"
# More than two of the tests' HDFS's blocks.
CONTENT = random.Random(1).randbytes(2_500_000)
OTHER = random.Random(2).randbytes(len(CONTENT))
RANGES = [
    Range(2_400_000, 100_000),
    Range(0, 4),
    Range(1_048_000, 2000),
    Range(1_048_500, 60_000),
    Range(1_049_000, 10),
    Range(77, 0),
    Range(0, 4),
]
ODD_PATHS = [
    "a folder/with spaces.parquet",
    "survey=ZTF/ngc 1275+é ü.parquet",
    "100%25/#1?x=y&z.parquet",
    "星/β.parquet",
    "a/b/c/d/e/f.parquet",
]


class FilesystemContract:
    """Fixtures: `open_files`, which opens the same, empty root each time; `delete(path)`."""

    @pytest.fixture
    def files(self, open_files):
        return open_files()

    @pytest.fixture
    def put(self, files, tmp_path):
        def put(path=PATH, content=CONTENT):
            source = tmp_path / "source"
            source.write_bytes(content)
            return files.put(path, source)

        return put

    def test_names_its_root_and_is_reachable(self, files, put):
        put()
        assert files.url
        files.check()

    def test_puts_and_reads_a_file(self, files, put):
        version = put()
        assert version.size_bytes == len(CONTENT)
        assert abs(version.modified_ns / 1e9 - time.time()) < 100
        assert files.version(PATH) == version
        assert files.read(PATH, version, [Range(0, len(CONTENT))]) == [CONTENT]

    def test_reads_many_ranges_in_their_order(self, files, put):
        version = put()
        assert files.read(PATH, version, RANGES) == [CONTENT[start : start + length] for start, length in RANGES]
        assert files.read(PATH, version, []) == []
        last = Range(len(CONTENT) - 1, 1)
        assert files.read(PATH, version, [last]) == [CONTENT[-1:]]

    @pytest.mark.parametrize("path", ODD_PATHS)
    def test_takes_paths_as_they_are(self, files, put, path):
        version = put(path, b"content")
        assert files.version(path) == version
        assert files.read(path, version, [Range(3, 4)]) == [b"tent"]
        assert dict(files.walk()) == {path: version}
        assert dict(files.walk(path.rpartition("/")[0])) == {path: version}

    @pytest.mark.parametrize(
        "path", ["none.parquet", "year=2024/none.parquet", f"{PATH}/none.parquet", "year=2024"]
    )
    def test_tells_what_is_absent(self, files, put, path):
        put()
        with pytest.raises(LakeFileNotFound):
            files.version(path)
        with pytest.raises(FileChanged):
            files.read(path, FileVersion(10, 0), [Range(0, 4)])

    def test_refuses_ranges_beyond_the_end(self, files, put):
        version = put()
        for piece in (Range(len(CONTENT) - 10, 11), Range(len(CONTENT), 1), Range(10**12, 5)):
            with pytest.raises(FileChanged):
                files.read(PATH, version, [Range(0, 4), piece])

    @pytest.mark.parametrize("content", [OTHER, CONTENT[:1000], b"", CONTENT * 2])
    def test_notices_a_file_that_was_replaced(self, files, open_files, put, content):
        old = put()
        assert files.read(PATH, old, [Range(100, 50)]) == [CONTENT[100:150]]
        time.sleep(0.02)  # longer than a tick of the file system's clock
        new = put(content=content)
        assert new != old
        with pytest.raises(FileChanged):
            open_files().read(PATH, old, [Range(100, 50)])
        with suppress(FileChanged):
            # Whoever has it open may go on reading the old one, but nothing else.
            assert files.read(PATH, old, [Range(100, 50)]) == [CONTENT[100:150]]
        assert files.version(PATH) == new
        assert files.read(PATH, new, [Range(0, len(content))]) == [content]

    def test_notices_a_file_that_was_deleted(self, files, open_files, put, delete):
        version = put()
        assert files.read(PATH, version, [Range(100, 50)]) == [CONTENT[100:150]]
        delete(PATH)
        with pytest.raises(FileChanged):
            open_files().read(PATH, version, [Range(100, 50)])
        with pytest.raises(LakeFileNotFound):
            files.version(PATH)

    def test_walks_data_files_only(self, files, put):
        shown = {"top.parquet", PATH, "year=2024/month=02/a.snappy.parquet"}
        hidden = {
            "_SUCCESS",
            "_temporary/0/a.parquet",
            "year=2024/_spark_metadata/a.parquet",
            "year=2024/.a.parquet",
            "year=2024/.hidden/a.parquet",
            "year=2024/month=01/_a.parquet",
            "year=2024/month=01/a.parquet.crc",
            "year=2024/notes.txt",
        }
        versions = {path: put(path, path.encode()) for path in shown | hidden}
        assert dict(files.walk()) == {path: versions[path] for path in shown}
        assert [path for path, _ in files.walk("year=2024")] == sorted(shown - {"top.parquet"})
        assert [path for path, _ in files.walk("year=2024/month=01")] == [PATH]

    def test_tells_that_a_folder_is_absent(self, files, put):
        put()
        for folder in ("year=1999", "year=2024/month=1", PATH):
            with pytest.raises(LakeFileNotFound):
                list(files.walk(folder))

    def test_shows_what_is_put_whole_or_not_at_all(self, files, open_files, put):
        """One thread replaces a file, another reads it: whatever it reads is of one version."""
        contents = {bytes([number]) * 300_000 for number in range(4)}
        put(content=min(contents))
        seen = set()

        def watch(watcher):
            for _ in range(8):
                version = watcher.version(PATH)
                try:
                    seen.add(b"".join(watcher.read(PATH, version, [Range(0, 1000), Range(299_000, 1000)])))
                except FileChanged:
                    continue
            return {path for path, _ in watcher.walk()}

        with ThreadPoolExecutor(2) as pool:
            watchers = [pool.submit(watch, open_files()) for _ in range(2)]
            for content in contents:
                put(content=content)
            assert {path for watcher in watchers for path in watcher.result()} == {PATH}
        assert seen <= {content[:2000] for content in contents}

    def test_leaves_nothing_behind_when_a_put_fails(self, files, put, tmp_path):
        version = put()
        with pytest.raises((StoreUnavailable, FileNotFoundError)):
            files.put(PATH, tmp_path / "no such file")
        assert dict(files.walk()) == {PATH: version}
        assert files.version(PATH) == version

    def test_serves_many_threads_at_once(self, files, put):
        version = put()
        pieces = [Range(number * 30_000, 66_000) for number in range(64)]

        def read(piece):
            return files.read(PATH, version, [piece])[0] == CONTENT[piece.start : sum(piece)]

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, pieces))

    def test_works_after_a_fork(self, files, put):
        version = put()
        expected = files.read(PATH, version, RANGES)
        child = _fork(lambda: files.read(PATH, version, RANGES) == expected and files.version(PATH) == version)
        assert files.read(PATH, version, RANGES) == expected
        assert child() == 0

    def test_can_be_closed_twice_and_used_again(self, files, put):
        version = put()
        files.close()
        files.close()
        assert files.read(PATH, version, [Range(0, 4)]) == [CONTENT[:4]]


def _fork(check):
    """Run a check in a forked process that ends as Python does; gives a function that waits for its exit code."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
