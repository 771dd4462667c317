"""Growth: time per packet with 10^3 and with 10^6 alerts in the local store, and memory per distinct request.

Packets are small and written straight into the store's layout, without flushing, because a million flushed writes
take hours and the look-up does not know how its files came to be. Both stores are read in turn, at random, and the
best of several rounds counts; what is read was read before, so that the disk is not what is measured.

    python benchmarks/growth.py [--many 1000000] [--folder DIR]

Needs some 4 GB of disk while it runs.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stamp_service.packets import write_ocf
from stamp_service.resolver import Resolver
from stamp_service.stores import LocalStore, MemoryStore
from stamp_service.surveys import load_surveys

ZTF = load_surveys()["ztf"]
FIRST_ID, FEW, READS = 820128985515010010, 1000, 1000
SCHEMA = {
    "type": "record",
    "name": "alert",
    "fields": [{"name": "objectId", "type": "string"}, {"name": "candid", "type": "long"}],
}


def packet_of(alert_id: str) -> bytes:
    return write_ocf(SCHEMA, {"objectId": "ZTF18acuwwpp", "candid": int(alert_id)})


def fill(folder: Path, count: int) -> LocalStore:
    store = LocalStore(folder, 2**20)
    packet, made = packet_of("1"), set()
    for number in range(count):
        path = store._path(ZTF, str(FIRST_ID + number))
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(packet)
    return store


def time_us(get: Callable[[str], object], alert_ids: list[str]) -> float:
    started = time.perf_counter()
    for alert_id in alert_ids:
        get(alert_id)
    return (time.perf_counter() - started) / len(alert_ids) * 1e6


def measure_stores(folder: Path, many: int, rounds: int) -> None:
    stores = {count: fill(folder / str(count), count) for count in (FEW, many)}
    dice = random.Random(1)
    asked = {count: [str(FIRST_ID + dice.randrange(count)) for _ in range(READS)] for count in stores}
    best = dict.fromkeys(stores, float("inf"))
    for _ in range(rounds):
        for count, store in stores.items():
            best[count] = min(best[count], time_us(lambda alert_id, s=store: s.get(ZTF, alert_id), asked[count]))
    for count, cost in best.items():
        print(f"{count:9d} alerts: {cost:6.1f} us per packet")
    print(f"ratio {best[many] / best[FEW]:.2f}")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure_memory() -> None:
    """Ask a resolver with a full cache for 10^4 and then 10^5 different packets of 70 kB."""
    store = MemoryStore()
    resolver = Resolver({"ztf": [store]}, cache_bytes=64 * 2**20)
    fill_bytes = random.Random(2).randbytes(70_000)
    sizes = {}
    for number in range(1, 100_001):
        store._packets = {("ztf", str(number)): fill_bytes[:-8] + number.to_bytes(8, "big")}
        resolver.packet(ZTF, str(number))
        if number in {10_000, 100_000}:
            sizes[number] = resident_bytes()
    resolver.close()
    for number, size in sizes.items():
        print(f"{number:9d} distinct requests: {size / 2**20:6.1f} MiB resident")
    print(f"ratio {sizes[100_000] / sizes[10_000]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    measure_memory()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        measure_stores(folder, options.many, options.rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
