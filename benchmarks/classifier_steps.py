"""The steps that classify: what Kafka in, and Kafka or a database out, add to packet bytes in, probabilities out.

A broker and a PostgreSQL are started, and the broker is filled with synthetic ZTF alerts, each of another object.
Then each way goes through all of them in a process of its own, with one classifier thread:

    alone     packets in memory: recognised and classified, in batches of the same size
    results   the stamp classifier: alerts from a topic, results to a topic, in transactions
    all       the stamp classifier with commands to the scribe and metrics besides
    database  early classification: alerts from a topic, probabilities into an empty database

Rates are by the clock, and by the seconds that the process, with all its threads, kept a core busy. The overhead
is what a way adds to the core seconds of `alone`, in the same round.

    python -m benchmarks.classifier_steps [--model DIR] [--alerts 4000] [--rounds 5] [--batch 500]
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

from sqlalchemy import make_url

from benchmarks.steps import Stopwatch
from benchmarks.synthetic import many_alerts
from stamp_service.classifiers import open_models
from stamp_service.classifiers.models import DEMO_FOLDER
from stamp_service.packets import recognise
from stamp_service.settings import Settings, load_settings
from stamp_service.steps import open_early_classification_step, open_stamp_classifier_step, run_step
from stamp_service.surveys import load_surveys
from tests.integration.services.kafka import running_kafka
from tests.integration.services.postgres import running_postgres

ROOT = Path(__file__).resolve().parents[1]
WAYS = ("alone", "results", "all", "database")


def alerts_of_objects(count: int) -> Iterator[bytes]:
    """Give packets, each of another object; they keep their length."""
    for number, (_, packet) in enumerate(many_alerts(count)):
        start = packet.index(b"demo") - len(b"ZTF25")
        letters, rest = "", number
        for _ in range(7):
            rest, letter = divmod(rest, len(ascii_lowercase))
            letters += ascii_lowercase[letter]
        object_id = packet[start : start + len(b"ZTF25demoaaa")]
        yield packet.replace(object_id, b"ZTF25" + letters.encode())


def alone(settings: Settings, alerts: int) -> dict[str, object]:
    surveys, classifier = load_surveys(), open_models(settings).named(str(settings.model_name))
    classifier.check()
    packets = list(alerts_of_objects(alerts))
    started, started_cpu = time.perf_counter(), time.process_time()
    for first in range(0, alerts, settings.consume_messages):
        batch = [recognise(surveys, packet) for packet in packets[first : first + settings.consume_messages]]
        classifier.classify(batch, rules=True)
    return {"wall": time.perf_counter() - started, "cpu": time.process_time() - started_cpu, "stages": {}}


def step(settings: Settings, alerts: int) -> dict[str, object]:
    watch = Stopwatch(alerts)
    is_early = settings.producer_topic is None
    open_step = open_early_classification_step if is_early else open_stamp_classifier_step
    job = open_step(settings, load_surveys(), watch.registry)
    run_step(job, settings, observer=watch, stop=watch.stop, transactional=not is_early)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    stages = {stage: round(seconds, 2) for stage, seconds in watch.seconds.items()}
    return {"wall": ended - watch.started, "cpu": ended_cpu - watch.started_cpu, "stages": stages}


def measure(way: str, server: str, topic: str, database: str, args: argparse.Namespace) -> dict[str, object]:
    """Run one way in a process of its own."""
    given = {"way": way, "server": server, "topic": topic, "database": database, "alerts": args.alerts}
    given |= {"batch": args.batch, "model": str(args.model.resolve())}
    command = [sys.executable, "-m", "benchmarks.classifier_steps", "--run", json.dumps(given)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout)


def run_one(given: dict[str, object]) -> dict[str, object]:
    logging.disable()  # some stamps are at a chip's edge, which the step says of each
    model, further = Path(str(given["model"])), {"producer_topic": "results"}
    if given["way"] == "all":
        further |= {"scribe_topic": "scribe", "metrics_topic": "metrics"}
    elif given["way"] == "database":
        url = make_url(str(given["database"]))
        further = {"db_host": url.host, "db_port": url.port, "db_user": url.username}
        further |= {"db_password": url.password, "db_name": url.database}
    settings = load_settings(
        consumer_server=given["server"],
        consumer_group_id=uuid.uuid4().hex,
        consumer_topics=(given["topic"],),
        consume_messages=given["batch"],
        consume_timeout_s=1.0,
        model_dir=model.parent,
        model_name=model.name,
        classifier_threads=1,
        **further,
    )
    return (alone if given["way"] == "alone" else step)(settings, int(str(given["alerts"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEMO_FOLDER)
    parser.add_argument("--alerts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--run", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run_one(args.run)))
        return
    overheads: dict[str, list[float]] = {way: [] for way in WAYS}
    with running_kafka() as kafka, running_postgres() as postgres:
        topic = kafka.create_topic()
        kafka.produce(topic, alerts_of_objects(args.alerts))
        for number in range(args.rounds):
            with postgres.database() as url:
                found = {way: measure(way, kafka.server, topic, url, args) for way in WAYS}
            for way, took in found.items():
                overheads[way].append(float(str(took["cpu"])) / float(str(found["alone"]["cpu"])) - 1)
                wall, cpu = (args.alerts / float(str(took[kind])) for kind in ("wall", "cpu"))
                print(
                    f"{number + 1}  {way:8} {wall:6.0f} alerts/s, {cpu:6.0f} per core  {took['stages']}",
                    flush=True,
                )
    for way in WAYS[1:]:
        print(f"{way}: {statistics.median(overheads[way]):.1%} more core seconds than alone")


if __name__ == "__main__":
    main()
