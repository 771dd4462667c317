"""Pairs of positions that lie close together, and the table of what they pair."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import Column, Table

from stamp_service.xmatch.positions import Degrees, find_positions

DISTANCE = "angDist"
_SUFFIX = "_2"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Which row of one table matches which row of another.

    Parameters
    ----------
    first, second : ndarray
        Row numbers, shape (n,), int64.
    distance_arcsec : ndarray
        Great-circle distances, shape (n,), float64.
    """

    first: Rows
    second: Rows
    distance_arcsec: npt.NDArray[np.float64]


class Positions:
    """Positions of a table's rows, made ready for being searched.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray
        Shape (n,), float64; rows with NaN match nothing.
    """

    def __init__(self, ra_deg: Degrees, dec_deg: Degrees) -> None:
        (self.rows,) = np.nonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
        # It keeps the tree that astropy searches, so a catalogue that is asked again need not be sorted again.
        self.sky = SkyCoord(ra_deg[self.rows] * u.deg, dec_deg[self.rows] * u.deg)

    def only(self, places: Rows) -> "Positions":
        """Pick some of them, which keep their row numbers.

        Parameters
        ----------
        places : ndarray
            Places in `rows`, shape (m,), int64.

        Returns
        -------
        Positions
            These.
        """
        picked = object.__new__(Positions)
        picked.rows, picked.sky = self.rows[places], self.sky[places]
        return picked

    @classmethod
    def of(cls, table: Table, columns: tuple[str, str] | None = None) -> "Positions":
        """Read them off a table.

        Parameters
        ----------
        table : astropy.table.Table
            The table.
        columns : tuple of str, optional
            Its columns of right ascension and declination.

        Returns
        -------
        Positions
            The positions.

        Raises
        ------
        RequestError
            If it has no such columns.
        """
        return cls(*find_positions(table, columns))


def match(first: Positions, second: Positions, max_distance_arcsec: float) -> Pairs:
    """Find all pairs within a distance.

    Parameters
    ----------
    first, second : Positions
        What to pair.
    max_distance_arcsec : float
        The largest distance.

    Returns
    -------
    Pairs
        All of them, by row of `first`, the closest first.
    """
    if first.rows.size == 0 or second.rows.size == 0:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    one, other, distance, _ = search_around_sky(first.sky, second.sky, max_distance_arcsec * u.arcsec)
    return in_order(Pairs(first.rows[one], second.rows[other], distance.to_value(u.arcsec)))


def in_order(pairs: Pairs) -> Pairs:
    """Sort pairs by row of the first table, then by distance.

    Parameters
    ----------
    pairs : Pairs
        Any pairs.

    Returns
    -------
    Pairs
        The same, sorted.
    """
    order = np.lexsort((pairs.distance_arcsec, pairs.first))
    return Pairs(pairs.first[order], pairs.second[order], pairs.distance_arcsec[order])


def join(first: Table, second: Table, pairs: Pairs) -> Table:
    """Put paired rows side by side.

    Parameters
    ----------
    first, second : astropy.table.Table
        The tables.
    pairs : Pairs
        Which rows.

    Returns
    -------
    astropy.table.Table
        `angDist` in arcsec, the columns of `first`, the columns of `second`; one of these that is called like one
        before it gets `_2` added.
    """
    result = Table()
    result[DISTANCE] = Column(pairs.distance_arcsec, unit=u.arcsec, description="distance on the sky")
    for name in first.colnames:
        result[_free(name, result)] = first[name][pairs.first]
    for name in second.colnames:
        result[_free(name, result)] = second[name][pairs.second]
    return result


def _free(name: str, table: Table) -> str:
    while name in table.colnames:
        name += _SUFFIX
    return name
