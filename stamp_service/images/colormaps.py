"""Colour maps: matplotlib's names, as palettes of 255 colours.

`palettes.npz` is written by `.ci/palettes.py` from matplotlib's colour maps. A name that ends in `_r` is the
map reversed.
"""

import difflib
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from stamp_service.errors import RequestError

COLOURS = 255
Palette = NDArray[np.uint8]
_REVERSED = "_r"


@cache
def _stored() -> dict[str, Palette]:
    with files("stamp_service.images").joinpath("palettes.npz").open("rb") as file, np.load(file) as stored:
        palettes = np.cumsum(stored["differences"], axis=2, dtype=np.uint8).transpose(0, 2, 1)
        return dict(zip(stored["names"].tolist(), palettes, strict=True))


def colormap_names() -> tuple[str, ...]:
    """Name every colour map.

    Returns
    -------
    tuple of str
        The names, each followed by that of its reverse.
    """
    return tuple(name + suffix for name in _stored() for suffix in ("", _REVERSED))


def check_colormap(name: str, parameter: str = "cmap") -> None:
    """Refuse a name that no colour map has.

    Parameters
    ----------
    name : str
        The name as it was given; capitals matter.
    parameter : str
        What the request calls it, for the error.

    Raises
    ------
    RequestError
        If it is unknown; names the nearest.
    """
    if name.removesuffix(_REVERSED) not in _stored():
        nearest = difflib.get_close_matches(name[:32], colormap_names(), n=1, cutoff=0.0)[0]
        raise RequestError(f"{parameter} is not a known colour map; the nearest name is {nearest}.", parameter)


@cache
def find_palette(name: str) -> Palette:
    """Find a colour map's colours.

    Parameters
    ----------
    name : str
        A name that `check_colormap` accepts.

    Returns
    -------
    ndarray
        Colours from low to high, shape (255, 3), uint8 red, green, blue; not writeable.
    """
    stored = _stored()[name.removesuffix(_REVERSED)]
    palette = stored[:: -1 if name.endswith(_REVERSED) else 1].copy()
    palette.flags.writeable = False
    return palette
