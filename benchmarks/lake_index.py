"""Finding a file for an id: what a look-up costs with 10^5 to 10^8 ids, how it grows, and what merging costs.

Keys are hashes, so random ones stand for those of any ids. Each size is written as ten segments, which are merged
into one, and looked up: *hot*, in the page cache; *cold*, after the system was told to forget the file, with the
number of pages that were fetched. Then a small real lake is read by id while its index holds that many more.

    python benchmarks/lake_index.py [--sizes 100000 1000000 10000000] [--folder DIR]

10^8 ids of objects take 4 GB of disk while they are merged: ask for them with `--sizes 100000000`.
"""

import argparse
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stamp_service.demo import write_demo_lake
from stamp_service.lake.adding import add_lake
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.catalogue_writer import open_writer
from stamp_service.lake.lakes import Lakes
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.opening import LakeAccess
from stamp_service.lake.segments import Entries, IdKind, Segment, key_of, keys_of, merge_segments, write_segment
from stamp_service.surveys import load_surveys

PARTS, FILES, HOT, COLD = 10, 10_000, 20_000, 100
SURVEYS = load_surveys()


class Silent:
    def planned(self, files: int, size_bytes: int) -> None: ...

    def done(self, path: str, size_bytes: int, refused: str | None) -> None: ...


def fill(folder: Path, kind: IdKind, count: int) -> tuple[Path, float]:
    """Write a segment by merging ten; gives it and the seconds that merging took."""
    dice = np.random.default_rng(count)
    parts = []
    for part in range(PARTS):
        size = count // PARTS
        times = dice.random(size) if kind == "object" else None
        keys = dice.integers(0, 2**64, size, dtype=np.uint64)
        parts.append(folder / f"{kind}-{part}")
        write_segment(parts[-1], Entries(keys, dice.integers(0, FILES, size).astype(np.uint32), times))
    started_s = time.perf_counter()
    merged = folder / f"{kind}-{count}"
    merge_segments(merged, [Segment(part) for part in parts], np.ones(FILES, bool))
    took_s = time.perf_counter() - started_s
    for part in parts:
        part.unlink()
    return merged, took_s


def hot_us(path: Path, keys: list[int]) -> float:
    segment = Segment(path)
    best = float("inf")
    for _ in range(3):
        started_s = time.perf_counter()
        for key in keys:
            segment.find(key)
        best = min(best, time.perf_counter() - started_s)
    return best / len(keys) * 1e6


def forget(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold_us(path: Path, keys: list[int]) -> tuple[float, float]:
    """Look keys up, each in a file that is not in the page cache; gives the time and the pages that were read."""
    spent, faults = 0.0, 0
    for key in keys:
        forget(path)
        segment = Segment(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        started_s = time.perf_counter()
        segment.find(key).files.tolist()
        spent += time.perf_counter() - started_s
        faults += resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before
        del segment
    return spent / len(keys) * 1e6, faults / len(keys)


def some_keys(path: Path, count: int) -> list[int]:
    entries, dice = Segment(path).entries, random.Random(1)
    return [int(entries.keys[dice.randrange(len(entries))]) for _ in range(count)]


def time_us(call: Callable[[], object], times: int = 500) -> float:
    best = float("inf")
    for _ in range(5):
        started_s = time.perf_counter()
        for _ in range(times):
            call()
        best = min(best, time.perf_counter() - started_s)
    return best / times * 1e6


def measure_segments(folder: Path, kind: IdKind, sizes: list[int]) -> None:
    print(f"{kind} ids     bytes/id   merged Mid/s     hot us    cold us   pages read")
    for count in sizes:
        path, merge_s = fill(folder, kind, count)
        hot = hot_us(path, some_keys(path, HOT))
        cold, faults = cold_us(path, some_keys(path, COLD))
        per_id = path.stat().st_size / count
        merged = count / merge_s / 1e6
        print(f"{count:>11,} {per_id:>10.1f} {merged:>14.1f} {hot:>10.1f} {cold:>10.0f} {faults:>12.1f}")
        path.unlink()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory so far, mapped files included: {peak_mb:.0f} MB")


def measure_reads(folder: Path, sizes: list[int]) -> None:
    """Read a small lake by id, beside ever more ids of files that are not there."""
    files = LocalFiles(folder / "lake")
    (folder / "lake").mkdir()
    list(write_demo_lake(files, SURVEYS["ztf"], 20))
    catalogue = Catalogue(folder / "data")
    row = add_lake(catalogue, SURVEYS, LakeAccess(), files.url, progress=Silent()).lake
    lakes = Lakes(catalogue, SURVEYS, LakeAccess())
    (lake,) = lakes.all()
    index = lake._indexes().current(catalogue.files(row.id)[0].path)
    alert_id, object_id = index.alert_id(0), index.object_id(0)
    print("\nindexed ids   find alert us   read by alert us   read by object us")
    for count in [0, *sizes]:
        for kind in ("alert", "object") if count else ():
            path, _ = fill(folder, kind, count)
            path.rename(catalogue.segment_path(row.name, path.name))
            with open_writer(catalogue) as writer:
                writer.commit(row.id, segments=[(kind, path.name, count)])
        time.sleep(0.1)
        find = time_us(lambda: lake.alert(alert_id))
        by_alert = time_us(lambda: lake.read(["science"], alert_id=alert_id))
        by_object = time_us(lambda: lake.read(["science"], object_id=object_id))
        print(f"{count:>11,} {find:>15.1f} {by_alert:>18.1f} {by_object:>19.1f}")
    lakes.close()


def measure_hashing() -> None:
    texts = [str(820128985515010010 + number).encode() for number in range(1_000_000)]
    started_s = time.perf_counter()
    keys_of(texts)
    print(f"\nhashing when indexing: {time.perf_counter() - started_s:.2f} us per id")
    print(f"hashing when looking up: {time_us(lambda: key_of('820128985515010010')):.2f} us")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured; default: a temporary one")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        for id_kind in ("alert", "object"):
            measure_segments(scratch, id_kind, arguments.sizes)
        measure_hashing()
        measure_reads(scratch, arguments.sizes)
    finally:
        shutil.rmtree(scratch)
