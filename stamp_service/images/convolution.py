"""Smoothing a picture a little, as Fink's portal offers."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shades = NDArray[np.float32]
Kernel = Literal["gauss", "box"]

# Both kernels are products of a row and a column, so one row of each is all that is needed.
# `gauss`: exp(-x^2 / 2) at -2 to 2, which is `astropy.convolution.Gaussian2DKernel(1, x_size=5, y_size=5)`.
# `box`: a box of one pixel's width, its edges shared with the neighbours, which is `Box2DKernel(1)`.
_ROWS: Mapping[Kernel, Shades] = {
    "gauss": np.exp(-(np.arange(-2, 3, dtype=np.float32) ** 2) / 2),
    "box": np.array([0.5, 1, 0.5], np.float32),
}


def convolve(picture: Shades, kernel: Kernel) -> Shades:
    """Convolve a picture with a kernel of about a pixel's width.

    The same numbers as `astropy.convolution.convolve(picture, …, boundary="extend")`: beyond an edge the picture
    goes on as it is there, and pixels without data have no weight.

    Parameters
    ----------
    picture : ndarray
        Shape (ny, nx), float32; NaN is no data.
    kernel : str
        `gauss` or `box`.

    Returns
    -------
    ndarray
        Shape (ny, nx), float32: the weighted mean around each pixel, also where that pixel itself has no data;
        NaN where none around it has.
    """
    row = _ROWS[kernel]
    has_data = ~np.isnan(picture)
    if has_data.all():
        return _along_both(picture, row / row.sum())
    weights = _along_both(has_data.astype(np.float32), row)
    sums = _along_both(np.where(has_data, picture, np.float32(0)), row)
    smoothed = np.full_like(picture, np.nan)
    np.divide(sums, weights, out=smoothed, where=weights > 0)
    return smoothed


def _along_both(picture: Shades, row: Shades) -> Shades:
    return _along_rows(_along_rows(picture, row).T, row).T


def _along_rows(picture: Shades, row: Shades) -> Shades:
    """Convolve each row of a picture; the kernel is symmetric."""
    nx, reach = picture.shape[1], row.size // 2
    padded = np.pad(picture, ((0, 0), (reach, reach)), mode="edge")
    total: Shades = row[0] * padded[:, :nx]
    for offset in range(1, row.size):
        total += row[offset] * padded[:, offset : offset + nx]
    return total
