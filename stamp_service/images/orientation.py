"""Which way up a stamp is drawn.

Flips move pixels and change none. Only `north` resamples, by nearest neighbour, and for a north that is a
multiple of 90 degrees away even that is a plain turn.
"""

from collections.abc import Mapping, Sequence
from math import cos, hypot, isfinite, isnan, nan, radians, sin

import numpy as np
from numpy.typing import NDArray

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images.headers import HeaderValue
from stamp_service.surveys import Survey

Levels = NDArray[np.uint8]
# A direction on the picture in pixels: along the rows (x), and from row to row (y).
Direction = tuple[float, float]
# Pixels that are resampled at a time, which bounds the memory of their coordinates.
_BLOCK_PX = 1 << 18


def flip_levels(levels: Levels, flip: str) -> Levels:
    """Mirror a picture.

    Parameters
    ----------
    levels : ndarray
        Shape (ny, nx).
    flip : str
        `none`, `x` (left and right change places), `y` (top and bottom) or `xy`.

    Returns
    -------
    ndarray
        A view, shape (ny, nx).
    """
    return levels[:: -1 if "y" in flip else 1, :: -1 if "x" in flip else 1]


def turn_north(levels: Levels, header: Mapping[str, HeaderValue], survey: Survey, *, max_pixels: int) -> Levels:
    """Draw north up and east left.

    Parameters
    ----------
    levels : ndarray
        Shape (ny, nx), uint8, in the order of the file's rows.
    header : Mapping
        The stamp's header.
    survey : Survey
        Says what gives north.
    max_pixels : int
        The most pixels the turned picture may have.

    Returns
    -------
    ndarray
        Large enough for the whole stamp at the same scale, uint8; 0 (no data) beyond it. Row 0 is the top.

    Raises
    ------
    RequestError
        If the header does not say where north is.
    TooLarge
        If the turned picture is.
    """
    source = survey.orientation.north
    directions = None
    if source != "none":
        with np.errstate(all="ignore"):  # absurd numbers make infinite directions, which are refused
            directions = _from_wcs(header, levels.shape)
    if directions is None and source not in ("wcs", "none"):
        # An ATLAS header has both, and its PA is that of the whole exposure: up to degrees off at a chip's edge.
        directions = from_angle(header.get(source), row0=survey.orientation.row0)
    if directions is None:
        card = "position angle" if source in ("wcs", "none") else f"{source} card"
        raise RequestError(
            f"This {survey.name} stamp cannot be turned north: its header has neither a usable WCS nor a {card}.",
            "orient",
        )
    return _resample(levels, *directions, max_pixels=max_pixels)


def from_angle(angle_deg: HeaderValue, row0: str) -> tuple[Direction, Direction] | None:
    """Find north and west from the position angle of the picture's vertical, from north through east.

    Checked against ATLAS: in every header at hand `PA` is that of the rows' axis by the CD matrix.

    Parameters
    ----------
    angle_deg : object
        The value of a card.
    row0 : str
        Where the survey shows row 0.

    Returns
    -------
    tuple or None
        Unit vectors in pixels (x, y) on the stamp; None if that is no angle.
    """
    angle = radians(as_number(angle_deg))
    if isnan(angle):
        return None
    up = -1 if row0 == "top" else 1
    return (sin(angle), up * cos(angle)), (cos(angle), -up * sin(angle))


def _from_wcs(header: Mapping[str, HeaderValue], shape: tuple[int, ...]) -> tuple[Direction, Direction] | None:
    """Find north and west at the stamp's centre from a gnomonic (TAN) WCS.

    Without CTYPE (Rubin's cutouts) it is TAN; distortions and other projections turn a stamp by less than a
    degree. The reference point may be degrees away (ATLAS), where the meridians have another direction: in
    this projection they are straight lines that meet at the pole, (0, cot(dec0)).
    """
    if not is_gnomonic(header):
        return None
    ny, nx = shape
    matrix = cd_matrix(header)
    dec0 = radians(as_number(header.get("CRVAL2")))
    offset = ((nx + 1) / 2 - as_number(header.get("CRPIX1")), (ny + 1) / 2 - as_number(header.get("CRPIX2")))
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    if determinant == 0 or not isfinite(determinant):
        return None
    xi, eta = np.radians(matrix @ offset)
    x, y = np.linalg.solve(matrix, (-xi * sin(dec0), cos(dec0) - eta * sin(dec0))).tolist()
    length = hypot(x, y)
    if length == 0 or not isfinite(length):
        return None
    x, y = x / length, y / length
    # East is left of north on the sky, and in pixels too unless the matrix mirrors.
    return (x, y), ((y, -x) if determinant < 0 else (-y, x))


def is_gnomonic(header: Mapping[str, HeaderValue]) -> bool:
    """Say whether a header's projection may be taken for the gnomonic one, with right ascension first.

    Parameters
    ----------
    header : Mapping
        A stamp's header.

    Returns
    -------
    bool
        True also where there is no projection at all.
    """
    return str(header.get("CTYPE1", "RA")).startswith("RA") and header.get("LONPOLE", 180) == 180


def cd_matrix(header: Mapping[str, HeaderValue]) -> NDArray[np.float64]:
    """Read the linear part of a projection, by CD, PC or CROTA2 (FITS 4.0, section 8).

    Parameters
    ----------
    header : Mapping
        A stamp's header.

    Returns
    -------
    ndarray
        Degrees on the sky (east, north) per pixel (x, y), shape (2, 2).
    """
    axes = (1, 2)

    def values(name: str, defaults: Sequence[float]) -> NDArray[np.float64]:
        keywords = [f"{name}{i}_{j}" for i in axes for j in axes]
        return np.array([as_number(header.get(k, d)) for k, d in zip(keywords, defaults, strict=True)]).reshape(
            2, 2
        )

    if any(f"CD{i}_{j}" in header for i in axes for j in axes):
        return values("CD", (0, 0, 0, 0))
    has_pc = any(f"PC{i}_{j}" in header for i in axes for j in axes)
    steps = np.array([as_number(header.get(f"CDELT{i}", 1.0 if has_pc else None)) for i in axes])
    if "CROTA2" in header and not has_pc:
        angle = radians(as_number(header["CROTA2"]))
        matrix: NDArray[np.float64] = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]]) * steps
    else:
        matrix = values("PC", (1, 0, 0, 1)) * steps[:, None]
    return matrix


def as_number(value: HeaderValue) -> float:
    """Turn a card's value into a float.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    float
        NaN if it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return nan
    return float(value) if isfinite(value) else nan


def _resample(levels: Levels, up: Direction, right: Direction, *, max_pixels: int) -> Levels:
    """Draw a picture whose up and right are these unit vectors, perpendicular, in pixels of `levels`."""
    half_x, half_y = (levels.shape[1] - 1) / 2, (levels.shape[0] - 1) / 2
    # The outermost pixels' centres fall within half a pixel of the canvas; a quarter turn swaps its sides.
    width = round(2 * (abs(right[0]) * half_x + abs(right[1]) * half_y)) + 1
    height = round(2 * (abs(up[0]) * half_x + abs(up[1]) * half_y)) + 1
    if width * height > max_pixels:
        raise TooLarge(f"Turned north the stamp has {width} x {height} pixels, more than {max_pixels}.")
    turned = np.zeros((height, width), np.uint8)
    u = np.arange(width) - (width - 1) / 2
    step = max(1, _BLOCK_PX // width)
    for top in range(0, height, step):
        block = turned[top : top + step]
        v = (height - 1) / 2 - np.arange(top, top + len(block))[:, None]
        x = np.rint(half_x + u * right[0] + v * up[0]).astype(np.intp)
        y = np.rint(half_y + u * right[1] + v * up[1]).astype(np.intp)
        inside = (x >= 0) & (x < levels.shape[1]) & (y >= 0) & (y < levels.shape[0])
        block[inside] = levels[y[inside], x[inside]]
    return turned
