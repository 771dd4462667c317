"""How levels are spread: as astropy and Fink do."""

from typing import get_args

import numpy as np
import pytest
from astropy import visualization as vis

from stamp_service.images.stretches import STRETCHES, stretch_levels
from stamp_service.surveys import StretchName

LEVELS = np.linspace(0, 1, 1001, dtype=np.float32)


def test_every_name_has_a_stretch():
    assert set(STRETCHES) == set(get_args(StretchName))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", vis.LinearStretch()),
        ("sqrt", vis.SqrtStretch()),
        ("log", vis.LogStretch()),
        ("asinh", vis.AsinhStretch()),
        ("power", vis.PowerStretch(2)),
    ],
)
def test_stretches_are_astropys(name, expected):
    np.testing.assert_allclose(stretch_levels(LEVELS.copy(), name), expected(LEVELS), atol=1e-6)


@pytest.mark.parametrize("name", sorted(STRETCHES))
@pytest.mark.parametrize("levels", [LEVELS, np.zeros(5, np.float32), np.ones(1, np.float32)])
def test_levels_stay_within_black_and_white_in_order(name, levels):
    stretched = stretch_levels(levels.copy(), name)
    assert stretched.dtype == np.float32
    assert stretched.min() >= 0
    assert stretched.max() <= 1
    assert (np.diff(stretched) >= 0).all()


def test_sigmoid_is_finks():
    """Fink: the logistic function of (pixels - mean) / standard deviation, whatever offset and scale they have."""
    pixels = np.random.default_rng(1).normal(100, 10, (63, 63))
    pixels[30:33, 30:33] += 500
    fink = 1 / (1 + np.exp(-(pixels - pixels.mean()) / pixels.std()))
    levels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    np.testing.assert_allclose(stretch_levels(levels.astype(np.float32), "sigmoid"), fink, atol=1e-5)


def test_sigmoid_of_one_bright_pixel_does_not_overflow():
    levels = np.zeros(1 << 20, np.float32)
    levels[7] = 1
    stretched = stretch_levels(levels, "sigmoid")
    assert stretched[7] == 1
    assert stretched[8] == pytest.approx(0.5, abs=1e-3)
