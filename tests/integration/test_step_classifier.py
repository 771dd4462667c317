"""`stamp-service step stamp-classifier` with a real broker: each classification once, whatever happened."""

import json
import random
import signal
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO

import fastavro
import pytest
import requests

from stamp_service.demo import demo_alerts
from tests.integration.services.classifying import MODEL, Classifying, small_messages
from tests.integration.services.kafka import PASSWORD, USER, free_port
from tests.integration.services.waiting import wait_until

STAGES = ("consume", "process", "produce", "commit")


@pytest.fixture(scope="session")
def made() -> list[bytes]:
    """Sixty alerts of as many objects."""
    return list(small_messages(60))


@pytest.fixture
def classifying(kafka, tmp_path):
    """Make a group of stamp classifiers with a topic of its own."""

    def make(partitions: int = 1, **settings: str) -> Classifying:
        topic = kafka.create_topic(partitions=partitions)
        data_dir = tmp_path / "data"
        data_dir.mkdir(exist_ok=True)
        return Classifying(kafka, topic, data_dir, partitions, settings)

    return make


def objects_of(count: int, start: int = 0) -> list[str]:
    return [f"AL{number:05d}" for number in range(start, start + count)]


def unpacked(message) -> dict:
    (record,) = fastavro.reader(BytesIO(message.value()))
    return record


def test_alerts_become_classifications_commands_and_metrics(classifying, kafka, made):
    port, name = free_port(), uuid.uuid4().hex[:8]
    group = classifying(
        PRODUCER_TOPIC_FORMAT=f"night-{name}-%s",
        PRODUCER_DATE_FORMAT="%Y-%m-%d",
        PRODUCER_CHANGE_HOUR="0",
        PRODUCER_RETENTION_DAYS="3",
        METRICS_TOPIC=f"metrics-{name}",
        METRICS_HOST=kafka.server,
        METRICS_PORT=str(port),
        APP_BIND="127.0.0.1",
        MODEL_VERSION="9.9",
    )
    packet = next(iter(demo_alerts("ztf", objects=1))).packet  # its stamps are not of this model's size
    kafka.add_topic(group.letters, max_message_bytes="20000")
    poison = [b"no packet", None, made[0][:-300], packet]
    with group.running() as process:
        kafka.produce(group.topic, [*made[:7], *poison, *made[7:]])
        wait_until(lambda: group.acknowledged() == 60 + len(poison), "all are acknowledged")
        shown = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        process.terminate()
        assert process.wait(10) == 0
    topic = f"night-{name}-{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    results = {message.key().decode(): unpacked(message) for message in kafka.read(topic)}
    commands = [json.loads(unpacked(message)["payload"]) for message in kafka.read(group.commands)]
    assert list(results) == objects_of(60) == [command["criteria"]["_id"] for command in commands]
    for (aid, result), command in zip(results.items(), commands, strict=True):
        probabilities = {one["class_name"]: one["probability"] for one in result["classifications"]}
        assert result["aid"] == aid
        assert (result["classifier_name"], result["classifier_version"]) == (MODEL, "9.9")
        assert sum(probabilities.values()) == pytest.approx(1)
        assert command["data"] == {"classifier_name": MODEL, "classifier_version": "9.9"} | probabilities
    metrics = [json.loads(message.value()) for message in kafka.read(f"metrics-{name}")]
    assert {aid for batch in metrics for aid in batch["class"]} == set(results)
    letters = {int(dict(letter.headers())["offset"]): letter for letter in kafka.read(group.letters)}
    assert sorted(letters) == [7, 8, 9, 10]
    assert [letters[offset].value() for offset in (7, 8, 9)] == poison[:3]
    # The last is larger than the broker takes.
    assert (letters[10].value(), b"8 x 8" in dict(letters[10].headers())["reason"]) == (None, True)
    assert 'stamp_step_objects_total{class="' in shown
    assert kafka.option(topic, "retention.ms") == str(3 * 86_400_000)


def test_killed_between_any_two_stages(classifying, kafka, made):
    group = classifying()
    kafka.produce(group.topic, [b"poison", *made])
    for stage in STAGES:
        with group.running(dies_after=stage) as process:
            assert process.wait(30) == -signal.SIGKILL
    # The last two died when their batch was acknowledged, together with its results.
    assert group.acknowledged() == 20
    with group.running():
        wait_until(lambda: group.acknowledged() == 61, "all are acknowledged")
    assert group.aids(group.results) == group.aids(group.commands) == objects_of(60)
    assert [dict(letter.headers())["offset"] for letter in kafka.read(group.letters)] == [b"0"]


def test_killed_in_the_middle_of_a_transaction(classifying, kafka, made):
    group = classifying()
    kafka.produce(group.topic, made)
    with group.running(dies_after="transaction") as process:
        assert process.wait(30) == -signal.SIGKILL
    assert group.acknowledged() == 0
    assert group.aids(group.results) == []
    assert group.aids(group.results, committed=False) == objects_of(10)
    with group.running():
        wait_until(lambda: group.acknowledged() == 60, "all are acknowledged")
    assert group.aids(group.results) == group.aids(group.commands) == objects_of(60)
    assert group.aids(group.results, committed=False) == objects_of(10) + objects_of(60)


def test_killed_at_random_moments_while_another_joins(classifying, kafka):
    group = classifying(partitions=3, CONSUME_MESSAGES="5")
    kafka.add_topic(group.results)
    draw = random.Random(7)
    with group.running():
        for part in range(3):
            with group.running() as victim:
                wait_until(partial(group.has_joined, victim), "it joins", 60)
                kafka.produce(group.topic, small_messages(300, start=300 * part), partitions=3)
                time.sleep(draw.random())  # it works
                victim.kill()
                victim.wait(10)
        wait_until(lambda: group.acknowledged() == 900, "all are acknowledged")
    assert sorted(group.aids(group.results)) == sorted(group.aids(group.commands)) == objects_of(900)


def test_the_broker_is_killed_and_started_again(classifying, kafka):
    group = classifying()
    kafka.produce(group.topic, small_messages(300))
    with group.running():
        wait_until(lambda: group.acknowledged() >= 20, "it works")
        kafka.kill()
        time.sleep(1.0)
        kafka.start()
        kafka.produce(group.topic, small_messages(100, start=300))
        wait_until(lambda: group.acknowledged() == 400, "all are acknowledged", 60)
    assert group.aids(group.results) == group.aids(group.commands) == objects_of(400)


def test_results_for_other_brokers_come_at_least_once_and_are_the_same(classifying, kafka, made):
    group = classifying(
        # The same broker, which asks for a password under this address.
        PRODUCER_SERVER=kafka.sasl_server,
        PRODUCER_SASL_USERNAME=USER,
        PRODUCER_SASL_PASSWORD=PASSWORD,
        PRODUCER_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        STAMP_PRODUCER_OPTIONS="{}",
    )
    kafka.produce(group.topic, made)
    with group.running(dies_after="produce") as process:
        assert process.wait(30) == -signal.SIGKILL
    assert group.acknowledged() == 0
    with group.running():
        wait_until(lambda: group.acknowledged() == 60, "all are acknowledged")
    assert group.aids(group.results) == objects_of(10) + objects_of(60)
    said = [unpacked(message)["classifications"] for message in kafka.read(group.results)]
    assert said[:10] == said[10:20]


def test_a_scribe_that_is_away_is_waited_for(classifying, kafka, made):
    options = {"message.timeout.ms": "500", "transaction.timeout.ms": "2000"}
    group = classifying(SCRIBE_SERVER="127.0.0.1:1", STAMP_PRODUCER_OPTIONS=json.dumps(options))
    kafka.produce(group.topic, made)
    with group.running() as process:
        wait_until(lambda: group.logged("scribe waits"), "it waits")
        assert process.poll() is None
        assert group.acknowledged() == 0
        assert group.aids(group.results) == []
    # Another name of the same broker: as good as another broker.
    group.settings = {"SCRIBE_SERVER": kafka.server.replace("127.0.0.1", "localhost")}
    with group.running():
        wait_until(lambda: group.acknowledged() == 60, "all are acknowledged")
    assert group.aids(group.results) == group.aids(group.commands) == objects_of(60)


def test_a_model_that_does_not_match_its_checksum_is_refused_at_the_start(classifying):
    group = classifying()
    graph = group.data_dir / "models" / MODEL / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with group.running() as process:
        assert process.wait(30) == 2
    assert group.logged("model.onnx is not the file that model.toml was written for") == 1
    assert group.logged("Traceback") == 0
