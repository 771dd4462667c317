"""Smoothing, as astropy does it with Fink's two kernels."""

import numpy as np
import pytest
from astropy import convolution
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stamp_service.images.convolution import convolve

ASTROPY = {
    "gauss": convolution.Gaussian2DKernel(1, x_size=5, y_size=5),
    "box": convolution.Box2DKernel(1, x_size=5, y_size=5),
}
PICTURES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.one_of(st.floats(0, 255, width=32), st.just(np.nan)),
)


@pytest.mark.filterwarnings("ignore:nan_treatment=:astropy.utils.exceptions.AstropyUserWarning")
@given(picture=PICTURES, kernel=st.sampled_from(sorted(ASTROPY)))
@settings(max_examples=40, deadline=None)
def test_pictures_are_astropys(picture, kernel):
    expected = convolution.convolve(picture.astype(np.float64), ASTROPY[kernel], boundary="extend")
    smoothed = convolve(picture, kernel)
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed, expected, rtol=2e-6, atol=1e-4)


@pytest.mark.parametrize("kernel", sorted(ASTROPY))
def test_what_is_given_is_left_alone(kernel):
    picture = np.eye(7, dtype=np.float32)
    picture[2, 3] = np.nan
    before = picture.copy()
    smoothed = convolve(picture, kernel)
    np.testing.assert_array_equal(picture, before)
    assert np.isfinite(smoothed).all()
    assert smoothed[0, 0] < 1


@pytest.mark.parametrize("kernel", sorted(ASTROPY))
def test_a_flat_picture_stays_flat(kernel):
    picture = np.full((30, 30), 100, np.float32)
    picture[4:11, 4:11] = np.nan
    smoothed = convolve(picture, kernel)
    np.testing.assert_allclose(smoothed[np.isfinite(smoothed)], 100, rtol=1e-6)
    assert np.isnan(smoothed).sum() == {"gauss": 9, "box": 25}[kernel]
