"""Registered lakes from the outside: the command in a process of its own, and the running service."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import requests

from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.lakes import lake_access, open_lakes
from stamp_service.lake.opening import open_filesystem
from stamp_service.settings import Settings
from stamp_service.surveys import KINDS, Surveys
from tests.conftest import ROOT
from tests.integration.services.service import RunningService, running_service
from tests.unit.lake.parquet_samples import REAL, expected
from tests.unit.lake.registered import House, Row, cutout, write_rows

# A commit is noticed within 50 ms; a busy machine may take longer.
NOTICED_S = 10
START = "from stamp_service.cli import main; main()"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", START, "lake", *arguments]


def run(data_dir: Path, *arguments: str, status: int = 0, **environment: str) -> str:
    """Run `stamp-service lake …`; gives what it printed."""
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=os.environ | {"STAMP_DATA_DIR": str(data_dir)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def alert_ids(path: Path, name: str) -> list[str]:
    column, *rest = ["candid"] if name == "ztf" else ["diaSource", "diaSourceId"]
    values = pq.read_table(path, columns=[column])[column].to_pylist()
    return [str(value[rest[0]] if rest else value) for value in values]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A data folder with both real files in registered lakes."""
    folder = tmp_path_factory.mktemp("lakes")
    for name, file in REAL.items():
        target = folder / f"fink-{name}" / "year=2024" / "month=01" / "part-0.snappy.parquet"
        target.parent.mkdir(parents=True)
        shutil.copy(shared_data / "lake" / file, target)
        printed = run(folder / "data", "add", str(folder / f"fink-{name}"))
        assert f"lake fink-{name} of {name}: indexed 1 files" in printed
    return folder / "data"


@pytest.fixture(scope="module")
def service(data_dir: Path) -> Iterator[RunningService]:
    with running_service(data_dir, STAMP_DEMO="false") as running:
        yield running


def eventually(ask: Callable[[], requests.Response], status: int) -> requests.Response:
    """Ask until the answer is of a status, or time is up."""
    deadline = time.monotonic() + NOTICED_S
    while True:
        answer = ask()
        if answer.status_code == status or time.monotonic() > deadline:
            assert answer.status_code == status, answer.text
            return answer
        time.sleep(0.05)


@pytest.mark.parametrize("name", REAL)
def test_every_row_of_the_real_files_is_served(service, shared_data, surveys: Surveys, name):
    path = shared_data / "lake" / REAL[name]
    with requests.Session() as session:
        for alert_id, truth in zip(alert_ids(path, name), expected(path, surveys[name]), strict=True):
            for kind in KINDS:
                answer = session.get(f"{service.url}/v1/stamps/{name}/{alert_id}/{kind}.fits", timeout=30)
                assert answer.headers["X-Lake-Tier"] == "fragment"
                if kind not in truth:
                    assert answer.status_code == 404
                    continue
                plain = gzip.decompress(truth[kind]) if truth[kind][:2] == b"\x1f\x8b" else truth[kind]
                assert answer.status_code == 200
                assert answer.content == plain


@pytest.mark.parametrize("name", REAL)
def test_all_routes_of_an_alert_answer(service, shared_data, surveys: Surveys, name):
    path = shared_data / "lake" / REAL[name]
    alert_id = alert_ids(path, name)[0]
    truth = expected(path, surveys[name])[0]

    metadata = requests.get(f"{service.url}/v1/alerts/{name}/{alert_id}", timeout=30)
    assert metadata.status_code == 200
    assert metadata.json()["alert_id"] == alert_id
    assert tuple(metadata.json()["kinds"]) == tuple(truth)
    assert not surveys[name].cutout_roots & metadata.json()["record"].keys()
    assert 50000 < metadata.json()["time_mjd"] < 70000

    triptych = requests.get(f"{service.url}/v1/stamps/{name}/{alert_id}.png", timeout=30)
    assert triptych.content.startswith(b"\x89PNG")

    query = {"candid": alert_id, "survey_id": name, "type": "science", "format": "fits"}
    stamp = requests.get(f"{service.url}/get_stamp", query, timeout=30)
    assert gzip.decompress(stamp.content) in {truth["science"], _gunzipped(truth["science"])}

    batch = {"stamps": [{"survey": name, "alert_id": alert_id, "kind": "science"}], "output": "ndjson"}
    line = requests.post(f"{service.url}/v1/stamps", json=batch, timeout=30).text
    assert json.loads(line)["status"] == 200


def _gunzipped(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def test_packets_are_said_not_to_be_there(service, shared_data):
    alert_id = alert_ids(shared_data / "lake" / REAL["ztf"], "ztf")[0]
    other = alert_ids(shared_data / "lake" / REAL["lsst"], "lsst")[0]
    for path in (
        f"v1/alerts/ztf/{alert_id}.avro",
        f"get_avro?candid={alert_id}",
        f"alertdb/v1/alerts/{other}",
        f"stamps_api/avro?measurement_id={other}&survey_id=lsst",
    ):
        answer = requests.get(f"{service.url}/{path}", timeout=30)
        assert answer.status_code == 404
        assert "in a lake, without its packet" in answer.text


def test_the_service_names_its_lakes(service):
    stores = requests.get(f"{service.url}/v1/health/ready", timeout=30).json()["stores"]
    assert stores["lake:fink-ztf"] == stores["lake:fink-lsst"] == "ok"
    listed = requests.get(f"{service.url}/v1/surveys", timeout=30).json()["surveys"]
    assert next(survey["stores"] for survey in listed if survey["name"] == "ztf") == ["local", "lake:fink-ztf"]
    requests.get(f"{service.url}/v1/stamps/ztf/1/science.png", timeout=30)
    metrics = requests.get(f"{service.url}/metrics", timeout=30).text
    assert 'stamp_store_lookup_seconds_count{outcome="absent",store="lake:fink-ztf"}' in metrics


def test_what_is_added_replaced_and_removed_is_noticed_while_the_service_runs(service, data_dir, tmp_path):
    first, second = Row(1001, "ZTF18aaaaaaa", 2459000.5), Row(1002, "ZTF18bbbbbbb", 2459001.5)

    def ask(row: Row) -> requests.Response:
        url = f"{service.url}/v1/stamps/ztf/{row.candid}/science.fits"
        return requests.get(url, headers={"Cache-Control": "no-cache"}, timeout=30)

    root = tmp_path / "growing"
    write_rows(root / "a.parquet", [first])
    assert ask(first).status_code == 404
    assert "lake growing of ztf: indexed 1 files" in run(data_dir, "add", str(root))
    assert eventually(lambda: ask(first), 200).content == cutout(first, "science")
    write_rows(root / "b.parquet", [second])
    assert ask(second).status_code == 404
    assert "indexed 1 files, 1 were there already" in run(data_dir, "add", str(root))
    assert eventually(lambda: ask(second), 200).content == cutout(second, "science")

    changed = first._replace(text="changed")
    write_rows(root / "a.parquet", [second, changed])
    assert ask(changed).content == cutout(changed, "science")

    assert "growing  ztf  " in run(data_dir, "list")
    assert run(data_dir, "remove", "growing").strip() == "removed growing"
    eventually(lambda: ask(first), 404)
    assert "growing" not in run(data_dir, "list")


def test_what_is_refused_is_said(tmp_path):
    write_rows(tmp_path / "lake" / "a.parquet", [Row(1)])
    (tmp_path / "lake" / "b.parquet").write_text("no Parquet")
    printed = run(tmp_path / "data", "add", str(tmp_path / "lake"), status=1)
    assert "refused b.parquet: " in printed
    assert "refused 1; now 1 files, 1 alerts" in printed
    assert "no lake nowhere" in run(tmp_path / "data", "remove", "nowhere", status=2)


def test_a_run_that_was_killed_is_taken_up(tmp_path, shared_data):
    """SIGKILL after the first commit: the next run indexes only the rest."""
    root, count = tmp_path / "lake", 200
    root.mkdir()
    shutil.copy(shared_data / "lake" / REAL["ztf"], root / "0.parquet")
    for number in range(1, count):
        os.link(root / "0.parquet", root / f"{number}.parquet")
    catalogue = Catalogue(tmp_path / "data" / "lakes")

    def indexed() -> int:
        return sum(len(catalogue.files(lake.id)) for lake in catalogue.lakes())

    process = subprocess.Popen(
        command("add", str(root), "--jobs", "1"),
        cwd=ROOT,
        env=os.environ | {"STAMP_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    try:
        while process.poll() is None and time.monotonic() < deadline and not indexed():
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    done = indexed()
    catalogue.close()
    assert 0 < done < count
    printed = run(tmp_path / "data", "add", str(root))
    assert f"indexed {count - done} files, {done} were there already" in printed
    assert f"now {count} files, {67 * count} alerts" in printed


@pytest.mark.parametrize("where", ["s3", "hdfs", "webhdfs"])
def test_lakes_elsewhere(tmp_path, shared_data, surveys: Surveys, request, where):
    """Added in one process, read in another; added again, everything is there already."""
    environment: dict[str, str] = {}
    if where == "s3":
        url = f"s3://{request.getfixturevalue('bucket')}/fink"
        environment = {"STAMP_S3_ENDPOINT_URL": request.getfixturevalue("s3_url")}
    else:
        server = request.getfixturevalue("hdfs")
        url = f"{server.url if where == 'hdfs' else server.web_url}/{where}/fink"
    settings = Settings(data_dir=tmp_path / "data", s3_endpoint_url=environment.get("STAMP_S3_ENDPOINT_URL"))
    source = shared_data / "lake" / REAL["lsst"]
    with closing(open_filesystem(url, lake_access(settings))) as files:
        for number in range(2):
            files.put(f"year=2024/{number}.parquet", source)
    assert "lake fink of lsst: indexed 2 files;" in run(settings.data_dir, "add", url, **environment)
    printed = run(settings.data_dir, "add", url, **environment)
    assert "indexed 0 files, 2 were there already;" in printed
    assert "2 files, 100 alerts" in printed
    with closing(open_lakes(settings, surveys)) as lakes:
        (lake,) = lakes.of("lsst")
        for alert_id, truth in zip(alert_ids(source, "lsst"), expected(source, surveys["lsst"]), strict=True):
            assert lake.read(KINDS, alert_id=alert_id).cutouts == truth
            assert lake.read(KINDS, path="year=2024/0.parquet", alert_id=alert_id).tier == "fragment"
        assert lakes.check() == {"fink": None}


def test_many_bytes_are_indexed_by_processes(tmp_path, surveys: Surveys):
    house = House(tmp_path, surveys)
    for number in range(6):
        house.write(f"{number}.parquet", Row(number + 1))
    (house.root / "bad.parquet").write_text("no Parquet")
    added = house.add(worth_processes_bytes=0)
    assert (added.indexed, added.refused) == (6, 1)
    assert house.watcher.refused == {"bad.parquet": "the file is no Parquet file"}
    for number in range(6):
        assert house.lake.alert(str(number + 1))
    house.close()
