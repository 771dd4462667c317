"""Where on the sky a stamp's pixels are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, isfinite, nan, radians, sin

import numpy as np
from numpy.typing import NDArray

from stamp_service.images.headers import HeaderValue
from stamp_service.images.orientation import as_number, cd_matrix, from_angle, is_gnomonic
from stamp_service.surveys import Survey

# How far a projection without distortions may be off the alert's own position to be moved there.
_FARTHEST_DEG = 0.1
Position = tuple[float, float]
_DISTORTED = ("TPV", "SIP", "TNX", "ZPX")


@dataclass(frozen=True, slots=True)
class Tangent:
    """The plane that touches the sky at a stamp's centre: within a stamp, nothing else is seen of a projection.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Where the centre of the stamp, `((nx - 1) / 2, (ny - 1) / 2)` counted from 0, is: ICRS, degrees.
    matrix : tuple of tuple of float
        Degrees to the east and to the north, per pixel along a row (x) and from row to row (y).
    """

    ra_deg: float
    dec_deg: float
    matrix: tuple[tuple[float, float], tuple[float, float]]

    @property
    def scale_arcsec(self) -> float:
        """Side of a pixel, arcsec."""
        (a, b), (c, d) = self.matrix
        return float(3600 * np.sqrt(abs(a * d - b * c)))

    def directions(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Say where north and west are.

        Returns
        -------
        tuple of tuple of float
            Unit vectors in pixels (x, y) on the stamp.
        """
        inverse = np.linalg.inv(np.array(self.matrix))
        north, west = inverse @ (0, 1), inverse @ (-1, 0)
        return _unit(north), _unit(west)


def find_tangent(
    header: Mapping[str, HeaderValue],
    shape: tuple[int, ...],
    survey: Survey,
    position: Position | None = None,
) -> Tangent | None:
    """Find where a stamp is on the sky.

    Parameters
    ----------
    header : Mapping
        The stamp's header.
    shape : tuple of int
        (ny, nx).
    survey : Survey
        Says whether there is anything in headers to go by.
    position : tuple of float, optional
        Right ascension and declination of the alert, degrees, which is at the centre. It is believed where the
        projection has distortions, which are not computed: an ATLAS reference pixel may be degrees away.

    Returns
    -------
    Tangent or None
        None if the header does not say.
    """
    if survey.orientation.north == "none" or not is_gnomonic(header):
        return None
    if "CRVAL1" not in header:
        return _from_card(header, survey, position)
    ny, nx = shape
    with np.errstate(all="ignore"):  # absurd numbers come out as no finite matrix
        matrix = cd_matrix(header)
        reference = tuple(as_number(header.get(f"CRVAL{axis}")) for axis in (1, 2))
        offset = np.array(((nx + 1) / 2, (ny + 1) / 2)) - [
            as_number(header.get(f"CRPIX{axis}")) for axis in (1, 2)
        ]
        centre = deproject(reference, matrix @ offset)
        local = _jacobian(reference, centre, matrix, offset)
    if not np.isfinite(local).all() or not all(map(isfinite, centre)) or np.linalg.det(local) == 0:
        return None
    if position is not None and _is_distorted(header) and _distance(centre, position) < _FARTHEST_DEG:
        centre = position
    (a, b), (c, d) = local.tolist()
    return Tangent(centre[0] % 360, centre[1], ((a, b), (c, d)))


def _from_card(header: Mapping[str, HeaderValue], survey: Survey, position: Position | None) -> Tangent | None:
    """Find it from a position angle and the survey's pixel scale; the alert is at the centre."""
    found = from_angle(header.get(survey.orientation.north), survey.orientation.row0)
    if found is None or position is None or survey.pixel_scale_arcsec is None:
        return None
    scale = survey.pixel_scale_arcsec / 3600
    (north_x, north_y), (west_x, west_y) = found
    return Tangent(*position, ((-west_x * scale, -west_y * scale), (north_x * scale, north_y * scale)))


def deproject(reference: Sequence[float], offset_deg: NDArray[np.float64]) -> Position:
    """Turn a place on a tangent plane into one on the sky (gnomonic, FITS standard paper II, section 5.1.3).

    Parameters
    ----------
    reference : sequence of float
        Right ascension and declination where the plane touches, degrees.
    offset_deg : ndarray
        To the east and to the north on the plane, degrees.

    Returns
    -------
    tuple of float
        Right ascension and declination, degrees.
    """
    xi, eta = np.radians(offset_deg).tolist()
    dec0 = radians(reference[1])
    along = cos(dec0) - eta * sin(dec0)
    return (
        reference[0] + degrees(atan2(xi, along)),
        degrees(atan2(sin(dec0) + eta * cos(dec0), hypot(xi, along))),
    )


def _project(reference: Sequence[float], position: Position) -> Position:
    """Undo `deproject`."""
    dec0, dec, ra = radians(reference[1]), radians(position[1]), radians(position[0] - reference[0])
    depth = sin(dec0) * sin(dec) + cos(dec0) * cos(dec) * cos(ra)
    if depth <= 0:
        return nan, nan  # on the far side of the sky
    east, north = cos(dec) * sin(ra), cos(dec0) * sin(dec) - sin(dec0) * cos(dec) * cos(ra)
    return degrees(east / depth), degrees(north / depth)


def _jacobian(
    reference: Sequence[float],
    centre: tuple[float, float],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Degrees to the east and north of the centre per pixel; central differences over a pixel."""
    columns = []
    for step in np.eye(2) / 2:
        ahead = _project(centre, deproject(reference, matrix @ (offset + step)))
        behind = _project(centre, deproject(reference, matrix @ (offset - step)))
        columns.append(np.subtract(ahead, behind))
    return np.stack(columns, axis=1)


def _is_distorted(header: Mapping[str, HeaderValue]) -> bool:
    return str(header.get("CTYPE1", "")).endswith(_DISTORTED)


def _distance(one: Position, other: Position) -> float:
    return hypot(((one[0] - other[0] + 180) % 360 - 180) * cos(radians(one[1])), one[1] - other[1])


def _unit(vector: NDArray[np.float64]) -> tuple[float, float]:
    x, y = (vector / np.hypot(*vector)).tolist()
    return x, y
