"""Ingestion as it is used: from the command line and from Python, repeated, refused and killed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from stamp_service.alert_ingestion import batch_ingest_alerts, stream_ingest_alerts
from stamp_service.alert_ingestion.duckdb_tables import DuckDbTables
from stamp_service.cli import main
from stamp_service.errors import NotFound, RequestError, StoreUnavailable
from stamp_service.settings import Settings
from stamp_service.stores import open_local
from stamp_service.ztf_archive import nights_folder
from tests.integration.services.ztf_archive import make_night

ROOT = Path(__file__).resolve().parents[2]
NIGHT = "ztf_public_20180626.tar.gz"


@pytest.fixture(scope="module")
def packets(shared_data: Path) -> dict[str, bytes]:
    """A dozen real alerts by the names that they have in a night."""
    files = sorted((shared_data / "alerts/ztf").glob("2475*.avro"))[:12]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def folder(packets, shared_data, tmp_path) -> Path:
    """A folder of packets: the dozen, one of ATLAS, one that is damaged, and a note."""
    folder = tmp_path / "packets"
    folder.mkdir()
    for name, packet in packets.items():
        (folder / name).write_bytes(packet)
    shutil.copy(next((shared_data / "alerts/atlas").glob("*.avro")), folder)
    (folder / "damaged.avro").write_bytes(next(iter(packets.values()))[:-100])
    (folder / "note.txt").write_text("no packet")
    return folder


@pytest.fixture
def run(tmp_path):
    """Run the command in a data folder of its own; gives the exit status, and what it said."""

    def run(*words: object) -> tuple[int, str, str]:
        environment = {"STAMP_DATA_DIR": str(tmp_path / "data")}
        result = CliRunner().invoke(main, ["ingest", *map(str, words)], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def count(path: Path, table: str) -> int:
    with duckdb.connect(str(path), read_only=True) as tables:
        return tables.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0]


@pytest.mark.parametrize("to", ["duckdb", "lake", "store"])
def test_a_folder_is_ingested_once_however_often(to, folder, run, tmp_path):
    status, said, refused = run("--to", to, folder)
    assert status == 1
    assert said.startswith("added 13, refused 1 (1: it is no alert of these surveys, or damaged); ")
    assert said.endswith(" alerts/s\n")
    assert f"refused {folder / 'damaged.avro'}: " in refused
    (folder / "damaged.avro").unlink()
    status, said, refused = run("--to", to, folder)
    assert (status, refused) == (0, "")
    assert said.startswith("added 0, 13 were there already; ")


def test_a_night_and_a_store_are_sources(packets, folder, run, tmp_path, surveys):
    settings = Settings(data_dir=tmp_path / "data")
    nights_folder(settings).mkdir(parents=True)
    night = nights_folder(settings) / NIGHT
    night.write_bytes(make_night(packets))
    assert run("--to", "store", "2018-06-26")[1].startswith("added 12; ")
    assert len(open_local(settings).alert_ids(surveys["ztf"])) == 12
    assert run("--to", "duckdb", "store:ztf", "--batch", 5, "--cutouts")[1].startswith("added 12; ")
    assert run("--to", "duckdb", night, "20180626")[1].startswith("added 0, 24 were there already; ")
    assert run("--to", "duckdb", "store")[1].startswith("added 0, 12 were there already; ")
    assert count(tmp_path / "data/stamps.duckdb", "ztf WHERE cutoutScience.stampData IS NOT NULL") == 12


@pytest.mark.parametrize("packed", ["", "ztf"], ids=["objects", "packed"])
def test_a_bucket_is_a_source_and_what_is_damaged_in_it_is_named(
    packets, run, s3_url, s3_client, bucket, monkeypatch, tmp_path, packed
):
    (tmp_path / "packets").mkdir()
    for name, packet in packets.items():
        (tmp_path / "packets" / name).write_bytes(packet)
    environment = {"ZTF_BUCKET_NAME": bucket, "STAMP_S3_ENDPOINT_URL": s3_url, "STAMP_PACKED_SURVEYS": packed}
    for name, value in (environment | {"STAMP_DATA_DIR": str(tmp_path / "data")}).items():
        monkeypatch.setenv(name, value)
    assert run("--to", "store", tmp_path / "packets")[1].startswith("added 12; ")
    if packed:
        assert CliRunner().invoke(main, ["pack", "--flush"]).exit_code == 0
        shutil.rmtree(tmp_path / "data")  # as it is on another machine
    else:
        s3_client.put_object(Bucket=bucket, Key="321.avro", Body=b"no packet")
    exit_code, output, errors = run("--to", "duckdb", "store:ztf")
    assert output.startswith("added 12; " if packed else "added 12, refused 1 (1: it is no alert of these surveys")
    assert (exit_code, "refused ztf alert 123" in errors) == ((0, False) if packed else (1, True))


def test_a_night_that_ends_early_keeps_all_that_came_before(packets, run, tmp_path):
    night = tmp_path / NIGHT
    night.write_bytes(make_night(packets)[:-20_000])
    status, _, refused = run("--to", "duckdb", night)
    assert status == 2
    assert NIGHT in refused
    kept = count(tmp_path / "data/stamps.duckdb", "ztf")
    assert 0 < kept < 12
    night.write_bytes(make_night(packets))
    assert run("--to", "duckdb", night)[1].startswith(f"added {12 - kept}, {kept} were there already; ")


def test_what_is_no_source_and_what_is_no_survey_is_said(run, tmp_path):
    assert run("--to", "duckdb", tmp_path / "nothing")[0] == 2
    assert run("--to", "duckdb", "store:nothing")[0] == 2
    assert run("--to", "bigquery", "store:ztf") == (2, "", "Error: STAMP_BIGQUERY_PROJECT is not set\n")
    assert run("--to", "nowhere", "store")[0] == 2


def test_local_alerts_are_ingested_from_python(packets, tmp_path):
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(NotFound):
        stream_ingest_alerts(settings=settings)
    nights_folder(settings).mkdir(parents=True)
    (nights_folder(settings) / NIGHT).write_bytes(make_night(packets))
    with pytest.raises(RequestError):
        stream_ingest_alerts(0, settings=settings)
    assert str(stream_ingest_alerts(5, settings=settings)) == "added 12"
    assert str(batch_ingest_alerts(settings=settings)) == "added 0, 12 were there already"
    assert count(tmp_path / "stamps.duckdb", "ztf") == 12


def test_any_packets_are_ingested_from_python(packets, tmp_path):
    topic = iter([*packets.values(), b"poison"])
    report = batch_ingest_alerts(100, packets=topic, settings=Settings(data_dir=tmp_path))
    assert report.states == {"added": 12, "refused": 1}
    assert report.refusals == {"it is no alert of these surveys, or damaged": 1}


KILLED = """
import os, sys
from pathlib import Path
from stamp_service.alert_ingestion import TableTarget, SourcePacket, ingest
from stamp_service.alert_ingestion.duckdb_tables import DuckDbTables
from stamp_service.surveys import load_surveys
files = sorted(Path(sys.argv[2]).glob("*.avro"))
target = TableTarget(DuckDbTables(Path(sys.argv[1])))
packets = (SourcePacket(file.read_bytes(), file.name) for file in files)
for count, outcome in enumerate(ingest(packets, target, load_surveys(), num_alerts=4), 1):
    print(count, flush=True)
    if count == 14:
        import time
        time.sleep(60)
"""


def test_a_killed_process_leaves_whole_batches_and_may_run_again(shared_data, tmp_path):
    path, folder = tmp_path / "stamps.duckdb", shared_data / "alerts/ztf"
    command = [sys.executable, "-c", KILLED, str(path), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stdout:
            if line.strip() == "14":
                break
        with pytest.raises(StoreUnavailable, match="another process"):
            DuckDbTables(path)
        os.kill(process.pid, signal.SIGKILL)
    assert len(rows_of_killed(path)) == 16
    packets = [file.read_bytes() for file in folder.glob("*.avro")]
    report = stream_ingest_alerts(7, packets=packets, to="duckdb", settings=Settings(data_dir=tmp_path))
    assert report.states == {"present": 16, "added": len(packets) - 16}
    assert len(set(rows_of_killed(path))) == len(rows_of_killed(path)) == len(packets)


def rows_of_killed(path: Path) -> list[Any]:
    """Ids, by a connection that may replay the log."""
    with duckdb.connect(str(path)) as connection:
        return connection.sql("SELECT alert_id FROM ztf").fetchall()
