"""The archive step when something fails: afterwards every alert is there once, byte for byte."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.integration.services.archived import STAGES, assert_archived, letters_of, settings_of
from tests.integration.services.gate import Gate
from tests.integration.services.waiting import wait_until


@pytest.mark.parametrize("packed", [False, True], ids=["files, SQLite", "packed, PostgreSQL"])
def test_killed_between_any_two_stages(archiving, made, request, packed):
    url = request.getfixturevalue("database_url") if packed else None
    archive = archiving(**({"STAMP_PACKED_SURVEYS": "ztf", "STAMP_INDEX_URL": url} if packed else {}))
    archive.kafka.produce(archive.topic, [*made.values(), b"poison"])
    for stage in STAGES:
        with archive.running(dies_after=stage) as process:
            assert process.wait(30) == -signal.SIGKILL
    # Nothing was acknowledged but by the last of them, which died right after that.
    assert archive.acknowledged() == 10
    with archive.running():
        wait_until(lambda: archive.acknowledged() == len(made) + 1, "all are acknowledged")
    assert_archived(settings_of(archive, packed_surveys=("ztf",) if packed else (), index_url=url), made)
    assert list(letters_of(archive)) == [len(made)]


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


def test_the_database_is_away_for_a_while(archiving, made, postgres, database_url):
    gate = Gate(database_url)
    archive = archiving(partitions=2, STAMP_INDEX_URL=gate.url, STAMP_PACKED_SURVEYS="ztf")
    packets = list(made.values())
    with archive.running():
        archive.kafka.produce(archive.topic, packets[:30], partitions=2)
        wait_until(lambda: archive.acknowledged() == 30, "the database is there")
        gate.close()
        archive.kafka.produce(archive.topic, packets[30:60], partitions=2)
        time.sleep(1.5)
        assert archive.acknowledged() == 30
        gate.open()
        wait_until(lambda: archive.acknowledged() == 60, "the connection is back")
        postgres.stop()
        try:
            archive.kafka.produce(archive.topic, packets[60:80], partitions=2)
            with archive.running() as victim:  # takes a part of the batch that the other waits with
                time.sleep(3)
                victim.kill()
                victim.wait(10)
            assert archive.acknowledged() == 60
        finally:
            postgres.start()
        archive.kafka.produce(archive.topic, [*packets[80:], *packets[:20]], partitions=2)
        wait_until(lambda: archive.acknowledged() == 120, "the server is back")
    gate.close()
    assert_archived(settings_of(archive, packed_surveys=("ztf",), index_url=database_url), made)
    assert letters_of(archive) == {}


def test_the_broker_is_away_for_a_while(archiving, made, kafka):
    archive = archiving()
    packets = list(made.values())
    with archive.running():
        kafka.produce(archive.topic, packets[:40])
        wait_until(archive.acknowledged, "it works")
        kafka.kill()
        time.sleep(1)
        kafka.start()
        kafka.produce(archive.topic, packets[20:])
        wait_until(lambda: archive.acknowledged() == 120, "the broker is back")
    assert_archived(settings_of(archive), made)
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


def test_clocks_do_not_matter(archiving, made, kafka):
    archive = archiving(STAMP_PACKED_SURVEYS="ztf")
    packets = list(made.values())

    def produce(chosen) -> None:
        producer = Producer({"bootstrap.servers": kafka.server})
        for number, packet in enumerate(chosen):
            producer.produce(archive.topic, packet, timestamp=1 + (number % 7) * 86_400_000 * 365)
        assert producer.flush(20) == 0

    produce(packets[:60])
    with archive.running(fast_by_h=50):
        wait_until(lambda: archive.acknowledged() == 60, "all are acknowledged")
    produce(packets[20:])
    with archive.running(fast_by_h=-50):
        wait_until(lambda: archive.acknowledged() == 140, "all are acknowledged")
    assert_archived(settings_of(archive, packed_surveys=("ztf",)), made)
    nights = {file.name[:8] for file in (archive.data_dir / "packed").rglob("*.avro")}
    assert len(nights) == 2
