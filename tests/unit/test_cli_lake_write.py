"""`stamp-service lake write` and `lake demo`, as they are typed."""

import json
import os

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from stamp_service.cli import main
from stamp_service.demo import demo_alerts, demo_schemas
from stamp_service.lake.local import LocalFiles
from stamp_service.settings import environment_names
from tests.synthetic import synthetic

ZTF, LSST = map(synthetic, ("ztf", "lsst"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Type a command with an empty data folder."""
    for name in list(os.environ):
        if name.upper().startswith("STAMP_") or name in environment_names():
            monkeypatch.delenv(name)
    monkeypatch.setenv("STAMP_DATA_DIR", str(tmp_path / "data"))

    def type_in(*words: object):
        return CliRunner().invoke(main, ["lake", *(str(word) for word in words)])

    return type_in


@pytest.fixture
def packets(tmp_path):
    """A folder with the packets of a survey, and what else lies about."""
    folder = tmp_path / "packets"
    (folder / "ztf").mkdir(parents=True)
    for alert in ZTF:
        (folder / "ztf" / f"{alert.alert_id}.avro").write_bytes(alert.packet)
    (folder / "notes.txt").write_text("seeing 0.7")
    return folder


def written(folder):
    """The rows of a lake."""
    tables = [pq.read_table(folder / path, partitioning=None) for path, _ in LocalFiles(folder).walk()]
    return [row for table in tables for row in table.to_pylist()]


def test_a_folder_of_packets_becomes_a_lake_once(run, packets, tmp_path):
    lake = tmp_path / "new" / "lake"
    first = run("write", lake, packets)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith(f"wrote {len(ZTF)} (new files: ")
    assert first.stdout.endswith("), skipped 1 that are no packets\n")
    assert sorted(str(row["candid"]) for row in written(lake)) == sorted(alert.alert_id for alert in ZTF)
    again = run("write", lake, packets / "ztf")
    assert again.stdout == f"wrote 0 (new files: 0), {len(ZTF)} were there already\n"
    assert len(written(lake)) == len(ZTF)


def test_what_is_no_packet_is_refused_and_the_rest_written(run, packets, tmp_path):
    bad = packets / "ztf" / "bad.avro"
    bad.write_bytes(ZTF[0].packet[:1000])
    result = run("write", tmp_path / "lake", packets)
    assert result.exit_code == 1
    assert f"refused {bad}: " in result.stderr
    assert "refused 1" in result.stdout
    assert len(written(tmp_path / "lake")) == len(ZTF)


def test_a_lake_holds_one_survey(run, packets, tmp_path):
    (packets / "lsst").mkdir()
    for name, schema in demo_schemas().items():
        (packets / "lsst" / name).write_text(json.dumps(schema))
    for alert in LSST:
        (packets / "lsst" / f"{alert.alert_id}.wire").write_bytes(alert.packet)
    lake = tmp_path / "lake"
    result = run("write", lake, packets)
    assert result.exit_code == 2
    assert "lsst and ztf" in result.stderr
    assert "--survey" in result.stderr
    assert not lake.exists()
    result = run("write", lake, packets, "--survey", "lsst")
    assert result.exit_code == 1
    assert f"refused {len(ZTF)}" in result.stdout
    assert "is not an alert of lsst" in result.stderr
    assert len(written(lake)) == len(LSST)


def test_files_hold_as_many_rows_as_asked_for(run, packets, tmp_path):
    run("write", tmp_path / "lake", packets, "--rows-per-file", 1)
    assert len(list(LocalFiles(tmp_path / "lake").walk())) == len(ZTF)


def test_a_place_that_is_none_is_refused(run, packets):
    result = run("write", "ftp://somewhere/lake", packets)
    assert result.exit_code == 2
    assert "hdfs://" in result.stderr


def test_the_demo_writes_a_lake_of_each_survey_once(run, tmp_path):
    assert run("demo", tmp_path / "lakes", "--objects", 1).exit_code == 0
    for name in ("ztf", "atlas", "lsst"):
        assert len(written(tmp_path / "lakes" / name)) == len(list(demo_alerts(name, objects=1)))
    again = run("demo", tmp_path / "lakes", "--objects", 1)
    assert all(line.endswith("new files: 0") for line in again.stdout.splitlines())
    assert len(again.stdout.splitlines()) == 3


def test_the_demo_makes_as_many_objects_as_asked_for(run, tmp_path):
    run("demo", tmp_path, "--objects", 2)
    assert len({row["objectId"] for row in written(tmp_path / "ztf")}) == 2
