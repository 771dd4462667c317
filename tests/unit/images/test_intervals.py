"""Which pixels have data, and what becomes black and white."""

import numpy as np
import pytest
from astropy.visualization import ZScaleInterval
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stamp_service.images.intervals import find_data, find_limits, median, zscale

INTERVALS = ["core", "minmax", "percentile", "zscale"]
LARGEST = float(np.float32(1e30))
NUMBERS = st.floats(-LARGEST, LARGEST, width=32)


def image(ny: int = 63, nx: int = 63, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 10, (ny, nx)).astype(np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.1e30, -1.1e30, -3.4028235e38, -31415.0])
def test_values_that_are_no_data(value):
    pixels = image()
    assert find_data(pixels, (-31415.0,)) is None
    pixels[3, 4] = value
    has_data = find_data(pixels, (-31415.0,))
    assert has_data is not None
    assert not has_data[3, 4]
    assert has_data.sum() == pixels.size - 1


def test_a_mask_value_of_one_kind_is_data_of_another():
    assert find_data(np.full((2, 2), -31415, np.float32), ()) is None


@pytest.mark.parametrize("shape", [(63, 63), (43, 63), (48, 63), (30, 30), (61, 61), (4, 4), (5, 5)])
def test_core_is_alerces(shape):
    pixels = image(*shape)
    y, x = shape[0] // 2, shape[1] // 2
    low, high = find_limits(pixels, None, "core")
    assert high == pixels[y - 2 : y + 2, x - 2 : x + 2].max()
    assert low == pytest.approx(pixels.min() + 0.2 * np.median(np.abs(pixels - np.median(pixels))), rel=1e-6)


def test_core_looks_at_pixels_with_data_only():
    pixels = image()
    pixels[31, 31] = 150
    pixels[31, 32] = np.nan
    pixels[:10] = -np.inf
    pixels[10:14] = -3.4028235e38
    has_data = find_data(pixels)
    low, high = find_limits(pixels, has_data, "core")
    values = pixels[has_data]
    assert high == 150
    assert low == pytest.approx(values.min() + 0.2 * np.median(np.abs(values - np.median(values))), rel=1e-6)


def test_core_falls_back_where_the_centre_is_dark_or_has_no_data():
    pixels = image()
    pixels[29:33, 29:33] = pixels.min()
    assert find_limits(pixels, None, "core") == (pixels.min(), pixels.max())
    pixels[29:33, 29:33] = np.nan
    assert find_limits(pixels, find_data(pixels), "core") == (np.nanmin(pixels), np.nanmax(pixels))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize("interval", INTERVALS)
def test_small_and_constant_images(shape, interval):
    pixels = image(*shape)
    limits = find_limits(pixels, None, interval)
    assert (limits is None) == (pixels.size == 1)
    assert find_limits(np.full(shape, 7, np.float32), None, interval) is None
    nothing = np.full(shape, np.nan, np.float32)
    assert find_limits(nothing, find_data(nothing), interval) is None


def test_percentiles():
    pixels = np.arange(101, dtype=np.float32).reshape(1, 101)
    assert find_limits(pixels, None, "percentile", 10, 90) == (10, 90)
    assert find_limits(pixels, None, "percentile") == (0.5, 99.5)
    nearly_flat = np.zeros((20, 20), np.float32)
    nearly_flat[0, 0] = 5
    assert find_limits(nearly_flat, None, "percentile", 10, 90) == (0, 5)


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=NUMBERS))
@settings(max_examples=50)
def test_median_is_numpys(values):
    assert median(values) == pytest.approx(float(np.median(values.astype(np.float64))), rel=1e-6, abs=1e-30)


@given(
    pixels=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=NUMBERS),
    interval=st.sampled_from(INTERVALS),
)
@settings(max_examples=50, deadline=None)
def test_limits_are_in_order_and_within_the_data(pixels, interval):
    limits = find_limits(pixels, None, interval)
    if limits is None:
        assert pixels.max() - pixels.min() < 1e-30
    else:
        assert pixels.min() <= limits.low < limits.high <= pixels.max()
        assert isinstance(limits.low, np.float32)


def test_zscale_is_astropys_on_real_alerts(real_cutouts):
    for real in real_cutouts[::4]:
        pixels = real.stamp.pixels
        has_data = find_data(pixels, real.survey.cutouts[real.kind].mask_values)
        values = pixels.ravel() if has_data is None else pixels[has_data]
        assert zscale(values) == pytest.approx(ZScaleInterval().get_limits(values), rel=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 99, 100, 999, 1000, 1001, 1999, 2000, 70_001])
@pytest.mark.parametrize("seed", range(4))
def test_zscale_is_astropys_at_any_size(size, seed):
    rng = np.random.default_rng(seed)
    values = (rng.normal(100, 5, size) + 500 * (rng.random(size) > 0.95)).astype(np.float32)
    assert zscale(values) == pytest.approx(ZScaleInterval().get_limits(values), rel=1e-5)
