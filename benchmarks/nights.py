"""A synthetic night into packs and index, against reading it with `tarfile` alone; and the memory that takes.

Nights are .tar.gz files of a hundred synthetic ZTF packets again and again, each time with other ids. Each run is
a process of its own, so that its peak memory is its own, and has gone its way with a night of one packet before:
what it imports is not on the clock. `add` is what `stamp-service archive add` does with ZTF kept packed and the
index in SQLite, from the first byte until everything is on the disk; `iter_night` reads only. The ways take turns,
and ratios are those of neighbours; medians count.

    python -m benchmarks.nights [--alerts 20000] [--rounds 5] [--memory 2000 20000 200000] [--folder DIR]
"""

import argparse
import io
import resource
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from isal import igzip

from benchmarks.synthetic import many_alerts
from stamp_service.index import open_index
from stamp_service.resolver import Resolver
from stamp_service.settings import load_settings
from stamp_service.stores import open_stores
from stamp_service.stores.outcomes import Report
from stamp_service.surveys import load_surveys
from stamp_service.ztf_archive import add_night, iter_night

ROOT = Path(__file__).resolve().parents[1]


def write_night(path: Path, alerts: int) -> None:
    with igzip.open(path, "wb", compresslevel=1) as file, tarfile.open(fileobj=file, mode="w|") as night:
        for alert_id, packet in many_alerts(alerts):
            member = tarfile.TarInfo(f"{alert_id}.avro")
            member.size = len(packet)
            night.addfile(member, io.BytesIO(packet))
            night.members.clear()


def read_with_tarfile(night: Path, _: Path) -> int:
    count = 0
    with tarfile.open(night, "r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            count += len(file.read()) > 0
    return count


def read(night: Path, _: Path) -> int:
    return sum(len(packet) > 0 for packet, _ in iter_night(night))


def add(night: Path, folder: Path) -> int:
    settings = load_settings(data_dir=folder, packed_surveys=("ztf",))
    surveys, report = load_surveys(), Report()
    resolver = Resolver(open_stores(settings, surveys), index=open_index(settings))
    for outcome in add_night(night, settings, surveys, resolver):
        report.count(outcome)
    resolver.close()
    return report.states["added"]


WAYS = {"tarfile": read_with_tarfile, "iter_night": read, "add": add}


def run(way: str, night: Path) -> None:
    """Go one way, and print alerts, seconds, seconds of CPU and the peak of this process's memory in MB."""
    with tempfile.TemporaryDirectory(prefix="nights-", dir=night.parent) as folder:
        first = Path(folder) / "first.tar.gz"
        write_night(first, 1)
        WAYS[way](first, Path(folder) / "first")
        started, started_cpu = time.perf_counter(), time.process_time()
        alerts = WAYS[way](night, Path(folder))
        seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
        if way == "add":
            with sqlite3.connect(Path(folder) / "index.sqlite") as index:
                assert index.execute("SELECT count(*) FROM alerts").fetchone() == (alerts,)
            index.close()
    print(alerts, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class Run(NamedTuple):
    """What a run took; rates are alerts/s."""

    rate: float
    rate_cpu: float
    peak_mb: float


def measure(way: str, night: Path, expected: int) -> Run:
    """Go one way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.nights", "--way", way, "--night", str(night)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    alerts, seconds, cpu, peak_mb = map(float, done.stdout.split())
    assert alerts == expected
    return Run(alerts / seconds, alerts / cpu, peak_mb)


def measure_speed(night: Path, alerts: int, rounds: int) -> None:
    write_night(night, alerts)
    print(f"{alerts} alerts, {night.stat().st_size / 1e6:.0f} MB")
    found = [{way: measure(way, night, alerts) for way in WAYS} for _ in range(rounds)]
    for way in WAYS:
        rate, rate_cpu, _ = (statistics.median(kind) for kind in zip(*(one[way] for one in found), strict=True))
        ratios = sorted(one[way].rate / one["tarfile"].rate for one in found)
        print(
            f"  {way:11} {rate:6.0f} alerts/s, {rate_cpu:6.0f} per core, "
            f"{statistics.median(ratios):.0%} of tarfile ({ratios[0]:.0%} to {ratios[-1]:.0%})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="*", default=[2_000, 20_000, 200_000])
    parser.add_argument("--folder", type=Path, help="where there is room: 45 kB an alert, twice")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--night", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        run(asked.way, asked.night)
        return
    with tempfile.TemporaryDirectory(prefix="nights-", dir=asked.folder) as folder:
        night = Path(folder) / "night.tar.gz"
        if asked.rounds:
            measure_speed(night, asked.alerts, asked.rounds)
        for alerts in asked.memory:
            write_night(night, alerts)
            found = measure("add", night, alerts)
            print(f"  {alerts} alerts added with at most {found.peak_mb:.0f} MB, {found.rate:.0f} alerts/s")


if __name__ == "__main__":
    main()
