"""Registered lakes: every row is found, and never another row's pixels, whatever happens to the files."""

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stamp_service.errors import (
    AlertNotFound,
    CutoutAbsent,
    LakeFileNotFound,
    ObjectNotFound,
    PacketCorrupt,
    RequestError,
    StoreUnavailable,
)
from stamp_service.lake.adding import remove_lake
from stamp_service.lake.catalogue_writer import open_writer
from stamp_service.lake.segments import Entries, key_of, write_segment
from stamp_service.surveys import KINDS
from tests.unit.lake.parquet_samples import REAL, expected
from tests.unit.lake.registered import Row, cutout

# After so long a commit has been noticed, where nothing that was not found made it noticed at once.
NOTICED_S = 0.06


def is_row(found, row):
    """Say whether some cutouts are all of a row's, and whose they are said to be."""
    return (
        found.alert_id == str(row.candid)
        and found.object_id == row.object_id
        and found.cutouts == {kind: cutout(row, kind) for kind in KINDS}
    )


@pytest.mark.parametrize("name", REAL)
def test_every_row_of_the_real_files(house, shared_data, name):
    source = shared_data / "lake" / REAL[name]
    shutil.copy(source, house.root / "real.parquet")
    house.add()
    survey = house.surveys[name]
    ids = pq.read_table(source, columns=["candid", "objectId"] if name == "ztf" else ["diaSource"]).to_pylist()
    for row, truth in zip(ids, expected(source, survey), strict=True):
        alert_id = str(row["candid"] if name == "ztf" else row["diaSource"]["diaSourceId"])
        for path in (None, "real.parquet"):
            assert house.lake.read(survey.kinds, path=path, alert_id=alert_id).cutouts == truth
        alert = house.lake.alert(alert_id)
        assert alert.cutouts() == truth
        assert alert.kinds() == tuple(truth)
        assert all(alert.cutout(kind) == truth[kind] for kind in truth)
    record = alert.record()
    assert not survey.cutout_roots & record.keys()
    assert alert.summary().time_mjd == pytest.approx(60000, abs=2000)


class TestById:
    ROWS = (
        Row(1, "ZTF18aaaaaaa", 2459000.5),
        Row(2, "ZTF18aaaaaaa", 2459003.5),
        Row(3, "ZTF18aaaaaaa", 2459001.5),
        Row(4, "ZTF18bbbbbbb", 2459009.5),
        Row(5, None, 2459009.5),
    )

    @pytest.fixture
    def lake(self, house):
        house.write("a.parquet", *self.ROWS)
        house.write("b.parquet", Row(11, "ZTF18ccccccc", 5.0), Row(12, "ZTF18ccccccc", 7.0))
        house.write("c.parquet", Row(13, "ZTF18ccccccc", 9.0), Row(14, "ZTF18ddddddd", 1.0))
        house.write("d.parquet", Row(15, "ZTF18ccccccc", 8.0), Row(99, "ZTF18ddddddd", 1.0))
        house.add()
        return house.lake

    @pytest.mark.parametrize("path", [None, "a.parquet"])
    def test_the_alert_decides(self, lake, path):
        for row in self.ROWS:
            assert is_row(lake.read(KINDS, path=path, alert_id=str(row.candid)), row)
            assert is_row(lake.read(KINDS, path=path, alert_id=str(row.candid), object_id=row.object_id), row)

    def test_an_objects_latest_in_one_file(self, lake):
        for path in (None, "a.parquet"):
            assert is_row(lake.read(KINDS, path=path, object_id="ZTF18aaaaaaa"), self.ROWS[1])

    def test_an_objects_latest_of_several_files(self, lake):
        assert lake.read(["science"], object_id="ZTF18ccccccc").alert_id == "13"
        assert lake.read(["science"], path="b.parquet", object_id="ZTF18ccccccc").alert_id == "12"

    def test_of_the_same_time_the_larger_id_is_the_latest(self, lake):
        assert lake.read(["science"], object_id="ZTF18ddddddd").alert_id == "99"

    @pytest.mark.parametrize("path", [None, "a.parquet"])
    def test_an_alert_of_another_object_is_not_found(self, lake, path):
        with pytest.raises(AlertNotFound):
            lake.read(KINDS, path=path, alert_id="1", object_id="ZTF18bbbbbbb")
        with pytest.raises(AlertNotFound):
            lake.alert("1", "ZTF18bbbbbbb")

    @pytest.mark.parametrize("path", [None, "a.parquet"])
    def test_what_there_is_not(self, lake, path):
        with pytest.raises(AlertNotFound):
            lake.read(KINDS, path=path, alert_id="6")
        with pytest.raises(ObjectNotFound):
            lake.read(KINDS, path=path, object_id="ZTF18zzzzzzz")
        with pytest.raises(ObjectNotFound):
            lake.read(KINDS, path=path, object_id="")

    def test_a_row_of_another_file(self, lake):
        with pytest.raises(AlertNotFound, match=r"in b\.parquet"):
            lake.read(KINDS, path="b.parquet", alert_id="1")

    @pytest.mark.parametrize("path", ["../fink/a.parquet", "/etc/passwd", "s3://bucket/a", "a\0", ""])
    def test_paths_stay_inside(self, lake, path):
        with pytest.raises(RequestError) as caught:
            lake.read(KINDS, path=path, alert_id="1")
        assert caught.value.parameter == "hdfsPath"

    def test_some_id_is_needed(self, lake):
        with pytest.raises(RequestError):
            lake.read(KINDS, path="a.parquet")

    def test_a_file_that_there_is_not(self, lake):
        with pytest.raises(LakeFileNotFound):
            lake.read(KINDS, path="x.parquet", alert_id="1")


class TestAlerts:
    def test_answer_like_packets(self, house):
        row = Row(7, jd=2459000.75)
        house.write("a.parquet", row)
        house.add()
        alert = house.lake.alert("7")
        assert (alert.survey, alert.alert_id, alert.object_id) == (house.surveys["ztf"], "7", row.object_id)
        assert alert.record() == {
            "candid": 7,
            "objectId": row.object_id,
            "candidate": {"jd": row.jd, "ra": 1.5, "dec": -2.5, "fid": 2, "magpsf": 17.25},
        }
        summary = alert.summary()
        assert (summary.time_mjd, summary.ra_deg, summary.dec_deg) == (59000.25, 1.5, -2.5)
        assert (summary.band, summary.magnitude, summary.flux_njy) == ("r", 17.25, None)

    def test_records_are_their_callers(self, house):
        house.write("a.parquet", Row(7))
        house.add()
        alert = house.lake.alert("7")
        alert.record()["candidate"]["jd"] = 0
        assert alert.record()["candidate"]["jd"] == Row(7).jd

    def test_without_a_cutout(self, house, shared_data):
        table = pq.read_table(shared_data / "lake" / REAL["lsst"])
        place = table.schema.get_field_index("cutoutTemplate")
        nothing = pa.nulls(len(table), pa.binary())
        pq.write_table(table.set_column(place, "cutoutTemplate", nothing), house.root / "a.parquet")
        house.add()
        alert = house.lake.alert(str(table["diaSource"][0].as_py()["diaSourceId"]))
        assert alert.kinds() == ("science", "difference")
        assert alert.cutouts().keys() == {"science", "difference"}
        with pytest.raises(CutoutAbsent):
            alert.cutout("template")


class TestNotIndexed:
    def test_a_file_is_read_by_its_path(self, house):
        house.write("a.parquet", Row(1))
        house.add()
        house.write("new.parquet", Row(2))
        assert is_row(house.lake.read(KINDS, path="new.parquet", alert_id="2"), Row(2))
        with pytest.raises(AlertNotFound):
            house.lake.read(KINDS, alert_id="2")

    def test_a_file_with_a_torn_or_lost_index_is_read(self, house):
        house.write("a.parquet", Row(1))
        house.write("b.parquet", Row(2))
        house.add()
        first, second = (house.catalogue.folder / "fink" / "index").glob("*/*.idx")
        first.write_bytes(first.read_bytes()[:-1] + b"!")
        second.unlink()
        for number in (1, 2):
            assert is_row(house.lake.read(KINDS, alert_id=str(number)), Row(number))
        house.add()
        assert first.exists()
        assert second.exists()

    def test_a_torn_segment_is_unavailable_and_not_absence(self, house):
        house.write("a.parquet", Row(1))
        house.add()
        for segment in (house.catalogue.folder / "fink" / "segments").iterdir():
            os.truncate(segment, 70)
        with pytest.raises(StoreUnavailable, match="damaged"):
            house.lake.read(KINDS, alert_id="1")
        assert is_row(house.lake.read(KINDS, path="a.parquet", alert_id="1"), Row(1))


class TestChanges:
    """What was indexed is not what is there."""

    @pytest.fixture(params=["before", "between"])
    def lake(self, request, house):
        """Whether the file's index is open already when the file changes."""
        house.write("a.parquet", Row(1), Row(2), Row(3))
        house.write("other.parquet", Row(100))
        house.add()
        if request.param == "between":
            house.lake.read(KINDS, alert_id="1")
        return house.lake

    def test_replaced_with_other_rows_in_the_same_places(self, house, lake):
        house.write("a.parquet", Row(3, text="new"), Row(1, text="new"), Row(4, text="new"))
        for path in (None, "a.parquet"):
            assert is_row(lake.read(KINDS, path=path, alert_id="1"), Row(1, text="new"))
            assert is_row(lake.read(KINDS, path=path, alert_id="3"), Row(3, text="new"))
            with pytest.raises(AlertNotFound):
                lake.read(KINDS, path=path, alert_id="2")
        assert is_row(lake.read(KINDS, path="a.parquet", alert_id="4"), Row(4, text="new"))

    def test_a_row_that_only_the_new_version_has(self, house, lake):
        house.write("a.parquet", Row(4))
        assert is_row(lake.read(KINDS, path="a.parquet", alert_id="4"), Row(4))

    def test_replaced_within_the_clocks_resolution(self, house, lake):
        """Same size and time: only what is read tells."""
        house.write("b.parquet", Row(21, text="0"), Row(22, text="0"))
        house.add()
        path = house.root / "b.parquet"
        before = path.stat()
        house.write("b.parquet", Row(21, text="1"), Row(22, text="1"))
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        for number in (21, 22):
            assert is_row(lake.read(KINDS, alert_id=str(number)), Row(number, text="1"))

    def test_shrunk(self, house, lake):
        path = house.root / "a.parquet"
        path.write_bytes(path.read_bytes()[:300])
        for where in (None, "a.parquet"):
            with pytest.raises(PacketCorrupt):
                lake.read(KINDS, path=where, alert_id="1")

    def test_deleted(self, house, lake):
        (house.root / "a.parquet").unlink()
        with pytest.raises(LakeFileNotFound):
            lake.read(KINDS, path="a.parquet", alert_id="1")
        for _ in range(2):
            with pytest.raises(AlertNotFound):
                lake.read(KINDS, alert_id="1")
            with pytest.raises(ObjectNotFound):
                lake.read(KINDS, object_id="ZTF18zzzzzzz")
        house.write("a.parquet", Row(1, text="back"))
        assert is_row(lake.read(KINDS, alert_id="1"), Row(1, text="back"))

    def test_the_latest_moved_to_an_earlier_time(self, house, lake):
        """The segments say that `a` is later; it is not any more."""
        house.write("b.parquet", Row(50, "ZTF18aaaaaaa", 2458000.5))
        house.add()
        time.sleep(NOTICED_S)
        house.write("a.parquet", Row(1, "ZTF18aaaaaaa", 2457000.5))
        house.write("other.parquet", Row(100, "ZTF18aaaaaaa", 2456000.5))
        house.lake.read(["science"], path="a.parquet", alert_id="1")
        assert lake.read(KINDS, object_id="ZTF18aaaaaaa").alert_id == "50"

    def test_the_whole_lake_is_away(self, house, lake):
        house.root.rename(house.root.with_name("away"))
        for path in (None, "a.parquet"):
            with pytest.raises(StoreUnavailable):
                lake.read(KINDS, path=path, alert_id="1")
        with pytest.raises(StoreUnavailable):
            lake.check()
        assert house.lakes.check().keys() == {"fink"}
        with pytest.raises(AlertNotFound):
            lake.read(KINDS, alert_id="77")

    def test_indexed_again_while_it_is_served(self, house, lake):
        house.write("a.parquet", Row(1, text="new"))
        house.write("b.parquet", Row(8))
        house.add()
        assert is_row(lake.read(KINDS, alert_id="1"), Row(1, text="new"))
        assert is_row(lake.read(KINDS, alert_id="8"), Row(8))
        with pytest.raises(AlertNotFound):
            lake.read(KINDS, alert_id="2")


class TestCollisions:
    def collide(self, house, wrong, **ids):
        """Let the segments say that a file may have an id which it does not have."""
        lake = house.catalogue.lakes()[0]
        number = house.catalogue.file(lake.id, wrong).id
        segments = []
        for kind, text in ids.items():
            times = np.array([9e9]) if kind == "object" else None
            entries = Entries(np.array([key_of(text)], np.uint64), np.array([number], np.uint32), times)
            write_segment(house.catalogue.segment_path(lake.name, f"{kind}-x.seg"), entries)
            segments.append((kind, f"{kind}-x.seg", 1))
        with open_writer(house.catalogue) as writer:
            writer.commit(lake.id, segments=segments)

    def test_cost_another_look_and_no_wrong_answer(self, house):
        house.write("right.parquet", Row(1))
        house.write("wrong.parquet", Row(2, "ZTF18bbbbbbb"))
        house.add()
        self.collide(house, "wrong.parquet", alert="1", object="ZTF18aaaaaaa")
        assert is_row(house.lake.read(KINDS, alert_id="1"), Row(1))
        assert is_row(house.lake.read(KINDS, object_id="ZTF18aaaaaaa"), Row(1))

    def test_of_ids_that_nobody_has(self, house):
        house.write("wrong.parquet", Row(2, "ZTF18bbbbbbb"))
        house.add()
        self.collide(house, "wrong.parquet", alert="1", object="ZTF18aaaaaaa")
        with pytest.raises(AlertNotFound):
            house.lake.read(KINDS, alert_id="1")
        with pytest.raises(ObjectNotFound):
            house.lake.read(KINDS, object_id="ZTF18aaaaaaa")


class TestLakes:
    def test_come_and_go_without_a_restart(self, house):
        assert house.lakes.all() == ()
        house.write("a.parquet", Row(1))
        house.add()
        time.sleep(NOTICED_S)
        assert [lake.name for lake in house.lakes.of("ztf")] == ["fink"]
        assert house.lakes.of("lsst") == ()
        assert house.lakes.all()[0] is house.lakes.all()[0]
        remove_lake(house.catalogue, "fink")
        time.sleep(NOTICED_S)
        assert house.lakes.all() == ()

    def test_survive_the_removal_of_the_folder(self, house):
        house.write("a.parquet", Row(1))
        house.add()
        assert house.lake.alert("1")
        shutil.rmtree(house.catalogue.folder)
        time.sleep(NOTICED_S)
        assert house.lakes.all() == ()
        house.add()
        time.sleep(NOTICED_S)
        assert house.lake.alert("1")

    def test_are_read_by_forked_processes(self, house):
        house.write("a.parquet", Row(1))
        house.add()
        lake = house.lake
        assert is_row(lake.read(KINDS, alert_id="1"), Row(1))
        child = os.fork()
        if child == 0:
            fine = False
            try:
                fine = is_row(lake.read(KINDS, alert_id="1"), Row(1))
            finally:
                os._exit(0 if fine else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert is_row(lake.read(KINDS, alert_id="1"), Row(1))

    def test_many_threads_while_files_are_replaced_and_indexed(self, house):
        """Whatever is read is whole: one of the versions that were there."""
        house.write("a.parquet", *(Row(number, text="0") for number in range(1, 30)))
        house.add()
        lake, stop = house.lake, threading.Event()

        def keep_reading(seed):
            count = 0
            while not stop.is_set():
                row = Row(1 + (count + seed) % 29)
                found = lake.read(KINDS, path="a.parquet" if count % 2 else None, alert_id=str(row.candid))
                version = found.cutouts["science"].split()[2].decode()
                assert is_row(found, row._replace(text=version))
                count += 1
            return count

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(keep_reading, seed) for seed in range(4)]
            for version in range(1, 5):
                house.write("a.parquet", *(Row(number, text=str(version)) for number in range(1, 30)))
                time.sleep(0.05)
                house.add()
                time.sleep(0.05)
            stop.set()
            assert all(reader.result() > 5 for reader in readers)


def test_few_indexes_are_kept_open(house):
    for number in range(80):
        house.write(f"{number}.parquet", Row(number + 1))
    house.add(survey="ztf")
    shutil.rmtree(house.catalogue.folder / "fink" / "index")
    for number in range(80):
        assert is_row(house.lake.read(KINDS, alert_id=str(number + 1)), Row(number + 1))
    opened = house.lake._indexes()
    assert 10 < len(opened._entries) <= 64
    assert opened._cost == sum(entry.cost for entry in opened._entries.values())
