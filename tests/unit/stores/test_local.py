"""The local directory: layout, durability, races between threads and processes, faults of the disk."""

import os
import re
import stat
import threading
from collections import Counter

import pytest

from stamp_service.errors import AlertNotFound, TooLarge
from stamp_service.stores import LocalStore, fetch_each
from tests.contracts.store import MAX_PACKET_BYTES, StoreContract, assert_unavailable


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data" / "alerts"


@pytest.fixture
def store(root):
    return LocalStore(root, MAX_PACKET_BYTES)


def files_of(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, store):
        return store

    @pytest.fixture
    def put_too_large(self, root):
        return LocalStore(root, 10 * MAX_PACKET_BYTES).put


class TestLayout:
    def test_one_file_per_alert_in_a_shard_of_its_survey(self, store, root, surveys):
        store.put(surveys["atlas"], "01a59897o0020c_000002", b"packet")
        (name,) = files_of(root)
        assert re.fullmatch(r"atlas/[0-9a-f]{3}/01a59897o0020c_000002\.avro", name)
        assert (root / name).read_bytes() == b"packet"

    def test_consecutive_ids_spread_evenly_over_the_shards(self, store, surveys):
        ids = (str(820128985515010010 + number) for number in range(40_960))
        shards = Counter(store._path(surveys["ztf"], alert_id).parent.name for alert_id in ids)
        assert len(shards) > 4000
        assert max(shards.values()) < 40

    def test_whatever_a_pattern_lets_through_stays_a_file_name(self, store, root, surveys):
        for number, alert_id in enumerate(["../../x", "/etc/x", "a/b", "..", ".", "a\\b", "%2e%2e", "nul\0", "é"]):
            packet = b"packet %d" % number
            assert store.put(surveys["ztf"], alert_id, packet)
            assert store.get(surveys["ztf"], alert_id) == packet
        assert all(re.fullmatch(r"ztf/[0-9a-f]{3}/[^/]+\.avro", name) for name in files_of(root))
        assert [path.name for path in root.parent.iterdir()] == ["alerts"]
        assert "../../x" in store.alert_ids(surveys["ztf"])

    def test_leaves_nothing_else_behind(self, store, root, surveys):
        store.put(surveys["ztf"], "1", b"packet")
        store.put(surveys["ztf"], "1", b"packet")
        with pytest.raises(Exception, match="different"):
            store.put(surveys["ztf"], "1", b"other")
        assert len(files_of(root)) == 1

    def test_files_are_readable_for_those_whom_the_umask_allows(self, store, root, surveys):
        previous = os.umask(0o022)
        try:
            store.put(surveys["ztf"], "1", b"packet")
        finally:
            os.umask(previous)
        (name,) = files_of(root)
        assert (root / name).stat().st_mode & 0o777 == 0o644

    def test_survives_its_folders_being_removed(self, store, root, surveys):
        store.put(surveys["ztf"], "1", b"packet")
        (name,) = files_of(root)
        (root / name).unlink()
        (root / name).parent.rmdir()
        assert store.put(surveys["ztf"], "1", b"packet")


class TestListing:
    def test_starts_empty(self, store, surveys):
        assert store.is_empty()
        assert store.alert_ids(surveys["ztf"]) == []

    def test_names_what_is_there(self, store, surveys):
        ids = {str(number) for number in range(100, 150)}
        for alert_id in ids:
            store.put(surveys["ztf"], alert_id, b"packet")
        assert not store.is_empty()
        assert set(store.alert_ids(surveys["ztf"])) == ids
        assert len(store.alert_ids(surveys["ztf"], limit=7)) == 7
        assert store.alert_ids(surveys["lsst"]) == []

    def test_goes_through_all_packets(self, store, surveys):
        packets = {str(number): b"packet %d" % number for number in range(100, 150)}
        for alert_id, packet in packets.items():
            store.put(surveys["ztf"], alert_id, packet)
        assert dict(fetch_each(store, surveys["ztf"], store.listed(surveys["ztf"]))) == packets
        assert list(store.listed(surveys["lsst"])) == []

    def test_overlooks_unfinished_and_foreign_files(self, store, root, surveys):
        store.put(surveys["ztf"], "1", b"packet")
        (root / "ztf" / ".DS_Store").touch()
        (root / "README").touch()
        (shard,) = (path for path in (root / "ztf").iterdir() if path.is_dir())
        (shard / "0123456789abcdef.part").write_bytes(b"pack")
        assert store.alert_ids(surveys["ztf"]) == ["1"]

    def test_unfinished_files_alone_are_nothing(self, store, root):
        (root / "ztf" / "abc").mkdir(parents=True)
        (root / "ztf" / "abc" / "0123456789abcdef.part").touch()
        assert store.is_empty()


class TestFaults:
    """Mostly such as stop root too, who may be running the tests."""

    def test_a_directory_that_went_away_is_not_an_empty_one(self, store, root, surveys):
        root.rmdir()
        for call in (
            lambda: store.get(surveys["ztf"], "1"),
            lambda: store.put(surveys["ztf"], "1", b"packet"),
            store.check,
            store.is_empty,
        ):
            assert_unavailable(call, says="local store")
        assert not root.exists()

    def test_a_root_that_cannot_be_made(self, tmp_path, surveys):
        (tmp_path / "file").touch()
        store = LocalStore(tmp_path / "file" / "alerts", MAX_PACKET_BYTES)
        assert_unavailable(store.check)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))

    def test_a_root_that_comes_back_is_used(self, store, root, surveys):
        store.put(surveys["ztf"], "1", b"packet")
        root.rename(root.parent / "unmounted")
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
        (root.parent / "unmounted").rename(root)
        assert store.get(surveys["ztf"], "1") == b"packet"

    def test_a_file_where_a_folder_should_be(self, store, root, surveys):
        (root / "ztf").touch()
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
        assert_unavailable(lambda: store.put(surveys["ztf"], "1", b"packet"))

    def test_a_folder_where_a_packet_should_be(self, store, surveys):
        store._path(surveys["ztf"], "1").mkdir(parents=True)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
        assert_unavailable(lambda: store.put(surveys["ztf"], "1", b"packet"))

    def test_a_link_in_circles(self, store, surveys):
        path = store._path(surveys["ztf"], "1")
        path.parent.mkdir(parents=True)
        path.symlink_to(path.name)
        assert_unavailable(lambda: store.get(surveys["ztf"], "1"))

    def test_no_permission(self, store, root, surveys):
        store.put(surveys["ztf"], "1", b"packet")
        root.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # nobody
            assert_unavailable(lambda: store.get(surveys["ztf"], "1"))
            assert_unavailable(lambda: store.put(surveys["ztf"], "2", b"packet"))
            assert_unavailable(store.check)
        finally:
            os.seteuid(user)
            root.chmod(0o755)

    def test_a_sparse_file_of_a_terabyte_costs_nothing(self, store, surveys):
        path = store._path(surveys["ztf"], "1")
        path.parent.mkdir(parents=True)
        path.touch()
        os.truncate(path, 2**40)
        with pytest.raises(TooLarge):
            store.get(surveys["ztf"], "1")


class TestConcurrency:
    def test_a_reader_sees_all_of_a_packet_or_none(self, store, surveys):
        packet = bytes(range(256)) * 300
        seen, done = [], threading.Event()

        def read():
            while not done.is_set():
                for number in range(40):
                    try:
                        seen.append(store.get(surveys["ztf"], str(number + 1)))
                    except AlertNotFound:
                        continue

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number in range(40):
                store.put(surveys["ztf"], str(number + 1), packet)
        finally:
            done.set()
            reader.join()
        assert set(seen) <= {packet}


def test_a_packet_is_flushed_before_it_gets_its_name_and_the_folder_after(store, root, surveys, monkeypatch):
    calls = []
    fsync, link = os.fsync, os.link

    def noting_fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noting_link(*args, **kwargs):
        calls.append("link")
        link(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "link", noting_link)
    store.put(surveys["ztf"], "1", b"packet")
    # The first two: the new folders of the survey and of the shard.
    assert calls == ["folder", "folder", "file", "link", "folder"]
    calls.clear()
    # Whoever put it first may not have flushed the folder yet.
    assert LocalStore(root, 100).put(surveys["ztf"], "1", b"packet") is False
    assert calls == ["folder"]
