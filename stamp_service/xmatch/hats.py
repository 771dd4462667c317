"""HATS catalogues, through lsdb: Parquet files by place on the sky; only those near an alert are read.

An alert near the border of a partition may match an entry beyond it. So a partition is matched with every alert
that is closer to its centre than its farthest corner and the matching distance together: a few too many, which
matching then drops, and never too few. No margin catalogue is needed.
"""

import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import cdshealpix
import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from tqdm import tqdm

from stamp_service.errors import ConfigurationError, RequestError, StoreUnavailable
from stamp_service.xmatch.catalogues import from_arrow
from stamp_service.xmatch.matching import Pairs, Positions, in_order, join, match

_MARKS = ("collection.properties", "hats.properties", "properties")
# Partitions have up to a million rows: so many are read at the same time.
_AT_ONCE = 4
# Edges of HEALPix cells bend outwards between their corners; by far less than this.
_SLACK = 1.05


def is_hats(path: Path) -> bool:
    """Say whether a folder is a HATS catalogue.

    Parameters
    ----------
    path : pathlib.Path
        Any path.

    Returns
    -------
    bool
        True if it has the properties file of one.
    """
    return any((path / mark).is_file() for mark in _MARKS)


def match_hats(first: Table, positions: Positions, path: str, max_distance_arcsec: float) -> Table:
    """Match a table with a HATS catalogue.

    Parameters
    ----------
    first : astropy.table.Table
        The table.
    positions : Positions
        Its positions.
    path : str
        The catalogue's folder, or an address that lsdb opens.
    max_distance_arcsec : float
        The largest distance.

    Returns
    -------
    astropy.table.Table
        As `join` gives it.

    Raises
    ------
    ConfigurationError
        If lsdb is not installed, or what opens addresses of this kind.
    RequestError
        If this is no HATS catalogue.
    StoreUnavailable
        If it cannot be read.
    """
    catalogue = _open(path)
    info = catalogue.hc_structure.catalog_info
    pixels = list(catalogue.get_healpix_pixels())
    parts: list[Table] = [_read(catalogue, ())[0]]
    pairs: list[Pairs] = []
    start = len(parts[0])
    near = [(pixels[number], rows) for number, rows in _near(pixels, positions, max_distance_arcsec)]
    waiting = iter(near)
    with tqdm(total=len(near), desc="match", unit="partition", disable=None, leave=False) as bar:
        while batch := list(islice(waiting, _AT_ONCE)):
            tables = _read(catalogue, [pixel for pixel, _ in batch])
            for (_, rows), table in zip(batch, tables, strict=True):
                found = match(
                    positions.only(rows),
                    Positions.of(table, (info.ra_column, info.dec_column)),
                    max_distance_arcsec,
                )
                used, second = np.unique(found.second, return_inverse=True)
                pairs.append(Pairs(found.first, second + start, found.distance_arcsec))
                parts.append(table[used])
                start += len(used)
            bar.update(len(batch))
    return join(first, vstack(parts, metadata_conflicts="silent"), _together(pairs))


def _together(pairs: Sequence[Pairs]) -> Pairs:
    if not pairs:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return in_order(
        Pairs(
            np.concatenate([part.first for part in pairs]),
            np.concatenate([part.second for part in pairs]),
            np.concatenate([part.distance_arcsec for part in pairs]),
        )
    )


def _import_lsdb() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lsdb sets options that newer pandas call deprecated
            import lsdb  # noqa: PLC0415 - an extra, which takes seconds to import
    except ImportError:
        raise ConfigurationError("HATS catalogues need lsdb: install stamp-service[xmatch]") from None
    module: ModuleType = lsdb
    return module


def _open(path: str) -> Any:  # noqa: ANN401 - lsdb is an extra without types
    lsdb = _import_lsdb()
    name = path.rstrip("/").rpartition("/")[2]
    try:
        return lsdb.open_catalog(path)
    except (FileNotFoundError, ValueError) as error:
        raise RequestError(f"{name} is not a HATS catalogue") from error
    except ImportError:
        # What opens addresses of this kind, s3fs for instance.
        raise ConfigurationError(
            f"the package that opens {path.partition('://')[0]}:// is not installed"
        ) from None
    except OSError as error:
        raise StoreUnavailable(f"the catalogue {name} could not be read") from error


def _read(catalogue: Any, pixels: Sequence[Any]) -> list[Table]:  # noqa: ANN401 - lsdb is an extra without types
    """Read partitions side by side; without any, an empty table with the catalogue's columns."""
    import pyarrow as pa  # noqa: PLC0415 - comes with lsdb
    from dask.base import compute  # noqa: PLC0415 - comes with lsdb

    if not pixels:
        return [from_arrow(pa.Table.from_pandas(catalogue.meta, preserve_index=False))]
    parts = [part for pixel in pixels for part in catalogue.get_partition(pixel.order, pixel.pixel).to_delayed()]
    try:
        frames = compute(*parts)  # type: ignore[no-untyped-call]  # dask publishes none for it
    except OSError as error:
        raise StoreUnavailable(f"the catalogue {catalogue.name} could not be read") from error
    return [from_arrow(pa.Table.from_pandas(frame, preserve_index=False)) for frame in frames]


def _near(
    pixels: Sequence[Any], positions: Positions, max_distance_arcsec: float
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Find the partitions that may hold matches, and for each the positions to match it with."""
    if not pixels or positions.rows.size == 0:
        return
    from scipy.spatial import KDTree  # noqa: PLC0415 - comes with lsdb

    centres = np.empty((len(pixels), 3))
    radii_rad = np.empty(len(pixels))
    for order in {pixel.order for pixel in pixels}:
        at = np.array([number for number, pixel in enumerate(pixels) if pixel.order == order])
        cells = np.array([pixels[number].pixel for number in at], dtype=np.uint64)
        middle = SkyCoord(*cdshealpix.healpix_to_lonlat(cells, order))
        corners = SkyCoord(*cdshealpix.vertices(cells, order))
        centres[at] = middle.cartesian.xyz.value.T
        radii_rad[at] = _SLACK * middle[:, np.newaxis].separation(corners).rad.max(axis=1)
    reach_rad = np.minimum(radii_rad + (max_distance_arcsec * u.arcsec).to_value(u.rad), np.pi)
    tree = KDTree(positions.sky.cartesian.xyz.value.T)
    chords = 2 * np.sin(reach_rad / 2) + 1e-12
    for number, near in enumerate(tree.query_ball_point(centres, chords)):
        if near:
            yield number, np.array(near, dtype=np.int64)
