"""Positions as numbers: HEALPix cells, and the cells that cover a cone.

Every position is kept as its nested cell at depth 29, the deepest, 0.4 milliarcseconds wide. In the nested order a
cell of any coarser depth is one range of these numbers, so the covering of a cone may be as fine as that cone
needs, and a look-up reads a few ranges of one index whatever the radius.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTH = 29
# A covering is computed two depths deeper than it is given in, and none is deeper than DEPTH.
_FINEST_COVERING = DEPTH - 2
# Width of a cell at depth 0: sqrt(4 pi / 12) rad.
_WIDEST_CELL_DEG = 58.632
# What rounding may do to a position, and more: 4 milliarcseconds.
_MARGIN_DEG = 1e-6
_ARCSEC_PER_DEG = 3600.0


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky.

    Parameters
    ----------
    ra_deg : float
        Right ascension of its centre, ICRS, degrees; any angle.
    dec_deg : float
        Declination of its centre, ICRS, degrees, -90 to 90.
    radius_arcsec : float
        Radius, arcseconds, above 0 and up to the whole sky.

    Raises
    ------
    ValueError
        If there is no such circle.
    """

    ra_deg: float
    dec_deg: float
    radius_arcsec: float

    def __post_init__(self) -> None:
        is_circle = math.isfinite(self.ra_deg) and abs(self.dec_deg) <= 90 and 0 < self.radius_deg <= 180
        if not is_circle:
            raise ValueError("a cone has a right ascension, a declination of -90 to 90 and a radius above 0")

    @property
    def radius_deg(self) -> float:
        """The radius in degrees."""
        return self.radius_arcsec / _ARCSEC_PER_DEG

    def contains(self, ra_deg: float, dec_deg: float) -> bool:
        """Say whether a position is within the radius.

        Parameters
        ----------
        ra_deg, dec_deg : float
            ICRS, degrees.

        Returns
        -------
        bool
            True if it is, or lies on the edge.
        """
        return separation_deg(self.ra_deg, self.dec_deg, ra_deg, dec_deg) <= self.radius_deg


def separation_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Angle between two positions.

    Parameters
    ----------
    ra1_deg, dec1_deg, ra2_deg, dec2_deg : float
        ICRS, degrees.

    Returns
    -------
    float
        Degrees, 0 to 180; Vincenty's formula on a sphere (Vincenty 1975, Survey Review 23, 88), which is exact at
        the poles, for tiny angles and for opposite points.
    """
    dec1, dec2, delta = math.radians(dec1_deg), math.radians(dec2_deg), math.radians(ra2_deg - ra1_deg)
    sin1, cos1, sin2, cos2 = math.sin(dec1), math.cos(dec1), math.sin(dec2), math.cos(dec2)
    across = math.hypot(cos2 * math.sin(delta), cos1 * sin2 - sin1 * cos2 * math.cos(delta))
    along = sin1 * sin2 + cos1 * cos2 * math.cos(delta)
    return math.degrees(math.atan2(across, along))


def cells_of(positions: Sequence[tuple[float | None, float | None]]) -> list[int | None]:
    """Find the cells of positions.

    Parameters
    ----------
    positions : sequence of tuple
        Right ascension and declination, ICRS, degrees.

    Returns
    -------
    list of int or None
        Nested cells at `DEPTH`; None for what is no position: missing, NaN, or beyond a pole.
    """
    table: NDArray[np.float64] = np.array(positions, dtype=np.float64).reshape(-1, 2)  # None becomes NaN
    valid = np.isfinite(table).all(axis=1) & (np.abs(table[:, 1]) <= 90)
    if not valid.any():
        return [None] * len(table)
    from astropy import units  # noqa: PLC0415 - takes half a second, and most processes never write
    from astropy.coordinates import Latitude, Longitude  # noqa: PLC0415
    from cdshealpix.nested import lonlat_to_healpix  # noqa: PLC0415

    lon, lat = Longitude(table[valid, 0], units.deg), Latitude(table[valid, 1], units.deg)
    found = iter(lonlat_to_healpix(lon, lat, DEPTH).tolist())
    return [next(found) if is_valid else None for is_valid in valid.tolist()]


def covering(cone: Cone) -> list[tuple[int, int]]:
    """Cover a cone with cells.

    Parameters
    ----------
    cone : Cone
        The circle.

    Returns
    -------
    list of tuple of int
        First and last cell at `DEPTH` of each range, sorted, apart from each other. Every position in the cone is
        in one of them, and some that are not.
    """
    from astropy import units  # noqa: PLC0415 - as above
    from astropy.coordinates import Latitude, Longitude  # noqa: PLC0415
    from cdshealpix.nested import cone_search  # noqa: PLC0415

    radius_deg = min(cone.radius_deg + _MARGIN_DEG, 180.0)
    # Cells half as wide as the radius: some ten ranges, and a fifth more sky than the cone.
    depth = math.floor(math.log2(_WIDEST_CELL_DEG / radius_deg)) + 1
    found, depths, _ = cone_search(
        Longitude(cone.ra_deg, units.deg),
        Latitude(cone.dec_deg, units.deg),
        radius_deg * units.deg,
        depth=min(max(depth, 0), _FINEST_COVERING),
    )
    ranges: list[tuple[int, int]] = []
    for cell, shift in sorted(
        zip(found.tolist(), (2 * (DEPTH - depths.astype(int))).tolist(), strict=True),
        key=lambda item: item[0] << item[1],
    ):
        first, last = cell << shift, ((cell + 1) << shift) - 1
        if ranges and ranges[-1][1] == first - 1:
            first, _ = ranges.pop()
        ranges.append((first, last))
    return ranges
