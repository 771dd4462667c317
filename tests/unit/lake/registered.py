"""A small registered lake for tests: files of made-up ZTF alerts whose cutouts say whose they are."""

import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from stamp_service.lake.adding import Added, add_lake
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.lake import Lake
from stamp_service.lake.lakes import Lakes
from stamp_service.lake.opening import LakeAccess
from stamp_service.surveys import KINDS, Kind, Surveys
from tests.unit.lake.parquet_samples import write


class Row(NamedTuple):
    """An alert: its id, its object and when it was measured; `text` is in its cutouts."""

    candid: int
    object_id: str | None = "ZTF18aaaaaaa"
    jd: float | None = 2459000.5
    text: str = ""


def cutout(row: Row, kind: Kind) -> bytes:
    """Make a cutout that is like no other; its length depends on all of it."""
    return f"{row.candid} {kind} {row.text} ".encode() * (50 + row.candid % 7 + len(row.text))


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write a file of a lake."""
    candidate = pa.struct(
        [
            ("jd", pa.float64()),
            ("ra", pa.float64()),
            ("dec", pa.float64()),
            ("fid", pa.int32()),
            ("magpsf", pa.float32()),
        ]
    )
    stamp = pa.struct([("fileName", pa.string()), ("stampData", pa.binary())])
    columns = {
        "candid": pa.array([row.candid for row in rows], pa.int64()),
        "objectId": pa.array([row.object_id for row in rows], pa.string()),
        "candidate": pa.array(
            [{"jd": row.jd, "ra": 1.5, "dec": -2.5, "fid": 2, "magpsf": 17.25} for row in rows], candidate
        ),
    }
    for kind in KINDS:
        stamps = [{"fileName": "f", "stampData": cutout(row, kind)} for row in rows]
        columns[f"cutout{kind.capitalize()}"] = pa.array(stamps, stamp)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    write(unfinished, pa.table(columns))
    # File systems' clocks may stand still for some milliseconds.
    before = path.stat().st_mtime_ns if path.exists() else 0
    os.utime(unfinished, ns=(before + 10**9, before + 10**9))
    unfinished.replace(path)


class Watcher:
    """Notes what an adding run says."""

    def __init__(self) -> None:
        self.plans: list[tuple[int, int]] = []
        self.refused: dict[str, str] = {}
        self.files: list[str] = []

    def planned(self, files: int, size_bytes: int) -> None:
        self.plans.append((files, size_bytes))

    def done(self, path: str, size_bytes: int, refused: str | None) -> None:
        self.files.append(path)
        if refused is not None:
            self.refused[path] = refused


class House:
    """A data folder and a lake's folder.

    Parameters
    ----------
    folder : pathlib.Path
        An empty folder.
    surveys : Surveys
        The surveys.
    """

    def __init__(self, folder: Path, surveys: Surveys) -> None:
        self.root = folder / "fink"
        self.surveys = surveys
        self.catalogue = Catalogue(folder / "data" / "lakes")
        self.lakes = Lakes(self.catalogue, surveys, LakeAccess())
        self.watcher = Watcher()

    def write(self, path: str, *rows: Row) -> None:
        """Write a file of the lake."""
        write_rows(self.root / path, list(rows))

    def add(self, **options: object) -> Added:
        """Register the lake, or bring it up to date."""
        self.watcher = Watcher()
        return add_lake(
            self.catalogue, self.surveys, LakeAccess(), str(self.root), progress=self.watcher, jobs=2, **options
        )

    @property
    def lake(self) -> Lake:
        """The lake; a service that just started would see the same."""
        (lake,) = self.lakes.all()
        return lake

    def close(self) -> None:
        """Let go of everything."""
        self.lakes.close()
