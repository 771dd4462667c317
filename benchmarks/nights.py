"""Reading a night: this project's reader against `tarfile` alone, and how much memory each takes.

A synthetic night is a .tar.gz of real ZTF packets in an order of chance. Both ways read every packet to its last
byte, and their sums of bytes are compared. Each run is a process of its own, so that its peak memory is its own.

    python -m benchmarks.nights [--alerts 20000] [--rounds 3] [--data ../shared/data]
"""

import argparse
import io
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from stamp_service.ztf_archive import iter_night

ROOT = Path(__file__).resolve().parents[1]


def write_night(path: Path, packets: list[bytes], alerts: int) -> None:
    """Write packets again and again, in an order of chance, under new names."""
    chance = random.Random(1)
    with tarfile.open(path, "w:gz", compresslevel=1) as night:
        for number in range(alerts):
            packet = chance.choice(packets)
            member = tarfile.TarInfo(f"{10**17 + number}.avro")
            member.size = len(packet)
            night.addfile(member, io.BytesIO(packet))
            night.members.clear()


def read_ours(path: Path) -> int:
    return sum(len(packet) for packet, _ in iter_night(path))


def read_tarfile(path: Path) -> int:
    size = 0
    with tarfile.open(path, "r|gz") as night:
        for member in night:
            file = night.extractfile(member)
            assert file is not None
            size += len(file.read())
    return size


WAYS = {"iter_night": read_ours, "tarfile": read_tarfile}


def measure(way: str, path: Path) -> tuple[int, float, float]:
    """Read in a process of its own; gives bytes, seconds and the peak of its memory in MB."""
    command = [sys.executable, "-m", "benchmarks.nights", "--way", way, "--night", str(path)]
    size, seconds, peak_mb = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.split()
    return int(size), float(seconds), float(peak_mb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--night", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        start = time.perf_counter()
        size = WAYS[asked.way](asked.night)
        print(size, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    packets = [file.read_bytes() for file in sorted((asked.data / "alerts/ztf").glob("*.avro"))]
    with tempfile.TemporaryDirectory() as folder:
        for alerts in (max(asked.alerts // 10, 1), asked.alerts):
            night = Path(folder) / "night.tar.gz"
            write_night(night, packets, alerts)
            found = {way: [measure(way, night) for _ in range(asked.rounds)] for way in WAYS}
            assert len({size for runs in found.values() for size, _, _ in runs}) == 1
            print(f"{alerts} alerts, {night.stat().st_size / 1e6:.0f} MB")
            for way, runs in found.items():
                seconds = statistics.median(run[1] for run in runs)
                peak_mb = max(run[2] for run in runs)
                print(f"  {way:11} {alerts / seconds:8.0f} alerts/s  {seconds:7.2f} s  {peak_mb:5.0f} MB")


if __name__ == "__main__":
    main()
