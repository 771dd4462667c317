"""`stamp-service step early-classification` with a real broker and database: each object once, come what may."""

import random
import shutil
import signal
import time
from functools import partial
from itertools import islice

import pytest
import requests

from stamp_service.classifiers import Classification, open_models
from stamp_service.classifiers.models import DEMO_FOLDER
from stamp_service.demo import demo_alerts
from stamp_service.packets import Packet, recognise
from stamp_service.settings import load_settings
from stamp_service.surveys import load_surveys
from tests.integration.services.early import EarlyClassifying, Said
from tests.integration.services.kafka import free_port
from tests.integration.services.service import running_service
from tests.integration.services.waiting import wait_until

STAGES = ("process", "database", "produce", "commit")
POISON = (b"no packet", None, b"Obj\x01" + 50 * b"\xff")


@pytest.fixture(scope="session")
def made() -> list[bytes]:
    """A hundred synthetic alerts of ZTF, of fewer objects."""
    return [alert.packet for alert in islice(demo_alerts("ztf", seed=5, objects=60), 100)]


@pytest.fixture(scope="session")
def answers(made) -> list[Classification]:
    """What the model and its rules say of each of them."""
    surveys = load_surveys()
    model = open_models(load_settings()).named("demo")
    return model.classify([recognise(surveys, packet) for packet in made], rules=True)


@pytest.fixture(scope="session")
def expected(answers) -> Said:
    """What the first alert of each object is."""
    found: Said = {}
    for answer in answers:
        if answer.probabilities is not None:
            found.setdefault(answer.object_id, dict(answer.probabilities))
    assert 10 < len(found) < len(answers)
    return found


@pytest.fixture(scope="session")
def unfit(answers) -> set[int]:
    """Which of them cannot be classified."""
    found = {number for number, one in enumerate(answers) if one.probabilities is None and one.rule is None}
    assert found
    return found


@pytest.fixture
def early(kafka, database_url, tmp_path):
    """Make a group of early classification steps with a topic and a database of its own."""

    def make(partitions: int = 1, **settings: str) -> EarlyClassifying:
        topic = kafka.create_topic(partitions=partitions)
        data_dir = tmp_path / "data"
        data_dir.mkdir(exist_ok=True)
        return EarlyClassifying(kafka, topic, data_dir, partitions, settings, database_url=database_url)

    return make


def assert_said(group: EarlyClassifying, expected: Said) -> None:
    """Each object is there, once, with what its first alert says."""
    found = group.said()
    assert found.keys() == expected.keys()
    for oid, probabilities in expected.items():
        assert found[oid] == pytest.approx(probabilities, abs=1e-6)
    objects = [oid for (oid,) in group.ask("SELECT oid FROM object")]
    assert sorted(objects) == sorted(expected)
    assert group.ask("SELECT step_id FROM step") == [("early",)]


def offsets_of_letters(group: EarlyClassifying) -> list[int]:
    return sorted(int(dict(letter.headers())["offset"]) for letter in group.kafka.read(group.letters))


def test_objects_are_classified_stored_sent_on_and_served(early, made, answers, expected, unfit, kafka):
    port = free_port()
    group = early(METRICS_PORT=str(port), APP_BIND="127.0.0.1", STEP_VERSION="7.1")
    group.settings = {**group.settings, "PRODUCER_TOPIC": group.results}
    stream = [*made, *POISON, *reversed(made)]
    service_settings = {"STAMP_DEMO": "false"} | group.database()
    with running_service(group.data_dir, **service_settings) as service, group.running() as process:
        kafka.produce(group.topic, stream)
        wait_until(lambda: group.acknowledged() >= len(stream), "all are acknowledged")
        oid, probabilities = next(iter(expected.items()))
        answer = requests.get(f"{service.url}/v1/objects/ztf/{oid}/probabilities", timeout=10).json()
        metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        process.terminate()
        assert process.wait(10) == 0
    assert_said(group, expected)
    assert group.ask("SELECT version FROM step") == [("7.1",)]
    (said,) = answer["classifications"]
    assert (said["classifier_name"], said["classifier_version"]) == ("demo", "1")
    served = {row["class_name"]: row["probability"] for row in said["classes"]}
    assert served == pytest.approx(probabilities, abs=1e-6)
    last = len(stream) - 1
    refused = unfit | {len(made) + number for number in range(len(POISON))} | {last - number for number in unfit}
    assert offsets_of_letters(group) == sorted(refused)
    sent = [Packet.parse(message.value()).record() for message in kafka.read(group.results)]
    classified = [answer for answer in answers if answer.probabilities is not None]
    assert [str(record["candid"]) for record in sent[: len(classified)]] == [one.alert_id for one in classified]
    assert len(sent) == 2 * len(classified)
    assert sent[0]["probabilities"] == pytest.approx(classified[0].probabilities, abs=1e-6)
    assert f'stamp_step_messages_total{{step="early-classification"}} {float(len(stream))}' in metrics
    assert 'stamp_step_objects_total{class="' in metrics


def test_killed_between_any_two_stages(early, made, expected, unfit, kafka):
    group = early()
    kafka.produce(group.topic, [*made, b"poison"])
    for stage in STAGES:
        with group.running(dies_after=stage) as process:
            assert process.wait(30) == -signal.SIGKILL
    # Nothing was acknowledged but by the last of them, which died right after that.
    assert group.acknowledged() == 10
    with group.running():
        wait_until(lambda: group.acknowledged() == len(made) + 1, "all are acknowledged")
    assert_said(group, expected)
    # A letter may come twice.
    assert set(offsets_of_letters(group)) == unfit | {len(made)}


def test_killed_at_random_moments_while_another_joins(early, made, answers, kafka):
    group = early(partitions=3, CONSUME_MESSAGES="3")
    draw = random.Random(11)
    stream = made * 3
    draw.shuffle(stream)
    with group.running():
        for part in range(3):
            with group.running() as victim:
                wait_until(partial(group.has_joined, victim), "it joins", 60)
                kafka.produce(group.topic, stream[part::3], partitions=3)
                time.sleep(draw.random())  # it works
                victim.kill()
                victim.wait(10)
        wait_until(lambda: group.acknowledged() == len(stream), "all are acknowledged")
    # Which alert of an object comes first is chance; but all its probabilities are of one and the same.
    possible: dict[str | None, list[dict[str, float]]] = {}
    for answer in answers:
        if answer.probabilities is not None:
            possible.setdefault(answer.object_id, []).append(dict(answer.probabilities))
    found = group.said()
    assert found.keys() == possible.keys()
    for oid, probabilities in found.items():
        assert any(probabilities == pytest.approx(one, abs=1e-6) for one in possible[oid])


def test_the_database_and_the_broker_are_away_for_a_while(early, made, expected, kafka, postgres):
    group = early()
    postgres.stop()
    try:
        with group.running() as process:
            kafka.produce(group.topic, made[:30])
            wait_until(lambda: group.logged("database waits"), "it started without the database", 60)
            assert process.poll() is None
            assert group.acknowledged() == 0
            postgres.start()
            wait_until(lambda: group.acknowledged() == 30, "the database is there")
            postgres.stop()
            waits = group.logged("database waits")
            kafka.produce(group.topic, made[30:60])
            wait_until(lambda: group.logged("database waits") > waits, "the database is away")
            assert group.acknowledged() == 30
            postgres.start()
            wait_until(lambda: group.acknowledged() == 60, "the database is back")
            kafka.kill()
            time.sleep(1)
            kafka.start()
            kafka.produce(group.topic, made[60:])
            wait_until(lambda: group.acknowledged() == len(made), "the broker is back")
    finally:
        postgres.start()
    assert_said(group, expected)


def test_a_model_that_does_not_match_its_checksum_is_refused_at_the_start(early, tmp_path):
    shutil.copytree(DEMO_FOLDER, tmp_path / "models" / "own")
    graph = tmp_path / "models" / "own" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    group = early(STAMP_MODEL_DIR=str(tmp_path / "models"), MODEL_NAME="own")
    with group.running() as process:
        assert process.wait(30) == 2
    assert group.logged("model.onnx is not the file that model.toml was written for") == 1
    assert group.logged("Traceback") == 0
    # The database does not say that the step was there.
    assert group.ask("SELECT to_regclass('step')") == [(None,)]
