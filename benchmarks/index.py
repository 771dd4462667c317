"""The index with 10^5 to 10^7 alerts, in SQLite and in PostgreSQL: building, finding, and room on the disk.

Ten alerts per object, in the order of their times, as a stream brings them: nights of 200,000 alerts, north of
declination -30 degrees. They are added a thousand at a time, as the archive step does by default, without the time
that making them takes. Objects, times and positions to ask for are drawn at random; each is asked for once, and
the database's own cache is as it is after the building. A cone is asked for with a limit of 100 alerts.

    python -m benchmarks.index [--sizes 100000 1000000] [--databases sqlite postgresql] [--folder DIR]

PostgreSQL is started for it as the tests do, but with its own care about the disk. 10^7 alerts need some 10 GB
while it runs.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import psycopg

from stamp_service.index import AlertIndex, Cone, IndexedAlert, open_index
from stamp_service.settings import load_settings
from tests.integration.services.postgres import running_postgres

BATCH, PER_OBJECT, PER_NIGHT, FIRST_NIGHT = 1000, 10, 200_000, 59_000
LIMIT, ASKED = 100, 2000
CONES = {"5 arcsec": 5.0, "1 arcmin": 60.0, "5 deg": 18_000.0}
# What a server for this would be given; durability is left as PostgreSQL has it.
OPTIONS = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"} | {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
}


def object_name(number: int) -> str:
    letters = "".join(chr(97 + number // 26**place % 26) for place in range(7))
    return f"ZTF18{letters}"


class Sky:
    """Where objects are, and when they were seen."""

    def __init__(self, alerts: int) -> None:
        dice = np.random.default_rng(alerts)
        self.alerts, self.objects = alerts, alerts // PER_OBJECT
        self.ra_deg = dice.uniform(0, 360, self.objects)
        self.dec_deg = np.degrees(np.arcsin(dice.uniform(-0.5, 1, self.objects)))
        self.nights = max(1, alerts // PER_NIGHT)

    def time_mjd(self, number: int) -> float:
        night, part = divmod(number, PER_NIGHT)
        return FIRST_NIGHT + night + 0.2 + 0.3 * part / PER_NIGHT

    def batches(self) -> Iterator[list[IndexedAlert]]:
        dice, numbers = np.random.default_rng(1), count()
        for _ in range(PER_OBJECT):
            order = dice.permutation(self.objects).tolist()
            for first in range(0, self.objects, BATCH):
                yield [self._alert(next(numbers), own) for own in order[first : first + BATCH]]

    def _alert(self, number: int, own: int) -> IndexedAlert:
        ra_deg, dec_deg = self.position(own)
        return IndexedAlert(
            survey="ztf",
            alert_id=str(820128985515010010 + 1000 * number),
            object_id=object_name(own),
            time_mjd=self.time_mjd(number),
            ra_deg=ra_deg + random.gauss(0, 3e-5),
            dec_deg=dec_deg + random.gauss(0, 3e-5),
            band="gr"[number % 2],
            magnitude=random.uniform(15, 21),
            flux_njy=None,
            kinds=("science", "template", "difference"),
            place="packed",
        )

    def position(self, own: int) -> tuple[float, float]:
        return float(self.ra_deg[own]), min(89.9, float(self.dec_deg[own]))


def build(index: AlertIndex, sky: Sky) -> tuple[float, float]:
    """Add all alerts; gives alerts/s over everything, and over the last tenth."""
    spent: list[float] = []
    for batch in sky.batches():
        started_s = time.perf_counter()
        assert index.add(batch) == len(batch)
        spent.append((time.perf_counter() - started_s) / len(batch))
    return 1 / statistics.fmean(spent), 1 / statistics.fmean(spent[-max(1, len(spent) // 10) :])


def timed(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    call()
    return (time.perf_counter() - started_s) * 1e3


def questions(index: AlertIndex, sky: Sky) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Name questions, and say how often each is asked."""
    dice = random.Random(7)

    def position() -> tuple[float, float]:
        return sky.position(dice.randrange(sky.objects))

    def night() -> dict[str, float]:
        since_mjd = FIRST_NIGHT + dice.randrange(sky.nights)
        return {"since_mjd": since_mjd, "until_mjd": since_mjd + 1}

    def since() -> float:
        return sky.time_mjd(dice.randrange(sky.alerts))

    yield "object", ASKED, lambda: index.alerts_of("ztf", object_name(dice.randrange(sky.objects)))
    yield "times, a page of 100", ASKED // 4, lambda: index.search("ztf", since_mjd=since(), limit=LIMIT)
    for name, radius in CONES.items():
        asked = ASKED // 4 if radius < 100 else 25
        yield (
            f"cone of {name}",
            asked,
            lambda radius=radius: index.search("ztf", cone=Cone(*position(), radius), limit=LIMIT),
        )
        yield (
            f"cone of {name}, one night",
            asked,
            lambda radius=radius: index.search("ztf", cone=Cone(*position(), radius), limit=LIMIT, **night()),
        )


@contextmanager
def sqlite(file: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """Have a database; gives its address, and how to find out how large it is."""

    def files() -> list[Path]:
        return list(file.parent.glob(f"{file.name}*"))

    try:
        yield f"sqlite:///{file}", lambda: sum(path.stat().st_size for path in files())
    finally:
        for path in files():
            path.unlink()


@contextmanager
def postgresql() -> Iterator[tuple[str, Callable[[], int]]]:
    with running_postgres(**OPTIONS) as server, server.database() as url:

        def size_bytes() -> int:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE alerts")  # as the server would by itself, a minute later
                return connection.execute("SELECT pg_total_relation_size('alerts')").fetchone()[0]

        yield url, size_bytes


def measure(name: str, size: int, folder: Path) -> None:
    sky = Sky(size)
    with sqlite(folder / f"{size}.sqlite") if name == "sqlite" else postgresql() as (url, size_bytes):
        settings = load_settings(data_dir=folder, index_url=url, index_timeout_s=600)
        with closing(open_index(settings)) as index:
            index.check()
            overall, last = build(index, sky)
            print(
                f"\n{name}, {size:,} alerts: {overall:,.0f} alerts/s added, {last:,.0f} in the last tenth,", end=""
            )
            print(f" {size_bytes() / size:.0f} bytes each")
            for question, asked, ask in questions(index, sky):
                ask()
                spent = sorted(timed(ask) for _ in range(asked))
                median, p99 = statistics.median(spent), spent[int(0.99 * (asked - 1))]
                print(f"  {question:28} median {median:9.2f} ms, p99 {p99:9.2f} ms, {asked} times", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--folder", type=Path, help="where SQLite's files lie meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for size in options.sizes:
            for name in options.databases:
                measure(name, size, Path(folder))


if __name__ == "__main__":
    main()
