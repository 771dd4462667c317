"""`stamp-service step archive` with a real broker: every alert is there once, byte for byte, whatever happened."""

import random
import signal
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow.dataset
import pytest
import requests

from stamp_service.packets import recognise
from stamp_service.settings import load_settings
from stamp_service.stores import fetch_each, import_schema, open_packed, open_schemas
from stamp_service.surveys import load_surveys
from tests.integration.services.archived import STAGES, Packets, assert_archived, letters_of, settings_of
from tests.integration.services.bigquery import PROJECT, running_bigquery
from tests.integration.services.kafka import PASSWORD, USER, free_port
from tests.integration.services.service import running_service
from tests.integration.services.waiting import wait_until


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
        found = dict(fetch_each(packed, surveys["ztf"], packed.listed(surveys["ztf"])))
    assert found == {alert_id: data for (_, alert_id), data in made.items()}


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
