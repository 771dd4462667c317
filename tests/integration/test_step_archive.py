"""`stamp-service step archive` with a real broker: every alert is there once, byte for byte, whatever happened."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow.dataset
import pytest
import requests
from confluent_kafka import Producer

from stamp_service.demo import demo_alerts
from stamp_service.index import open_index
from stamp_service.packets import recognise
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import import_schema, open_packed, open_schemas, open_stores
from stamp_service.surveys import load_surveys
from tests.integration.services.archiving import Archiving
from tests.integration.services.bigquery import PROJECT, running_bigquery
from tests.integration.services.gate import Gate
from tests.integration.services.kafka import PASSWORD, USER, free_port
from tests.integration.services.service import running_service
from tests.integration.services.waiting import wait_until

Packets = dict[tuple[str, str], bytes]
STAGES = ("consume", "process", "store", "index", "produce", "commit")


@pytest.fixture(scope="session")
def made() -> Packets:
    """A hundred synthetic alerts of ZTF."""
    alerts = islice(demo_alerts("ztf", seed=5, objects=60), 100)
    return {("ztf", alert.alert_id): alert.packet for alert in alerts}


@pytest.fixture(scope="session")
def published(shared_data: Path) -> Packets:
    """Alerts as surveys published them, among them one in wire format."""
    surveys = load_surveys()
    schemas = open_schemas(load_settings(schemas_dir=shared_data / "alerts" / "lsst" / "schema"))
    folders = ("ztf", "ztf_snappy", "atlas", "lsst")
    files = sorted(
        path for name in folders for path in (shared_data / "alerts" / name).glob("*.*") if path.is_file()
    )
    alerts = [recognise(surveys, path.read_bytes(), schemas) for path in files]
    return {(alert.survey.name, alert.alert_id): alert.packet.data for alert in alerts}


@pytest.fixture
def archiving(kafka, tmp_path):
    """Make a group of archive steps with a topic of its own."""

    def make(partitions: int = 1, **settings: str) -> Archiving:
        topic = kafka.create_topic(partitions=partitions)
        data_dir = tmp_path / "data"
        data_dir.mkdir(exist_ok=True)
        return Archiving(kafka, topic, data_dir, partitions, settings)

    return make


def assert_archived(settings: Settings, packets: Packets) -> None:
    """Each alert is in the store of its survey and in the index: once, and as it came."""
    surveys = load_surveys()
    stores = open_stores(settings, surveys)
    with closing(open_index(settings)) as index:
        for survey in {name for name, _ in packets}:
            expected = sorted(alert_id for name, alert_id in packets if name == survey)
            assert sorted(indexed(index, survey)) == expected
    for (survey, alert_id), packet in packets.items():
        assert stores[survey][0].get(surveys[survey], alert_id) == packet
    for store in {id(store): store for ordered in stores.values() for store in ordered}.values():
        store.close()


def indexed(index, survey: str) -> Iterable[str]:
    after = None
    while True:
        page = index.search(survey, limit=1000, after=after)
        yield from (alert.alert_id for alert in page.alerts)
        after = page.after
        if after is None:
            return


def settings_of(archive: Archiving, **more: object) -> Settings:
    return load_settings(data_dir=archive.data_dir, **more)


def letters_of(archive: Archiving) -> Mapping[int, str]:
    """Offsets and reasons of the dead letters."""
    if archive.letters not in archive.kafka.topics():
        return {}
    headers = [dict(letter.headers()) for letter in archive.kafka.read(archive.letters)]
    return {int(header["offset"]): header["reason"].decode() for header in headers}


def metrics_on(port: int) -> str:
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text


def test_every_packet_is_stored_indexed_and_served(archiving, published, shared_data):
    port = free_port()
    archive = archiving(METRICS_PORT=str(port), APP_BIND="127.0.0.1")
    for schema in (shared_data / "alerts" / "lsst" / "schema").rglob("*.avsc"):
        import_schema(schema, archive.data_dir / "schemas")
    (survey, alert_id), packet = next(item for item in published.items() if item[0][0] == "ztf")
    stream = list(published.values())
    random.Random(4).shuffle(stream)
    other = bytearray(packet)
    other[packet.index(b"avro.codec") - 60] ^= 0x20  # a letter of its schema: another packet of the same alert
    poison = [b"no packet", None, b"", packet[:-100], b"Obj\x01" + 50 * b"\xff", bytes(other)]
    with running_service(archive.data_dir, STAMP_DEMO="false") as service, archive.running() as process:
        # Twice, and in another order the second time.
        archive.kafka.produce(archive.topic, [*stream, *poison, *reversed(stream)])
        wait_until(lambda: archive.acknowledged() == 2 * len(stream) + len(poison), "all are acknowledged")
        answer = requests.get(
            f"{service.url}/get_avro", params={"candid": alert_id, "survey_id": survey}, timeout=10
        )
        assert answer.content == packet
        query = {"candid": alert_id, "survey_id": survey, "type": "science", "format": "png"}
        picture = requests.get(f"{service.url}/get_stamp", params=query, timeout=10)
        assert picture.content.startswith(b"\x89PNG")
        lag = f'stamp_step_lag_messages{{partition="0",step="archive",topic="{archive.topic}"}} 0.0'
        wait_until(lambda: lag in metrics_on(port), "the lag is gone")
        metrics = metrics_on(port)
        process.terminate()
        assert process.wait(10) == 0
    assert_archived(settings_of(archive), published)
    letters = letters_of(archive)
    assert sorted(letters) == list(range(len(stream), len(stream) + len(poison)))
    assert "a different packet" in letters[len(stream) + len(poison) - 1]
    assert f'stamp_step_messages_total{{step="archive"}} {2.0 * len(stream) + len(poison)}' in metrics
    by_stage = {"process": len(poison) - 1, "store": 1}
    for stage, count in by_stage.items():
        assert f'stamp_step_refused_total{{stage="{stage}",step="archive"}} {float(count)}' in metrics
    for stage in STAGES:
        assert f'stamp_step_stage_seconds_sum{{stage="{stage}",step="archive"}}' in metrics
    assert 'stamp_step_paused{step="archive"} 0.0' in metrics


@pytest.mark.parametrize("packed", ["", "ztf"], ids=["files", "packed"])
def test_killed_between_any_two_stages(archiving, made, packed):
    archive = archiving(STAMP_PACKED_SURVEYS=packed)
    archive.kafka.produce(archive.topic, [*made.values(), b"poison"])
    for stage in STAGES:
        with archive.running(dies_after=stage) as process:
            assert process.wait(30) == -signal.SIGKILL
    # Nothing was acknowledged but by the last of them, which died right after that.
    assert archive.acknowledged() == 10
    with archive.running():
        wait_until(lambda: archive.acknowledged() == len(made) + 1, "all are acknowledged")
    assert_archived(settings_of(archive, packed_surveys=("ztf",) if packed else ()), made)
    assert list(letters_of(archive)) == [len(made)]


def test_packs_tables_and_lakes_get_each_alert_once(archiving, made):
    with running_bigquery() as warehouse:
        archive = archiving(
            STAMP_ARCHIVE_ALSO="packed,duckdb,bigquery,lake",
            STAMP_BIGQUERY_PROJECT=PROJECT,
            STAMP_BIGQUERY_URL=warehouse.url,
            CONSUME_MESSAGES="60",
        )
        archive.kafka.produce(archive.topic, [*made.values(), b"poison", *made.values()])
        for stage in ("duckdb", "lake"):
            with archive.running(dies_after=stage) as process:
                assert process.wait(40) == -signal.SIGKILL
        assert archive.acknowledged() == 0
        with archive.running():
            wait_until(lambda: archive.acknowledged() == 2 * len(made) + 1, "all are acknowledged")
            # Between batches others can read the file.
            with duckdb.connect(archive.data_dir / "stamps.duckdb", read_only=True) as tables:
                in_tables = [alert_id for (alert_id,) in tables.sql("SELECT candid FROM ztf").fetchall()]
        rows = warehouse.rows("ztf").values()
    assert_archived(settings_of(archive), made)
    assert list(letters_of(archive)) == [len(made)]
    expected = sorted(int(alert_id) for _, alert_id in made)
    lake = pyarrow.dataset.dataset(archive.data_dir / "lake" / "ztf", partitioning="hive")
    assert sorted(in_tables) == expected
    assert sorted(row["candid"] for row in rows) == expected
    assert sorted(lake.to_table(["candid"])["candid"].to_pylist()) == expected
    surveys = load_surveys()
    with closing(open_packed(settings_of(archive), surveys)) as packed:
        assert dict(packed.alerts(surveys["ztf"])) == {alert_id: data for (_, alert_id), data in made.items()}


def test_killed_at_random_moments_while_another_joins(archiving, made):
    archive = archiving(partitions=3, STAMP_PACKED_SURVEYS="ztf", CONSUME_MESSAGES="3")
    draw = random.Random(11)
    stream = [packet for packet in made.values() for _ in range(3)]
    draw.shuffle(stream)
    with archive.running():
        for part in range(3):
            with archive.running() as victim:
                archive.kafka.produce(archive.topic, stream[part::3], partitions=3)
                time.sleep(1.5 + draw.random())  # it starts, joins, and works
                victim.kill()
                victim.wait(10)
        wait_until(lambda: archive.acknowledged() == len(stream), "all are acknowledged")
    assert_archived(settings_of(archive, packed_surveys=("ztf",)), made)
    assert letters_of(archive) == {}


def test_s3_is_away_for_a_while(archiving, made, s3_url, bucket):
    gate = Gate(s3_url)
    archive = archiving(ZTF_BUCKET_NAME=bucket, STAMP_S3_ENDPOINT_URL=gate.url, STAMP_S3_ATTEMPTS="1")
    packets = list(made.values())
    with archive.running():
        archive.kafka.produce(archive.topic, packets[:40])
        wait_until(lambda: archive.acknowledged() == 40, "S3 is there")
        gate.close()
        archive.kafka.produce(archive.topic, packets[40:])
        time.sleep(2)
        assert archive.acknowledged() == 40
        gate.open()
        wait_until(lambda: archive.acknowledged() == 100, "S3 is back")
    gate.close()
    assert_archived(settings_of(archive, ztf_bucket_name=bucket, s3_endpoint_url=s3_url), made)
    assert letters_of(archive) == {}


def test_the_database_is_locked_for_a_while(archiving, made):
    archive = archiving()
    packets = list(made.values())
    with archive.running():
        archive.kafka.produce(archive.topic, packets[:40])
        wait_until(lambda: archive.acknowledged() == 40, "the index is there")
        (file,) = archive.data_dir.glob("*.sqlite")
        with closing(sqlite3.connect(file, isolation_level=None)) as another:
            another.execute("BEGIN EXCLUSIVE")
            archive.kafka.produce(archive.topic, packets[40:])
            time.sleep(3)
            assert archive.acknowledged() == 40
            another.execute("ROLLBACK")
        wait_until(lambda: archive.acknowledged() == 100, "the index is back")
    assert_archived(settings_of(archive), made)


@contextmanager
def small_disk(folder: Path, size: str):
    """Mount a disk in memory, where this is allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("packed", ["", "ztf"], ids=["files", "packed"])
def test_the_disk_is_full_for_a_while(archiving, made, packed, tmp_path):
    with small_disk(tmp_path / "disk", "48m") as disk:
        archive = archiving(STAMP_PACKED_SURVEYS=packed)
        archive.data_dir = disk / "data"
        packets = list(made.values())
        with archive.running():
            archive.kafka.produce(archive.topic, packets[:40])
            wait_until(lambda: archive.acknowledged() == 40, "there is room")
            free_bytes = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler = disk / "filler"
            filler.write_bytes(bytes(free_bytes - 200_000))
            archive.kafka.produce(archive.topic, packets[40:])
            time.sleep(2)
            assert archive.acknowledged() < 100
            filler.unlink()
            wait_until(lambda: archive.acknowledged() == 100, "there is room again")
        assert_archived(settings_of(archive, packed_surveys=("ztf",) if packed else ()), made)
        assert letters_of(archive) == {}


def asked_for_a_password(kafka, mechanism: str, password: str) -> dict[str, str]:
    return {
        "CONSUMER_SERVER": kafka.sasl_server,
        "CONSUMER_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CONSUMER_SASL_MECHANISM": mechanism,
        "CONSUMER_USERNAME": USER,
        "CONSUMER_PASSWORD": password,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_broker_that_asks_for_a_password(archiving, made, kafka, mechanism):
    archive = archiving(**asked_for_a_password(kafka, mechanism, PASSWORD))
    archive.kafka.produce(archive.topic, [*list(made.values())[:20], b"poison"])
    with archive.running():
        wait_until(lambda: archive.acknowledged() == 21, "all are acknowledged")
    assert list(letters_of(archive)) == [20]
    assert PASSWORD not in "".join(file.read_text() for file in archive.logs())


def test_a_wrong_password_ends_the_step(archiving, kafka):
    archive = archiving(**asked_for_a_password(kafka, "SCRAM-SHA-512", "of-no-alert"))
    with archive.running() as process:
        assert process.wait(30) == 2
    (log,) = archive.logs()
    assert "CONSUMER_PASSWORD" in log.read_text().splitlines()[-1]
    assert "of-no-alert" not in log.read_text()


def test_clocks_do_not_matter(archiving, made, kafka):
    archive = archiving()
    producer = Producer({"bootstrap.servers": kafka.server})
    for number, packet in enumerate(made.values()):
        producer.produce(archive.topic, packet, timestamp=1 + (number % 7) * 86_400_000 * 365)
    assert producer.flush(20) == 0
    with archive.running():
        wait_until(lambda: archive.acknowledged() == 100, "all are acknowledged")
    assert_archived(settings_of(archive), made)
