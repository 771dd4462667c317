"""Pictures: as matplotlib draws the same pixels, of the right size, and in range."""

import io
from itertools import product

import numpy as np
import pytest
from astropy import convolution, visualization
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images import Stamp, Style, default_style, draw_plain_png, draw_png
from stamp_service.images.drawing import find_levels
from stamp_service.images.stretches import STRETCHES

MANY = 1 << 22


def opened(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    picture.load()
    return picture


def drawn_by_matplotlib(real) -> np.ndarray:
    """RGBA of a cutout as min/max-thresholded grey, limits worked out with plain numpy."""
    pixels = real.stamp.pixels.astype(np.float64)
    for value in real.survey.cutouts[real.kind].mask_values:
        pixels[pixels == value] = np.nan
    pixels[~(np.abs(pixels) < 1e30)] = np.nan
    low, high = np.nanmin(pixels), np.nanmax(pixels)
    if real.kind != "difference":
        y, x = pixels.shape[0] // 2, pixels.shape[1] // 2
        core = pixels[y - 2 : y + 2, x - 2 : x + 2]
        core_high = core[np.isfinite(core)].max(initial=-np.inf)
        core_low = low + 0.2 * np.nanmedian(np.abs(pixels - np.nanmedian(pixels)))
        low, high = (core_low, core_high) if core_low < core_high else (low, high)
    masked = np.ma.masked_invalid(pixels.astype(np.float32))
    rgba = ScalarMappable(Normalize(low, high), "gray").to_rgba(masked, bytes=True).astype(int)
    return rgba if real.survey.name == "ztf" else rgba[::-1]


def test_real_cutouts_are_as_matplotlib_draws_them(real_cutouts, some_cutouts):
    for real in [*some_cutouts, *real_cutouts[::7]]:
        style = default_style(real.survey, real.kind)
        assert style.interval == ("minmax" if real.kind == "difference" else "core")
        picture = opened(draw_png(real.stamp, real.survey, real.kind, style, max_pixels=MANY))
        scale = 378 // max(real.stamp.pixels.shape)
        assert picture.size == tuple(scale * side for side in real.stamp.pixels.shape[::-1])
        levels = np.asarray(picture)
        small = levels[::scale, ::scale]
        assert (levels == small.repeat(scale, axis=0).repeat(scale, axis=1)).all()
        grey = np.array(picture.getpalette()).reshape(-1, 3)[small]
        expected = drawn_by_matplotlib(real)
        seen = expected[..., 3] == 255
        np.testing.assert_array_equal(small > 0, seen)
        assert np.abs(grey[seen] - expected[seen][:, :3]).max() <= 1


def test_every_option_draws_every_kind_of_cutout(some_cutouts):
    intervals = ("core", "minmax", "percentile", "zscale")
    options = {*product(intervals, ["linear"]), *product(["zscale"], STRETCHES)}
    for real in some_cutouts:
        for interval, stretch in options:
            style = Style(interval=interval, stretch=stretch, cmap="viridis", size=200, flip="x")
            picture = opened(draw_png(real.stamp, real.survey, real.kind, style, max_pixels=MANY))
            assert max(picture.size) == 200 // max(real.stamp.pixels.shape) * max(real.stamp.pixels.shape)
            assert len(np.unique(np.asarray(picture))) > 5


FINKS_KERNELS = {
    "gauss": convolution.Gaussian2DKernel(1, x_size=5, y_size=5),
    "box": convolution.Box2DKernel(1, x_size=5, y_size=5),
}


def drawn_by_fink(pixels: np.ndarray, kernel: str | None, percentiles: tuple[float, float] | None) -> np.ndarray:
    """Grey of a cutout as Fink's portal draws it, in double precision; pixels without data have none here too."""
    pixels = pixels.astype(np.float64)
    if percentiles is None:
        shades = 1 / (1 + np.exp(-(pixels - np.nanmean(pixels)) / np.nanstd(pixels)))
    else:
        low, high = np.nanpercentile(pixels, percentiles)
        shades = visualization.AsinhStretch()(((pixels - low) / (high - low)).clip(0, 1))
    if kernel is not None:
        shades = convolution.convolve(shades, FINKS_KERNELS[kernel], boundary="extend", preserve_nan=True)
    return shades * 255


@pytest.mark.parametrize("kernel", [None, "gauss", "box"])
@pytest.mark.parametrize("percentiles", [None, (2, 97)])
def test_plain_pictures_are_as_fink_draws_them(some_cutouts, kernel, percentiles):
    for real in some_cutouts:
        if percentiles is None:
            style = Style("minmax", stretch="sigmoid", kernel=kernel)
        else:
            style = Style("percentile", *percentiles, stretch="asinh", kernel=kernel)
        pixels = real.stamp.pixels.copy()
        for value in real.survey.cutouts[real.kind].mask_values:
            pixels[pixels == value] = np.nan
        pixels[~(np.abs(pixels) < 1e30)] = np.nan
        expected = drawn_by_fink(pixels, kernel, percentiles)
        picture = opened(draw_plain_png(real.stamp, real.survey, real.kind, style))
        assert picture.mode == "L"
        grey = np.asarray(picture)
        np.testing.assert_array_equal(grey == 0, np.isnan(expected))
        seen = grey > 0
        assert np.abs(grey[seen] - expected[seen]).max() <= 1.01


def test_levels_use_the_whole_range_and_clip():
    ramp = np.linspace(0, 1, 1000, dtype=np.float32).reshape(1, -1)
    levels = find_levels(ramp, (), Style(interval="minmax"))
    assert levels.min() == 1
    assert levels.max() == 255
    assert np.bincount(levels.ravel())[1:].min() >= 3  # 255 levels, all as wide
    clipped = find_levels(ramp, (), Style(interval="percentile", pmin=25, pmax=75))
    assert (clipped[0, :240] == 1).all()
    assert (clipped[0, 760:] == 255).all()


def test_images_without_contrast_are_mid_grey():
    assert (find_levels(np.full((3, 4), 7, np.float32), (), Style()) == 128).all()
    pixels = np.full((3, 4), np.nan, np.float32)
    assert (find_levels(pixels, (), Style()) == 0).all()
    pixels[1, 1] = -5
    assert find_levels(pixels, (), Style()).tolist() == [[0] * 4, [0, 128, 0, 0], [0] * 4]


@pytest.mark.parametrize(
    ("shape", "style", "scale"),
    [
        ((63, 63), {}, 6),
        ((61, 61), {}, 6),
        ((30, 30), {}, 12),
        ((43, 63), {}, 6),
        ((63, 43), {"size": 130}, 2),
        ((63, 63), {"size": 62}, 1),
        ((63, 63), {"size": 4096}, 65),
        ((63, 63), {"scale": 3}, 3),
        ((63, 63), {"scale": 3, "size": 1000}, 3),
        ((500, 700), {}, 1),
        ((1, 1), {}, 378),
        ((1, 1), {"scale": 64}, 64),
    ],
)
def test_size_and_scale(surveys, shape, style, scale):
    stamp = Stamp(np.zeros(shape, np.float32), {})
    picture = opened(draw_png(stamp, surveys["ztf"], "science", Style(**style), max_pixels=1 << 25))
    assert picture.size == (shape[1] * scale, shape[0] * scale)


@pytest.mark.parametrize("style", [{"scale": 64}, {"size": 4096}])
def test_pictures_have_a_limit(surveys, style):
    stamp = Stamp(np.zeros((63, 63), np.float32), {})
    with pytest.raises(TooLarge):
        draw_png(stamp, surveys["ztf"], "science", Style(**style), max_pixels=63 * 63 * 63 * 63)
    draw_png(stamp, surveys["ztf"], "science", Style(scale=2), max_pixels=4 * 63 * 63)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"interval": "zscal"}, "interval"),
        ({"interval": None}, "interval"),
        ({"stretch": "LINEAR"}, "stretch"),
        ({"cmap": "no such"}, "cmap"),
        ({"orient": "south"}, "orient"),
        ({"flip": "yx"}, "flip"),
        ({"pmin": -1.0}, "pmin"),
        ({"pmax": 100.5}, "pmin"),
        ({"pmin": 50.0, "pmax": 50.0}, "pmin"),
        ({"pmin": float("nan")}, "pmin"),
        ({"pmax": float("inf")}, "pmin"),
        ({"size": 0}, "size"),
        ({"size": 4097}, "size"),
        ({"scale": 0}, "scale"),
        ({"scale": -1}, "scale"),
        ({"scale": 65}, "scale"),
        ({"kernel": "Gauss"}, "kernel"),
    ],
)
def test_options_out_of_range(options, parameter):
    with pytest.raises(RequestError) as error:
        Style(**options)
    assert error.value.parameter == parameter


def test_styles_are_values():
    assert Style() == Style(cmap="gray")
    assert len({Style(), Style(), Style(size=378)}) == 2
    assert Style(pmin=0.0, pmax=100.0).pmax == 100
