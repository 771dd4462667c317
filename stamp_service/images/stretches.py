"""How levels between black and white are spread.

Each stretch maps 0..1 to 0..1. All but `sigmoid` are those of `astropy.visualization`, with its default
parameters (and the exponent 2 for `power`, as Fink's portal has it).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stamp_service.surveys import StretchName

Levels = NDArray[np.float32]

_LOG = np.float32(1000)
_ASINH = np.float32(0.1)


def stretch_levels(levels: Levels, stretch: StretchName) -> Levels:
    """Stretch levels, in place.

    Parameters
    ----------
    levels : ndarray
        The levels of all pixels that have data, float32, 0 (black) to 1 (white).
    stretch : str
        `linear`, `sqrt`, `log`, `asinh`, `sigmoid` or `power`.

    Returns
    -------
    ndarray
        The same array, 0 to 1.
    """
    return STRETCHES[stretch](levels)


def _linear(levels: Levels) -> Levels:
    return levels


def _sqrt(levels: Levels) -> Levels:
    return np.sqrt(levels, out=levels)


def _log(levels: Levels) -> Levels:
    """ln(a x + 1) / ln(a + 1), with a = 1000 (`LogStretch`)."""
    levels *= _LOG
    np.log1p(levels, out=levels)
    levels /= np.log1p(_LOG)
    return levels


def _asinh(levels: Levels) -> Levels:
    """asinh(x / a) / asinh(1 / a), with a = 0.1 (`AsinhStretch`)."""
    levels /= _ASINH
    np.arcsinh(levels, out=levels)
    levels /= np.arcsinh(np.float32(1) / _ASINH)
    return levels


def _power(levels: Levels) -> Levels:
    """Square (`PowerStretch` with a = 2)."""
    return np.square(levels, out=levels)


def _sigmoid(levels: Levels) -> Levels:
    """1 / (1 + exp(-z)), z = (x - mean) / standard deviation over all pixels with data.

    This is the normalisation by which Fink's portal and API draw cutouts by default; over the interval `minmax`
    it gives Fink's levels, because z does not change with offset and scale.
    """
    deviation = levels.std(dtype=np.float64)
    levels -= levels.mean(dtype=np.float64)
    # 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2, which cannot overflow.
    levels /= np.float32(2 * deviation) if deviation > 0 else np.float32(1)
    np.tanh(levels, out=levels)
    levels += 1
    levels /= 2
    return levels


STRETCHES: dict[StretchName, Callable[[Levels], Levels]] = {
    "linear": _linear,
    "sqrt": _sqrt,
    "log": _log,
    "asinh": _asinh,
    "sigmoid": _sigmoid,
    "power": _power,
}
