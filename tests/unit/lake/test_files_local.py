"""Lakes on local disk."""

import os
from pathlib import Path

import pytest

from stamp_service.errors import LakeFileNotFound, StoreUnavailable
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.local import LocalFiles
from tests.contracts.filesystem import CONTENT, PATH, FilesystemContract


class TestLocalFiles(FilesystemContract):
    @pytest.fixture
    def root(self, tmp_path):
        return tmp_path / "lake"

    @pytest.fixture
    def open_files(self, root):
        return lambda: LocalFiles(root)

    @pytest.fixture
    def delete(self, root):
        return lambda path: (root / path).unlink()

    def test_never_follows_links_out_of_the_root(self, files, root, tmp_path, put):
        put()
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret.parquet").write_bytes(CONTENT)
        (root / "file.parquet").symlink_to(outside / "secret.parquet")
        (root / "folder").symlink_to(outside)
        version = FileVersion(len(CONTENT), (outside / "secret.parquet").stat().st_mtime_ns)
        for path in ("file.parquet", "folder/secret.parquet", "../outside/secret.parquet"):
            with pytest.raises(LakeFileNotFound):
                files.version(path)
            with pytest.raises(FileChanged):
                files.read(path, version, [Range(0, 4)])
        assert [path for path, _ in files.walk()] == [PATH]
        for folder in ("folder", "../outside"):
            with pytest.raises(LakeFileNotFound):
                list(files.walk(folder))
        for path in ("folder/new.parquet", "../outside/new.parquet"):
            with pytest.raises(StoreUnavailable):
                files.put(path, outside / "secret.parquet")
        assert [path.name for path in outside.iterdir()] == ["secret.parquet"]

    def test_follows_links_within_the_root_and_to_it(self, files, root, tmp_path, put):
        version = put()
        (root / "link.parquet").symlink_to(root / PATH)
        assert files.version("link.parquet") == version
        (tmp_path / "other").symlink_to(root)
        assert LocalFiles(tmp_path / "other").read(PATH, version, [Range(0, 4)]) == [CONTENT[:4]]

    def test_a_neighbour_whose_name_begins_alike_is_outside(self, files, root, tmp_path, put):
        put()
        (tmp_path / "lake2").mkdir()
        (tmp_path / "lake2" / "a.parquet").write_bytes(b"x")
        (root / "a.parquet").symlink_to(tmp_path / "lake2" / "a.parquet")
        with pytest.raises(LakeFileNotFound):
            files.version("a.parquet")

    def test_never_waits_for_a_pipe(self, files, root, put):
        put()
        os.mkfifo(root / "pipe.parquet")
        with pytest.raises(LakeFileNotFound):
            files.version("pipe.parquet")
        assert [path for path, _ in files.walk()] == [PATH]

    def test_notices_a_file_that_is_written_to(self, files, root, put):
        version = put()
        with (root / PATH).open("r+b") as file:
            file.write(b"other")
        with pytest.raises(FileChanged):
            files.read(PATH, version, [Range(0, 4)])

    def test_a_missing_root_is_not_absence(self, tmp_path):
        files = LocalFiles(tmp_path / "unmounted")
        for call in (
            lambda: files.version(PATH),
            lambda: files.read(PATH, FileVersion(4, 0), [Range(0, 4)]),
            lambda: list(files.walk()),
            files.check,
        ):
            with pytest.raises(StoreUnavailable):
                call()

    def test_a_name_that_no_file_can_have_is_absent(self, files, put):
        put()
        with pytest.raises(LakeFileNotFound):
            files.version("a" * 300 + ".parquet")

    def test_passes_over_names_that_are_no_text(self, files, root, put):
        put()
        (root / os.fsdecode(b"\xff.parquet")).write_bytes(b"x")
        assert [path for path, _ in files.walk()] == [PATH]

    def test_its_address_is_absolute(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        assert LocalFiles(Path("lake")).url == str(tmp_path / "lake")
