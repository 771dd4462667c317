"""Colour maps are matplotlib's."""

import matplotlib as mpl
import numpy as np
import pytest

from stamp_service.errors import RequestError
from stamp_service.images import Style, colormap_names
from stamp_service.images.colormaps import COLOURS, check_colormap, find_palette

ENTRIES = np.delete(np.arange(256), 254)
NAMES = sorted(mpl.colormaps)


def colours_of(name: str) -> np.ndarray:
    """Matplotlib's colours at 256 steps, which most maps have."""
    return np.rint(255 * mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3])


def test_all_of_matplotlibs_names_are_here():
    assert set(colormap_names()) >= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_r")])
def test_colours_are_matplotlibs(name):
    palette = find_palette(name)
    assert palette.shape == (255, 3)
    assert palette.dtype == np.uint8
    assert len(ENTRIES) == COLOURS
    np.testing.assert_array_equal(palette, colours_of(name)[ENTRIES])


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_r")])
def test_reversed_maps(name):
    palette = find_palette(name)
    np.testing.assert_array_equal(palette, find_palette(name.removesuffix("_r"))[::-1])
    # A step aside, and rounded differently, because matplotlib works reversed maps out anew.
    expected = np.delete(colours_of(name), 1, axis=0)
    nearby = [np.abs(palette - np.roll(expected, step, axis=0)).max(axis=1) for step in (-1, 0, 1)]
    assert np.min(nearby, axis=0)[1:-1].max() <= 2


def test_grey_runs_from_black_to_white():
    np.testing.assert_array_equal(find_palette("gray"), np.repeat(ENTRIES[:, None], 3, axis=1))
    np.testing.assert_array_equal(find_palette("gray"), find_palette("grey"))


def test_palettes_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        find_palette("viridis")[0] = 0


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("virdis", "viridis"), ("Viridis", "viridis"), ("graay", "gray"), ("jet_rr", "jet_r"), ("x" * 10_000, "")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, nearest):
    for refuse in (check_colormap, lambda cmap: Style(cmap=cmap)):
        with pytest.raises(RequestError, match=f"nearest name is {nearest}") as error:
            refuse(name)
        assert error.value.parameter == "cmap"
        assert len(str(error.value)) < 200
