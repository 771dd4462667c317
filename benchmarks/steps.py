"""The archive step: Kafka to store and index, in alerts/s, against a loop that only consumes.

A broker is started, and filled with synthetic ZTF alerts: a hundred packets again and again, each time with
another alert id. Then each way reads all of them in a process of its own. Of the two rates the first is by the
clock, and the second by the seconds that the step's process, with all its threads, kept a core busy.

    python -m benchmarks.steps [--alerts 20000] [--rounds 3] [--batch 1000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from pathlib import Path
from threading import Event

from confluent_kafka import Consumer

from benchmarks.synthetic import many_alerts
from stamp_service.settings import Settings, load_settings
from stamp_service.steps import StepMetrics, open_archive_step, run_step
from stamp_service.steps.connecting import consumer_options
from stamp_service.surveys import load_surveys
from tests.integration.services.kafka import running_kafka

ROOT = Path(__file__).resolve().parents[1]
WAYS = ("bare", "packed", "files")


class Stopwatch(StepMetrics):
    """Counts seconds by stage, and stops the step after so many alerts."""

    def __init__(self, alerts: int) -> None:
        super().__init__("archive")
        self.stop = Event()
        self.seconds: dict[str, float] = defaultdict(float)
        self.started = self.started_cpu = 0.0
        self._left = alerts

    def consumed(self, count: int) -> None:
        self._left -= count
        if count and not self.started:
            # Joining the group is not what is measured.
            self.started, self.started_cpu = time.perf_counter(), time.process_time()

    def finished(self, stage: str, seconds: float) -> None:
        if self.started:
            self.seconds[stage] += seconds
        if stage == "commit" and self._left <= 0:
            self.stop.set()


def archive(settings: Settings, alerts: int) -> dict[str, object]:
    watch = Stopwatch(alerts)
    run_step(open_archive_step(settings, load_surveys()), settings, observer=watch, stop=watch.stop)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    return {
        "wall": ended - watch.started,
        "cpu": ended_cpu - watch.started_cpu,
        "stages": {stage: round(seconds, 2) for stage, seconds in watch.seconds.items()},
    }


def consume(settings: Settings, alerts: int) -> dict[str, object]:
    consumer = Consumer(consumer_options(settings))
    consumer.subscribe(list(settings.consumer_topics))
    count, started, started_cpu = 0, 0.0, 0.0
    while count < alerts:
        messages = consumer.consume(settings.consume_messages, 0.5)
        if not started and messages:
            started, started_cpu = time.perf_counter(), time.process_time()
        count += sum(len(message.value()) > 0 for message in messages if message.error() is None)
    found = {"wall": time.perf_counter() - started, "cpu": time.process_time() - started_cpu, "stages": {}}
    consumer.close()
    return found


def measure(way: str, server: str, topic: str, args: argparse.Namespace) -> dict[str, object]:
    """Run one way in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="steps-", dir=args.folder) as folder:
        given = {"way": way, "server": server, "topic": topic, "folder": folder, "alerts": args.alerts}
        command = [sys.executable, "-m", "benchmarks.steps", "--run", json.dumps(given | {"batch": args.batch})]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout)


def run_one(given: dict[str, object]) -> dict[str, object]:
    settings = load_settings(
        data_dir=Path(str(given["folder"])),
        consumer_server=given["server"],
        consumer_group_id=uuid.uuid4().hex,
        consumer_topics=(given["topic"],),
        consume_messages=given["batch"],
        consume_timeout_s=1.0,
        packed_surveys=("ztf",) if given["way"] == "packed" else (),
    )
    return (consume if given["way"] == "bare" else archive)(settings, int(str(given["alerts"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS)
    parser.add_argument("--run", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run_one(args.run)))
        return
    with running_kafka() as kafka:
        topic = kafka.create_topic()
        kafka.produce(topic, (packet for _, packet in many_alerts(args.alerts)))
        for number in range(args.rounds):
            for way in args.ways:
                found = measure(way, kafka.server, topic, args)
                wall, cpu = (round(args.alerts / float(str(found[kind]))) for kind in ("wall", "cpu"))
                print(f"{number + 1}  {way:6}  {wall:6} alerts/s, {cpu:6} per core  {found['stages']}", flush=True)


if __name__ == "__main__":
    main()
