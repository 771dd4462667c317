"""The loop of every step, with a real broker: what is kept, acknowledged and refused, whatever goes away."""

import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from stamp_service.errors import ConfigurationError, StoreUnavailable
from stamp_service.settings import Settings, load_settings
from stamp_service.steps import Item, Output, Processed, Refusal, StepMetrics, run_step
from tests.conftest import ROOT
from tests.integration.services.kafka import RunningKafka
from tests.integration.services.waiting import wait_until

# The group notices soon that a member is gone.
IMPATIENT = {
    "session.timeout.ms": "3000",
    "heartbeat.interval.ms": "500",
    "topic.metadata.refresh.interval.ms": "500",
    "statistics.interval.ms": "200",
}


class Shelf:
    """A sink in memory that can be away."""

    def __init__(self, name: str = "shelf", kept: list[bytes] | None = None, refuses: bytes = b"-") -> None:
        self.name = name
        self.kept = [] if kept is None else kept
        self.away = Event()
        self.asked = Event()
        self._refuses = refuses

    def write(self, items):
        self.asked.set()
        if self.away.is_set():
            raise StoreUnavailable("the shelf is away")
        self.kept += [item.value for item in items if self._refuses not in item.value]
        return [Refusal(item.message, "no room for this") for item in items if self._refuses in item.value]

    def close(self):
        pass


class Doubling:
    """A step that keeps what it reads, and sends it on twice as long."""

    name = "doubling"

    def __init__(self, *sinks: Shelf, topic: str | None = None) -> None:
        self.sinks = sinks
        self.topic = topic
        self.seen: Counter[bytes] = Counter()
        self.closed = False

    def process(self, messages):
        self.seen.update(message.value for message in messages)
        bad = [message for message in messages if message.value.startswith(b"bad")]
        good = [Item(message, message.value) for message in messages if message not in bad]
        return Processed(good, [Refusal(message, "it is bad") for message in bad])

    def outputs(self, items):
        return [Output(self.topic, 2 * item.value) for item in items] if self.topic else []

    def close(self):
        self.closed = True


class Diary(StepMetrics):
    """Metrics that remember the order of things."""

    def __init__(self) -> None:
        super().__init__("doubling")
        self.stages: list[str] = []
        self.waited_for: list[str] = []

    def finished(self, stage, seconds):
        super().finished(stage, seconds)
        self.stages.append(stage)

    def paused(self, stage):
        super().paused(stage)
        self.waited_for += [stage] if stage else []


def settings_of(kafka: RunningKafka, *topics: str, **more: object) -> Settings:
    """Settings of a new group that reads topics."""
    defaults = {
        "consumer_server": kafka.server,
        "consumer_group_id": f"group-{uuid.uuid4().hex[:12]}",
        "consumer_topics": topics,
        "consume_timeout_s": 0.3,
        "consume_messages": 10,
        "consumer_options": IMPATIENT,
        "dead_letter_topic": f"letters-{uuid.uuid4().hex[:12]}",
    }
    return load_settings(**(defaults | more))


@contextmanager
def running(step: Doubling, settings: Settings, diary: Diary | None = None) -> Iterator[Event]:
    """Run a step in a thread until the block ends."""
    stop = Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            run_step(step, settings, observer=diary or Diary(), stop=stop)
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=work)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert failures == []


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Make values that differ."""
    return [b"%05d" % number for number in range(start, start + count)]


def test_sinks_come_before_the_producer_and_the_producer_before_offsets(kafka):
    topic, results = kafka.create_topic(), kafka.create_topic("results")
    settings, diary = settings_of(kafka, topic), Diary()
    first, second = Shelf("first"), Shelf("second")
    step = Doubling(first, second, topic=results)
    kafka.produce(topic, numbered(25))
    with running(step, settings, diary):
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 25, "all are acknowledged")
    assert first.kept == second.kept == numbered(25)
    assert [message.value() for message in kafka.read(results)] == [2 * value for value in numbered(25)]
    assert step.closed
    order = ["consume", "process", "first", "second", "produce", "commit"]
    batches = "".join(stage[0] for stage in diary.stages)
    assert batches.count("cpfspc") == 3
    assert set(diary.stages) == set(order)
    assert batches.replace("cpfspc", "").replace("cc", "") == ""


def test_what_is_refused_goes_to_the_dead_letters(kafka):
    topic, letters = kafka.create_topic(partitions=2), kafka.create_topic("letters")
    settings, diary = settings_of(kafka, topic, dead_letter_topic=letters), Diary()
    first, second = Shelf("first"), Shelf("second", refuses=b"")
    step = Doubling(first, second)
    kafka.produce(topic, [b"bad one", b"good", b"also-good", b"bad two"], partitions=2)
    second_refuses = {b"good"}
    with running(step, settings, diary):
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic, 2) == 4, "all are acknowledged")
    found = {message.value(): dict(message.headers()) for message in kafka.read(letters)}
    assert set(found) == {b"bad one", b"bad two", b"also-good"} | second_refuses
    assert found[b"bad two"] == {
        "step": b"doubling",
        "reason": b"it is bad",
        "topic": topic.encode(),
        "partition": b"1",
        "offset": b"1",
    }
    assert found[b"also-good"]["reason"] == b"no room for this"
    assert first.kept == [b"good"]
    assert second.kept == []
    counted = {
        stage: diary.registry.get_sample_value("stamp_step_refused_total", {"step": "doubling", "stage": stage})
        for stage in ("process", "first", "second")
    }
    assert counted == {"process": 2, "first": 1, "second": 1}


def test_a_letter_that_is_too_large_goes_without_its_value(kafka):
    topic, letters = kafka.create_topic(), kafka.create_topic("letters", max_message_bytes="1000")
    settings = settings_of(kafka, topic, dead_letter_topic=letters)
    kafka.produce(topic, [b"bad" + 5000 * b"x", b"good"])
    with running(Doubling(Shelf()), settings):
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 2, "both are acknowledged")
    (letter,) = kafka.read(letters)
    assert letter.value() is None
    assert dict(letter.headers())["offset"] == b"0"


def test_a_sink_that_is_away_is_waited_for_without_leaving_the_group(kafka):
    topic = kafka.create_topic()
    # The group would take the partition away from a step that does not ask for messages for so long.
    settings = settings_of(kafka, topic, consumer_options=IMPATIENT | {"max.poll.interval.ms": "3000"})
    shelf, diary = Shelf(), Diary()
    step = Doubling(shelf)
    shelf.away.set()
    kafka.produce(topic, numbered(30))
    with running(step, settings, diary):
        assert shelf.asked.wait(20)
        time.sleep(4.5)
        assert kafka.committed(settings.consumer_group_id, topic) == 0
        assert diary.registry.get_sample_value("stamp_step_paused", {"step": "doubling"}) == 1
        shelf.away.clear()
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 30, "all are acknowledged")
    assert shelf.kept == numbered(30)
    assert set(step.seen.values()) == {1}
    assert set(diary.waited_for) == {"shelf"}
    assert diary.registry.get_sample_value("stamp_step_paused", {"step": "doubling"}) == 0


def test_a_step_is_stopped_while_it_waits_and_its_batch_comes_again(kafka):
    topic = kafka.create_topic()
    settings, shelf = settings_of(kafka, topic), Shelf()
    kafka.produce(topic, numbered(5))
    shelf.away.set()
    with running(Doubling(shelf), settings) as stop:
        assert shelf.asked.wait(20)
        stop.set()
    assert kafka.committed(settings.consumer_group_id, topic) == 0
    shelf.away.clear()
    with running(Doubling(shelf), settings):
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 5, "all are acknowledged")
    assert shelf.kept == numbered(5)


def test_nothing_is_acknowledged_before_its_letter_is_written(kafka):
    topic = kafka.create_topic()
    nowhere = {"producer_server": "127.0.0.1:1", "producer_options": {"message.timeout.ms": "500"}}
    settings, diary = settings_of(kafka, topic, **nowhere), Diary()
    kafka.produce(topic, [b"bad", b"good"])
    with running(Doubling(Shelf()), settings, diary):
        wait_until(lambda: len(diary.waited_for) >= 2, "it waits for the producer")
    assert set(diary.waited_for) == {"produce"}
    assert kafka.committed(settings.consumer_group_id, topic) == 0
    kept = settings.model_copy(update={"producer_server": kafka.server})
    with running(Doubling(Shelf()), kept):
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 2, "both are acknowledged")
    assert [message.value() for message in kafka.read(kept.dead_letter_topic)] == [b"bad"]


def test_a_rebalance_in_mid_batch_loses_skips_and_repeats_nothing(kafka):
    topic = kafka.create_topic(partitions=4)
    settings = settings_of(kafka, topic, consume_messages=1000)
    stuck, free = Shelf(), Shelf()
    stuck.away.set()
    first, second = Doubling(stuck), Doubling(free)
    kafka.produce(topic, numbered(400), partitions=4)

    def acknowledged() -> int:
        return kafka.committed(settings.consumer_group_id, topic, 4)

    with running(first, settings):
        assert stuck.asked.wait(20)
        assert len(first.seen) == 400
        with running(second, settings):
            # The second gets half of the partitions, all of which the first has in its hands.
            wait_until(lambda: acknowledged() == 200, "the second did its half")
            stuck.away.clear()
            wait_until(lambda: acknowledged() == 400, "both did their halves")
            assert len(stuck.kept) == len(free.kept) == 200
            kafka.produce(topic, numbered(40, start=400), partitions=4)
            wait_until(lambda: acknowledged() == 440, "the rest was done")
        kafka.produce(topic, numbered(40, start=440), partitions=4)
        wait_until(lambda: acknowledged() == 480, "the first goes on alone")
    assert sorted(stuck.kept + free.kept) == numbered(480)


def test_a_broker_that_is_killed_and_started_again_is_waited_for(kafka):
    topic, results = kafka.create_topic(), kafka.create_topic("results")
    settings, shelf = settings_of(kafka, topic), Shelf()
    step = Doubling(shelf, topic=results)
    kafka.produce(topic, numbered(100))
    with running(step, settings):
        wait_until(lambda: shelf.kept, "it works")
        kafka.kill()
        time.sleep(1.0)
        kafka.start()
        kafka.produce(topic, numbered(100, start=100))
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 200, "all are acknowledged")
    assert sorted(set(shelf.kept)) == numbered(200)
    assert {message.value() for message in kafka.read(results)} == {2 * value for value in numbered(200)}


def test_the_topic_of_a_night_is_found_once_it_exists(kafka):
    prefix = f"night{uuid.uuid4().hex[:8]}"
    settings = settings_of(kafka, topic_strategy_format=(f"{prefix}_%s_programid1",), topic_change_hour=0)
    tonight = datetime.now(UTC).timestamp() + 86400
    topic = f"{prefix}_{datetime.fromtimestamp(tonight, UTC):%Y%m%d}_programid1"
    shelf, diary = Shelf(), Diary()
    with running(Doubling(shelf), settings, diary):
        wait_until(lambda: "commit" in diary.stages, "it waits for the night")
        assert topic not in kafka.topics()
        kafka.add_topic(topic)
        kafka.produce(topic, numbered(3))
        wait_until(lambda: shelf.kept == numbered(3), "the night is read")


def test_a_pattern_finds_its_topics(kafka):
    prefix = f"pattern{uuid.uuid4().hex[:8]}"
    for name in ("a", "b"):
        kafka.add_topic(f"{prefix}_{name}")
        kafka.produce(f"{prefix}_{name}", [name.encode()])
    shelf = Shelf()
    with running(Doubling(shelf), settings_of(kafka, f"^{prefix}_.*")):
        wait_until(lambda: sorted(shelf.kept) == [b"a", b"b"], "both topics are read")


def test_the_lag_is_what_is_not_acknowledged(kafka):
    topic = kafka.create_topic()
    settings, diary, shelf = settings_of(kafka, topic), Diary(), Shelf()
    labels = {"step": "doubling", "topic": topic, "partition": "0"}

    def lag() -> float | None:
        return diary.registry.get_sample_value("stamp_step_lag_messages", labels)

    shelf.away.set()
    kafka.produce(topic, numbered(30))
    with running(Doubling(shelf), settings, diary):
        wait_until(lambda: lag() == 30, "the lag shows all")
        shelf.away.clear()
        wait_until(lambda: lag() == 0, "the lag is gone")
        assert diary.registry.get_sample_value("stamp_step_messages_total", {"step": "doubling"}) == 30


def test_the_example_of_the_document_runs(kafka):
    (example,) = re.findall(r"```py\n(.*?)```", (ROOT / "doc" / "steps.md").read_text(), re.DOTALL)
    names: dict[str, type] = {}
    exec(example.replace("\nrun_step(", "\n# run_step("), names)
    topic = kafka.create_topic()
    settings = settings_of(kafka, topic)
    kafka.produce(topic, [b"four", None])
    with running(names["Lengths"](), settings):
        wait_until(lambda: kafka.committed(settings.consumer_group_id, topic) == 2, "both are acknowledged")
    assert [message.value() for message in kafka.read("lengths")] == [b"4", b"0"]


@pytest.mark.parametrize("missing", ["consumer_server", "consumer_group_id", "consumer_topics"])
def test_a_step_says_what_it_lacks(kafka, missing):
    settings = settings_of(kafka, "topic").model_copy(
        update={missing: () if missing == "consumer_topics" else None}
    )
    step = Doubling(Shelf())
    with pytest.raises(ConfigurationError, match=missing.upper()):
        run_step(step, settings)
    assert step.closed
