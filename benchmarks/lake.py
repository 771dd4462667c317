"""One cutout, and three, out of Parquet lakes: Fink's own calls against this project, on the same files.

Fink's calls are `pyarrow.parquet.read_table(path, columns, filters)`, `gzip`, astropy's FITS reader and `tolist`.
Ours are `Lake.read` on a registered lake (find the file and the row, read, compare) and `decode_stamp`; `lists` is
the same with `tolist` after it. `fragment`, `page` and `scan` are the tiers by themselves: with the side index,
with what a scan of the file gives, and with the scan. Files are those of `benchmarks.lake_files`. Outputs are
compared. Ways take turns on rows drawn at random, and the median of the rounds counts: the machine may be shared.

Over HTTP both run under gunicorn with the service's own configuration, and are asked over connections that stay
open. HDFS is a real one on this machine; pyarrow's own HDFS needs Hadoop's libhdfs, so Fink's calls are given the
file system of `hdfs-native` there.

    python -m benchmarks.lake --work FOLDER [--rounds 41] [--only library,http,hdfs]
"""

import argparse
import contextlib
import gzip
import http.client
import io
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.io import fits
from hdfs_native.fsspec import HdfsFileSystem

from benchmarks.lake_files import lake_files
from benchmarks.serving import gunicorn
from stamp_service.images import decode_stamp
from stamp_service.lake.building import build_index, scan_file
from stamp_service.lake.files import Filesystem, FileVersion, Range
from stamp_service.lake.lake import Lake
from stamp_service.lake.lakes import open_lakes
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.opening import LakeAccess, open_filesystem
from stamp_service.lake.reading import read_cutouts
from stamp_service.lake.side_index import SideIndex
from stamp_service.settings import Settings
from stamp_service.surveys import KINDS, Kind, load_surveys
from tests.integration.services.hdfs import running_hdfs

ROOT = Path(__file__).resolve().parents[1]
SURVEYS = load_surveys()
FINK = """
import json
from flask import Flask, jsonify, request
from benchmarks.lake import Row, fink_reads
app = Flask(__name__)
@app.post("/api/v1/cutouts")
def cutouts():
    asked = request.get_json()
    row = Row(asked["survey"], asked["alert_id"], asked["object_id"])
    return jsonify(fink_reads(asked["path"], row, asked["kinds"]))
"""


# Ways that take much longer than others are called once in their turn, the others for so many rows: whoever comes
# after a way that has read 30 MB finds the processor's caches empty, and no server that never does so pays for it.
_SLOW = {"fink", "scan"}
_BLOCK = 10


class Row(NamedTuple):
    """An alert of a lake."""

    survey: str
    alert_id: str
    object_id: str


Images = Sequence[object]
Way = Callable[[Row], Any]


def fink_reads(path: str, row: Row, kinds: Sequence[Kind], filesystem: object = None) -> list[object]:
    """Read cutouts as Fink's cutout API does."""
    columns = [f"cutout{kind.capitalize()}" for kind in kinds]
    if row.survey == "ztf":
        ids, filters = "objectId", [("objectId", "=", row.object_id), ("candid", "=", int(row.alert_id))]
    else:
        # Tuples cannot name fields of structs.
        ids, filters = "diaSource.diaSourceId", pc.field("diaSource", "diaSourceId") == int(row.alert_id)
    table = pq.read_table(path, columns=[ids, *columns], filters=filters, filesystem=filesystem, partitioning=None)
    values = table.to_pydict()
    return [fink_array(values[column][0]) for column in columns]


def fink_array(cutout: bytes | dict[str, bytes]) -> object:
    """Decode a cutout as Fink does."""
    if isinstance(cutout, dict):
        with gzip.open(io.BytesIO(cutout["stampData"]), "rb") as file:
            cutout = file.read()
    with fits.open(io.BytesIO(cutout), ignore_missing_simple=True) as hdus:
        return hdus[0].data.tolist()


def pixels(cutouts: Mapping[Kind, bytes]) -> list[Any]:
    """Decode cutouts."""
    return [decode_stamp(cutout, max_bytes=2**25, max_pixels=2**24).pixels for cutout in cutouts.values()]


class CountingFiles:
    """Files that count what is read of them."""

    def __init__(self, files: Filesystem) -> None:
        self._files = files
        self.bytes = 0
        self.calls = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def read(self, path: str, version: FileVersion, ranges: Sequence[Range]) -> list[bytes]:
        """Read and count."""
        pieces = self._files.read(path, version, ranges)
        self.bytes += sum(map(len, pieces))
        self.calls += 1
        return pieces


@dataclass(frozen=True)
class Case:
    """A file and what it is asked for."""

    label: str
    survey: str
    path: str
    kinds: tuple[Kind, ...]
    rows: list[Row]
    ways: dict[str, Way]
    # What a way gives, as images.
    read: Callable[[Any], Images] = lambda given: given


def measure(cases: Sequence[Case], rounds: int) -> dict[str, dict[str, float]]:
    """Time every way on the same rows, all in turn; medians in milliseconds."""
    times: dict[str, dict[str, list[float]]] = {case.label: {name: [] for name in case.ways} for case in cases}
    for turn in range(rounds + 1):
        for case in cases:
            first = turn * _BLOCK
            rows = [case.rows[number % len(case.rows)] for number in range(first, first + _BLOCK)]
            answers = {}
            for name, way in case.ways.items():
                block = rows[:1] if name in _SLOW else rows
                start = time.perf_counter()
                given = [way(row) for row in block]
                taken_ms = (time.perf_counter() - start) * 1e3 / len(block)
                answers[name] = case.read(given[0])
                if turn:
                    times[case.label][name].append(taken_ms)
            compare(case.label, answers)
    return {label: medians(taken) for label, taken in times.items()}


def medians(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Find the median of each way."""
    return {name: statistics.median(taken) for name, taken in times.items()}


def compare(label: str, answers: Mapping[str, Sequence[Any]]) -> None:
    """Stop if two ways give different pixels."""
    (first, *others) = [[np.asarray(image, np.float32) for image in answer] for answer in answers.values()]
    for other in others:
        for left, right in zip(first, other, strict=True):
            if not np.array_equal(left, right, equal_nan=True):
                sys.exit(f"{label}: the ways disagree")


def sample(survey: str, index: SideIndex, count: int) -> list[Row]:
    """Draw rows of a file that have all cutouts."""
    rows = random.Random(1).sample(range(index.rows), min(count, index.rows))
    full = [row for row in rows if len(index.kinds(row)) == len(KINDS)]
    return [Row(survey, index.alert_id(row), index.object_id(row) or "") for row in full]


@contextlib.contextmanager
def registered(data: Path, urls: Mapping[str, str]) -> Iterator[dict[str, Lake]]:
    """Register a lake for each survey with the command, and open them."""
    environment = os.environ | {"STAMP_DATA_DIR": str(data)}
    program = "from stamp_service.cli import main; main()"
    for name, url in urls.items():
        command = [sys.executable, "-c", program, "lake", "add", url, "--survey", name, "--name", f"{name}-lake"]
        subprocess.run(command, env=environment, check=True)
    lakes = open_lakes(Settings(data_dir=data), SURVEYS)
    try:
        yield {name: lakes.of(name)[0] for name in urls}
    finally:
        lakes.close()


def library_ways(file: Path, survey: str, kinds: tuple[Kind, ...], lake: Lake, index: SideIndex) -> dict[str, Way]:
    """List the ways to read a file on local disk."""
    files = LocalFiles(file.parent)
    definition, version = SURVEYS[survey], files.version(file.name)
    scanned = scan_file(files, file.name, version, definition)

    def ours(row: Row) -> list[Any]:
        return pixels(lake.read(kinds, path=file.name, alert_id=row.alert_id).cutouts)

    def read(index: SideIndex, row: Row) -> list[Any]:
        number = index.find_alert(row.alert_id)
        assert number is not None
        return pixels(read_cutouts(files, file.name, index, number, kinds)[0])

    return {
        "fink": lambda row: fink_reads(str(file), row, kinds),
        "ours": ours,
        "lists": lambda row: [image.tolist() for image in ours(row)],
        "fragment": lambda row: read(index, row),
        "page": lambda row: read(scanned, row),
        "scan": lambda row: read(scan_file(files, file.name, version, definition), row),
    }


def library(work: Path, files: Mapping[tuple[str, int], Path], rounds: int) -> None:
    """Measure the library on local files of several sizes."""
    urls = {name: str(work / "lake" / name) for name in ("ztf", "lsst")}
    with registered(work / "data", urls) as lakes:
        cases = []
        for (survey, size_mb), file in files.items():
            here = LocalFiles(file.parent)
            index = build_index(here, file.name, here.version(file.name), SURVEYS[survey])
            rows = sample(survey, index, rounds * _BLOCK)
            for kinds in (("science",), KINDS):
                label = f"{survey} {size_mb} MB, {len(kinds)}"
                ways = library_ways(file, survey, kinds, lakes[survey], index)
                cases.append(Case(label, survey, file.name, kinds, rows, ways))
            report_bytes(f"{survey} {size_mb} MB", file, index, rows)
        show(measure(cases, rounds))


def report_bytes(label: str, file: Path, index: SideIndex, rows: Sequence[Row]) -> None:
    """Say how many bytes a cutout takes, and how many calls."""
    files = CountingFiles(LocalFiles(file.parent))
    scanned = scan_file(files, file.name, index.version, SURVEYS[index.survey_name])
    for name, known in (("fragment", index), ("page", scanned)):
        files.bytes = files.calls = 0
        for alert in rows[:200]:
            row = known.find_alert(alert.alert_id)
            assert row is not None
            for kind in KINDS:
                read_cutouts(files, file.name, known, row, (kind,))
        count = len(rows[:200]) * len(KINDS)
        print(
            f"{label:16} {name:9} {files.bytes / count / 1e3:8.1f} kB per cutout, {files.calls / count:.1f} reads"
        )


def show(medians: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table of medians and of ratios to Fink's calls."""
    names = list(next(iter(medians.values())))
    print(f"{'ms':18}" + "".join(f"{name:>10}" for name in names) + "   fink / " + ", ".join(names[1:]))
    for label, times in medians.items():
        ratios = "  ".join(f"{times['fink'] / times[name]:6.1f}" for name in names[1:])
        print(f"{label:18}" + "".join(f"{times[name]:10.3f}" for name in names) + "   " + ratios)


class Client:
    """Asks over one connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, body: Mapping[str, object]) -> bytes:
        """Post JSON to the cutout API."""
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/api/v1/cutouts", json.dumps(body), headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            sys.exit(f"{answer.status}: {data[:300]!r}")
        return data


def over_http(work: Path, files: Mapping[tuple[str, int], Path], rounds: int) -> None:
    """Measure arrays over HTTP, end to end."""
    (work / "fink.py").write_text(FINK)
    file = files["ztf", 100]
    here = LocalFiles(file.parent)
    index = build_index(here, file.name, here.version(file.name), SURVEYS["ztf"])
    rows = sample("ztf", index, rounds * _BLOCK)
    with (
        registered(work / "data", {"ztf": str(work / "lake" / "ztf")}),
        gunicorn("app:app", work) as service,
        gunicorn("fink:app", work) as fink,
    ):
        cases = [
            Case(
                f"http 100 MB, {len(kinds)}",
                "ztf",
                file.name,
                kinds,
                rows,
                http_ways(file, kinds, fink, service),
                numbers,
            )
            for kinds in (("science",), KINDS)
        ]
        show(measure(cases, rounds))


def http_ways(file: Path, kinds: tuple[Kind, ...], fink: int, service: int) -> dict[str, Way]:
    """List the ways to ask for an array over HTTP."""
    theirs, ours = Client(fink), Client(service)
    kind = "All" if kinds == KINDS else kinds[0].capitalize()
    known = {"hdfsPath": file.name, "kind": kind}
    return {
        "fink": lambda row: theirs.ask({"path": str(file), **row._asdict(), "kinds": kinds}),
        "ours": lambda row: ours.ask(known | {"objectId": row.object_id, "candid": int(row.alert_id)}),
    }


def numbers(body: bytes) -> list[object]:
    """Read an answer; null and NaN are the same."""
    return [
        [[np.nan if value is None else value for value in line] for line in image] for image in json.loads(body)
    ]


def on_hdfs(_work: Path, files: Mapping[tuple[str, int], Path], rounds: int) -> None:
    """Measure the library on a real HDFS."""
    file = files["ztf", 100]
    with running_hdfs() as hdfs:
        remote = open_filesystem(f"{hdfs.url}/ztf", LakeAccess())
        version = remote.put(file.name, file)
        index = build_index(remote, file.name, version, SURVEYS["ztf"])
        host, port = hdfs.url.removeprefix("hdfs://").split(":")
        theirs = HdfsFileSystem(host=host, port=int(port))

        def ours(row: Row, kinds: tuple[Kind, ...]) -> list[Any]:
            number = index.find_alert(row.alert_id)
            assert number is not None
            return pixels(read_cutouts(remote, file.name, index, number, kinds)[0])

        cases = [
            Case(
                f"hdfs 100 MB, {len(kinds)}", "ztf", file.name, kinds, sample("ztf", index, rounds * _BLOCK),
                {
                    "fink": lambda row, kinds=kinds: fink_reads(f"/ztf/{file.name}", row, kinds, theirs),
                    "ours": lambda row, kinds=kinds: ours(row, kinds),
                },
            )
            for kinds in (("science",), KINDS)
        ]  # fmt: skip
        show(measure(cases, rounds))
        remote.close()


PARTS = {"library": library, "http": over_http, "hdfs": on_hdfs}


def main() -> None:
    """Print bytes per cutout, and tables of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps the files of benchmarks.lake_files")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    work = options.work.resolve()
    files = lake_files(work)
    for name in options.only.split(","):
        PARTS[name](work, files, options.rounds)


if __name__ == "__main__":
    main()
