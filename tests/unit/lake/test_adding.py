"""Adding lakes: what is new is indexed, what is gone forgotten, and no interruption costs more than some files."""

import os
import shutil

import pytest

from stamp_service.errors import ConfigurationError, NotFound, StoreUnavailable
from stamp_service.lake.adding import add_lake, remove_lake
from stamp_service.lake.catalogue_writer import open_writer
from stamp_service.lake.opening import LakeAccess
from tests.unit.lake.parquet_samples import REAL
from tests.unit.lake.registered import Row, Watcher


def files_of(house):
    """Name all index files that are on the disk, and those that the catalogue names."""
    (lake,) = house.catalogue.lakes()
    folder = house.catalogue.folder / lake.name
    there = {path.name for path in folder.rglob("*") if path.is_file()}
    named = {f"{row.digest}.idx" for row in house.catalogue.files(lake.id)}
    return there, named | {row.name for row in house.catalogue.segments(lake.id)}


def paths(house):
    (lake,) = house.catalogue.lakes()
    return {row.path for row in house.catalogue.files(lake.id)}


def test_every_file_of_the_tree_is_indexed(house):
    house.write("year=2024/a.parquet", Row(1), Row(2))
    house.write("year=2025/month=01/b.parquet", Row(3))
    house.write("_temporary/c.parquet", Row(4))
    added = house.add()
    assert (added.indexed, added.known, added.gone, added.refused) == (2, 0, 0, 0)
    assert added.lake.name == "fink"
    assert added.lake.survey == "ztf"
    assert paths(house) == {"year=2024/a.parquet", "year=2025/month=01/b.parquet"}
    totals = house.catalogue.totals(added.lake.id)
    assert (totals.files, totals.alerts) == (2, 3)
    assert sum(totals.tiers.values()) == 2
    assert house.watcher.plans == [(2, totals.size_bytes)]
    assert sorted(house.watcher.files) == sorted(paths(house))


def test_what_is_indexed_is_skipped(house):
    house.write("a.parquet", Row(1))
    house.add()
    house.write("b.parquet", Row(2))
    added = house.add()
    assert (added.indexed, added.known) == (1, 1)
    assert house.watcher.files == ["b.parquet"]


def test_what_was_replaced_is_indexed_anew_and_what_is_gone_forgotten(house):
    for number in range(4):
        house.write(f"{number}.parquet", Row(number + 1))
    house.add()
    house.write("0.parquet", Row(10))
    (house.root / "1.parquet").unlink()
    added = house.add()
    assert (added.indexed, added.known, added.gone) == (1, 2, 1)
    assert paths(house) == {"0.parquet", "2.parquet", "3.parquet"}
    there, named = files_of(house)
    assert there == named


def test_corrupt_files_are_reported_and_stop_nothing(house):
    house.write("a.parquet", Row(1))
    house.write("z.parquet", Row(2))
    whole = (house.root / "a.parquet").read_bytes()
    (house.root / "cut.parquet").write_bytes(whole[:-20])
    (house.root / "text.parquet").write_text("no Parquet at all")
    (house.root / "empty.parquet").write_bytes(b"")
    added = house.add()
    assert (added.indexed, added.refused) == (2, 3)
    assert house.watcher.refused.keys() == {"cut.parquet", "text.parquet", "empty.parquet"}
    assert all("/" not in reason for reason in house.watcher.refused.values())


def test_a_file_that_became_corrupt_is_known_no_more(house):
    house.write("a.parquet", Row(1))
    house.write("b.parquet", Row(2))
    house.add()
    (house.root / "a.parquet").write_bytes(b"PAR1 and no more")
    assert house.add().refused == 1
    assert paths(house) == {"b.parquet"}


@pytest.mark.parametrize("name", REAL)
def test_surveys_are_recognised(house, shared_data, name):
    shutil.copy(shared_data / "lake" / REAL[name], house.root / "real.parquet")
    assert house.add().lake.survey == name


def test_a_lake_of_no_survey_is_refused_unless_it_is_named(house):
    (house.root / "x.parquet").write_text("?")
    with pytest.raises(ConfigurationError, match="--survey"):
        house.add()
    assert house.catalogue.lakes() == ()
    assert house.add(survey="lsst").lake.survey == "lsst"


def test_an_empty_lake_can_be_registered_when_its_survey_is_named(house):
    with pytest.raises(ConfigurationError, match="no Parquet files"):
        house.add()
    house.add(survey="ztf")
    house.write("a.parquet", Row(1))
    assert house.add().indexed == 1


class TestNames:
    def test_may_be_chosen(self, house):
        house.write("a.parquet", Row(1))
        assert house.add(name="dr1").lake.name == "dr1"
        assert house.add().lake.name == "dr1"

    @pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "x" * 65, "a b"])
    def test_are_plain(self, house, name):
        house.write("a.parquet", Row(1))
        with pytest.raises(ConfigurationError, match="name"):
            house.add(name=name)

    def test_of_a_lake_stay(self, house):
        house.write("a.parquet", Row(1))
        house.add()
        with pytest.raises(ConfigurationError, match="registered as fink"):
            house.add(name="other")
        with pytest.raises(ConfigurationError, match="ztf"):
            house.add(survey="lsst")

    def test_are_each_one_lakes(self, house, tmp_path):
        house.write("a.parquet", Row(1))
        house.add()
        other = tmp_path / "elsewhere" / "Fink"
        shutil.copytree(house.root, other)
        with pytest.raises(ConfigurationError, match="--name"):
            add_lake(
                house.catalogue,
                house.surveys,
                LakeAccess(),
                str(tmp_path / "elsewhere" / "Fink"),
                progress=Watcher(),
            )


def test_a_missing_folder_is_unavailable_and_forgets_nothing(house):
    house.write("a.parquet", Row(1))
    house.add()
    house.root.rename(house.root.with_name("away"))
    with pytest.raises(StoreUnavailable):
        house.add()
    assert paths(house) == {"a.parquet"}


def test_one_process_at_a_time(house):
    house.write("a.parquet", Row(1))
    with open_writer(house.catalogue), pytest.raises(ConfigurationError, match="Another process"):
        house.add()
    assert house.add().indexed == 1


def test_removing_leaves_the_lake(house):
    house.write("a.parquet", Row(1))
    house.add()
    remove_lake(house.catalogue, "fink")
    assert house.catalogue.lakes() == ()
    assert not (house.catalogue.folder / "fink").exists()
    assert (house.root / "a.parquet").exists()
    with pytest.raises(NotFound):
        remove_lake(house.catalogue, "fink")


class TestDamage:
    def damaged_and_repaired(self, house, pattern, damage):
        house.write("a.parquet", Row(1))
        house.write("b.parquet", Row(2, "ZTF18bbbbbbb"))
        house.add()
        for path in (house.catalogue.folder / "fink").glob(pattern):
            damage(path)
        house.add()
        assert {house.lake.alert("1").object_id, house.lake.alert("2").object_id} == {
            "ZTF18aaaaaaa",
            "ZTF18bbbbbbb",
        }
        there, named = files_of(house)
        assert there == named

    @pytest.mark.parametrize("pattern", ["index/*/*.idx", "segments/alert-*", "segments/object-*"])
    @pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: os.truncate(path, 30)])
    def test_is_repaired_by_adding_again(self, house, pattern, damage):
        self.damaged_and_repaired(house, pattern, damage)

    def test_left_overs_are_cleared(self, house):
        house.write("a.parquet", Row(1))
        house.add()
        folder = house.catalogue.folder / "fink"
        (folder / "segments" / "alert-0.seg").write_bytes(b"")
        (next((folder / "index").iterdir()) / "0123.part").write_bytes(b"")
        house.add()
        there, named = files_of(house)
        assert there == named


def test_segments_stay_few(house):
    """As if somebody added a file every minute."""
    for number in range(40):
        house.write(f"{number}.parquet", *(Row(100 * number + row + 1) for row in range(20)))
        house.add()
    (lake,) = house.catalogue.lakes()
    assert len(house.catalogue.segments(lake.id)) <= 2 * 16
    for number in range(40):
        assert house.lake.alert(str(100 * number + 7)).alert_id == str(100 * number + 7)


def test_entries_of_files_that_are_gone_go_away_in_time(house):
    house.write("stays.parquet", Row(10**6))
    for number in range(30):
        house.write("a.parquet", *(Row(1000 * number + row + 1) for row in range(50)))
        house.add()
    (lake,) = house.catalogue.lakes()
    assert sum(row.count for row in house.catalogue.segments(lake.id) if row.kind == "alert") <= 2 * 51
    assert house.lake.alert(str(10**6))
    assert house.lake.alert("29001")
