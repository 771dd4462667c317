"""Memory of a worker after 10^4 and 10^5 distinct requests: pictures, cutouts, and alerts that are not there.

python -m benchmarks.worker_memory
"""

import http.client
import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.serving import fill_bucket, gunicorn, running_s3

CLIENTS = 4
MARKS = (10_000, 100_000)


def path_of(number: int, ids: list[str]) -> str:
    """A request that no other number makes: a third each of new pictures, old pictures and absent alerts."""
    alert_id = ids[number % len(ids)]
    if number % 3 == 0:
        return f"/v1/stamps/ztf/{alert_id}/science.png?interval=percentile&pmin={number / 1e6:.6f}"
    if number % 3 == 1:
        return f"/get_stamp?candid={alert_id}&type=difference&format=fits&number={number}"
    return f"/v1/alerts/ztf/{number + 1}"


def ask(port: int, numbers: range, ids: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in numbers:
        connection.request("GET", path_of(number, ids))
        answer = connection.getresponse()
        answer.read()
        if answer.status not in {200, 404}:
            raise RuntimeError(f"{path_of(number, ids)}: {answer.status}")
    connection.close()


def worker_of(port: int) -> int:
    """Process id of the only worker: the child of the process that listens first."""
    masters = [path for path in Path("/proc").glob("[0-9]*") if f"APP_PORT={port}\0" in environment(path)]
    children = [
        int(child)
        for master in masters
        for child in (master / "task" / master.name / "children").read_text().split()
    ]
    (worker,) = children
    return worker


def environment(process: Path) -> str:
    try:
        return (process / "environ").read_text() + "\0"
    except OSError:
        return ""


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        ids = fill_bucket(folder)
        with running_s3(folder) as s3, gunicorn("app:app", folder, **s3, APP_WORKERS="1") as port:
            sizes = {}
            for done, mark in itertools.pairwise((0, *MARKS)):
                ranges = [range(first, mark, CLIENTS) for first in range(done, done + CLIENTS)]
                with ThreadPoolExecutor(CLIENTS) as pool:
                    list(pool.map(lambda numbers: ask(port, numbers, ids), ranges))
                sizes[mark] = resident_mib(worker_of(port))
                print(f"{mark:7} distinct requests: {sizes[mark]:6.1f} MiB resident", flush=True)
            print(f"ratio {sizes[MARKS[1]] / sizes[MARKS[0]]:.3f}")


if __name__ == "__main__":
    main()
