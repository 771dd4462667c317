"""Animations of stamps."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images import Stamp, Style, Tile, draw_animation
from stamp_service.images.colormaps import find_palette

STYLE = Style(interval="minmax", cmap="viridis")


def tiles(surveys, *shapes):
    found = []
    for place, shape in enumerate(shapes):
        pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        pixels = np.roll(pixels, place, axis=1)
        pixels[0, 0] = np.nan
        found.append(Tile(Stamp(pixels, {}), surveys["ztf"], "science", STYLE))
    return found


def draw(tiles, **options):
    settings = {"form": "png", "side_px": 64, "frame_ms": 200, "max_pixels": 10**7} | options
    return draw_animation(tiles, **settings)


@pytest.mark.parametrize("form", ["gif", "png"])
def test_every_frame_is_the_stamp(surveys, form):
    given = tiles(surveys, (16, 16), (16, 16), (16, 10))
    file = Image.open(io.BytesIO(draw(given, form=form)))
    frames = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(file)]
    assert (file.n_frames, file.size) == (3, (64, 64))
    assert file.info["duration"] == 200
    palette = find_palette("viridis")
    for tile, frame in zip(given, frames, strict=True):
        ny, nx = tile.stamp.pixels.shape
        left = (64 - 4 * nx) // 2
        assert frame[2, left + 1, 3] == 0  # no data
        assert tuple(frame[4 * ny - 2, left + 4 * nx - 2, :3]) in map(tuple, palette)
        brightest = np.unravel_index(np.nanargmax(tile.stamp.pixels), (ny, nx))
        y, x = 4 * brightest[0] + 1, left + 4 * brightest[1] + 1
        assert tuple(frame[y, x]) == (*palette[-1], 255)


def test_a_large_stamp_is_made_to_fit(surveys):
    file = Image.open(io.BytesIO(draw(tiles(surveys, (200, 200)), side_px=64)))
    assert file.size == (64, 64)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"side_px": 8}, RequestError),
        ({"side_px": 4096}, RequestError),
        ({"frame_ms": 1}, RequestError),
        ({"max_pixels": 5000}, TooLarge),
    ],
)
def test_limits(surveys, options, error):
    with pytest.raises(error):
        draw(tiles(surveys, (16, 16), (16, 16)), **options)


def test_no_stamps_are_no_animation():
    with pytest.raises(RequestError):
        draw([])
