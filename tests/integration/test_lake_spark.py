"""Lakes as Spark writes them: every tier gives every row's cutouts, byte for byte."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stamp_service.lake.building import build_index, scan_file
from stamp_service.lake.files import FileVersion, Range
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.reading import read_cutouts
from tests.integration.services.spark import running_spark
from tests.lake_rows import replicate, write_source

SOURCES = {"ztf": ("fink_ztf_datatest", 20), "lsst": ("fink_lsst_or4_v7.1", 12)}
WAYS = {
    "default": {},
    # What doc/lake.md recommends.
    "pleasant": {
        "parquet.page.size": 65536,
        "parquet.page.size.row.check.min": 1,
        "parquet.page.size.row.check.max": 1,
    },
    # Data page v2, which only pyarrow reads here.
    "version 2": {"parquet.writer.version": "PARQUET_2_0"},
}


@dataclass
class CountingFiles(LocalFiles):
    """Local files that count what is read."""

    root: Path
    read_bytes: int = 0
    requests: list[int] = field(default_factory=list)

    def __post_init__(self):
        super().__init__(self.root)

    def read(self, path: str, version: FileVersion, ranges: Sequence[Range]) -> list[bytes]:
        pieces = super().read(path, version, ranges)
        self.read_bytes += sum(map(len, pieces))
        self.requests.append(len(ranges))
        return pieces


@dataclass(frozen=True)
class SparkFile:
    """A file that Spark wrote, and the cutouts that pyarrow finds in it."""

    files: CountingFiles
    path: str
    survey: object
    alert_ids: list[str]
    object_ids: list[str]
    cutouts: list[dict[str, bytes]]


@pytest.fixture(scope="module")
def lake(shared_data, surveys, tmp_path_factory) -> dict[tuple[str, str], SparkFile]:
    """The real rows, many times over, as Spark writes them each way."""
    work, root = tmp_path_factory.mktemp("spark"), tmp_path_factory.mktemp("lake")
    found = {}
    with running_spark(work) as spark:
        for name, (stem, copies) in SOURCES.items():
            table = replicate(shared_data / "lake" / f"{stem}.snappy.parquet", copies)
            write_source(table, source := work / f"{name}.parquet")
            for way, options in WAYS.items():
                written = spark.rewrite(source, root / name / way.replace(" ", "-"), options)
                found[name, way] = describe(root, written, surveys[name])
    return found


def describe(root: Path, file: Path, survey) -> SparkFile:
    table = pq.read_table(file, partitioning=None)
    return SparkFile(
        CountingFiles(root),
        file.relative_to(root).as_posix(),
        survey,
        [str(value) for value in column(table, survey.alert_id.fields)],
        [str(value) for value in column(table, survey.object_id.fields)],
        [
            {kind: value for kind, value in zip(survey.kinds, values, strict=True) if value is not None}
            for values in zip(*(column(table, survey.cutouts[kind].fields) for kind in survey.kinds), strict=True)
        ],
    )


def column(table, paths):
    """The first of some dotted paths that a table has, as Python values."""
    names = next(path.split(".") for path in paths if path.split(".")[0] in table.column_names)
    found = table[names[0]].combine_chunks()
    for name in names[1:]:
        found = found.field(name)
    return found.to_pylist()


@pytest.mark.parametrize("way", ["default", "pleasant"])
@pytest.mark.parametrize("name", SOURCES)
def test_an_indexed_file_gives_every_cutout_by_fragment(lake, name, way):
    file = lake[name, way]
    index = build_index(file.files, file.path, file.files.version(file.path), file.survey)
    assert index.tier == "fragment"
    assert index.rows == len(file.alert_ids) == len(set(file.alert_ids)) > 500
    file.files.read_bytes = 0
    for row, (alert_id, expected) in enumerate(zip(file.alert_ids, file.cutouts, strict=True)):
        assert index.find_alert(alert_id) == row
        cutouts, tier = read_cutouts(file.files, file.path, index, row, file.survey.kinds)
        assert cutouts == expected
        assert tier == "fragment"
    count = sum(map(len, file.cutouts))
    assert file.files.read_bytes / count < 100_000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SOURCES)
def test_a_file_without_index_gives_the_same(lake, name, way):
    file = lake[name, way]
    index = scan_file(file.files, file.path, file.files.version(file.path), file.survey)
    assert index.tier == ("pyarrow" if way == "version 2" else "page")
    for row in random.Random(way).sample(range(index.rows), 40 if index.tier == "page" else 5):
        assert index.find_alert(file.alert_ids[row]) == row
        cutouts, tier = read_cutouts(file.files, file.path, index, row, file.survey.kinds)
        assert cutouts == file.cutouts[row]
        assert tier == index.tier


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_that_does_not_fit_is_indexed_for_pyarrow(lake, name):
    file = lake[name, "version 2"]
    index = build_index(file.files, file.path, file.files.version(file.path), file.survey)
    assert index.tier == "pyarrow"
    row = index.rows // 2
    assert index.find_alert(file.alert_ids[row]) == row
    assert read_cutouts(file.files, file.path, index, row, file.survey.kinds) == (file.cutouts[row], "pyarrow")


@pytest.mark.parametrize("name", SOURCES)
def test_the_recommended_options_make_pages_small(lake, name):
    read = {}
    for way in ("default", "pleasant"):
        file = lake[name, way]
        index = scan_file(file.files, file.path, file.files.version(file.path), file.survey)
        file.files.read_bytes = 0
        read_cutouts(file.files, file.path, index, 150, ("science",))
        read[way] = file.files.read_bytes
    # A hundred rows to a page, or as many as 64 KiB hold.
    assert read["default"] > 1_000_000
    assert read["pleasant"] < 150_000


@pytest.mark.parametrize("name", SOURCES)
def test_an_object_is_found(lake, name):
    file = lake[name, "default"]
    index = build_index(file.files, file.path, file.files.version(file.path), file.survey)
    for row in (0, 170, index.rows - 1):
        assert row in index.find_object(file.object_ids[row])
