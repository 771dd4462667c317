"""PNGs, as Pillow reads them."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from stamp_service.images import add_text
from stamp_service.images.colormaps import find_palette
from stamp_service.images.png import encode_palette_png, encode_plain_png, encode_png

LEVELS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


def opened(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    picture.load()
    return picture


@given(levels=LEVELS, scale=st.integers(1, 9), cmap=st.sampled_from(["gray", "viridis", "jet_r"]))
@settings(max_examples=60, deadline=None)
def test_levels_come_back(levels, scale, cmap):
    picture = opened(encode_palette_png(levels, cmap, scale))
    assert picture.mode == "P"
    enlarged = levels.repeat(scale, axis=0).repeat(scale, axis=1)
    np.testing.assert_array_equal(np.asarray(picture), enlarged)
    colours = np.vstack((np.zeros((1, 3), np.uint8), find_palette(cmap)))
    rgba = np.asarray(picture.convert("RGBA"))
    np.testing.assert_array_equal(rgba[..., 3], np.where(enlarged == 0, 0, 255))
    np.testing.assert_array_equal(rgba[..., :3][enlarged > 0], colours[enlarged][enlarged > 0])


@given(LEVELS)
@settings(max_examples=30, deadline=None)
def test_plain_pictures_are_grey_or_rgba(levels):
    grey = opened(encode_plain_png(levels, "gray"))
    assert grey.mode == "L"
    np.testing.assert_array_equal(np.asarray(grey), levels)
    np.testing.assert_array_equal(np.asarray(grey.convert("RGBA"))[..., 3], np.where(levels == 0, 0, 255))
    coloured = opened(encode_plain_png(levels, "jet"))
    assert coloured.mode == "RGBA"
    with_palette = opened(encode_palette_png(levels, "jet")).convert("RGBA")
    np.testing.assert_array_equal(np.asarray(coloured), np.asarray(with_palette))


@given(LEVELS, st.sampled_from(["", "x", "y"]))
@settings(max_examples=20, deadline=None)
def test_views_are_written_as_they_look(levels, flip):
    view = levels[:: -1 if "y" in flip else 1, :: -1 if "x" in flip else 1]
    for scale in (1, 3):
        np.testing.assert_array_equal(
            np.asarray(opened(encode_palette_png(view, "gray", scale)))[::scale, ::scale], view
        )


@pytest.mark.parametrize(("channels", "mode"), [((), "L"), ((3,), "RGB"), ((4,), "RGBA")])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (30, 40)])
def test_pictures_come_back(channels, mode, shape):
    picture = np.random.default_rng(1).integers(0, 256, (*shape, *channels)).astype(np.uint8)
    picture[shape[0] // 2 :] = picture[-1]  # rows that repeat
    read = opened(encode_png(picture))
    assert read.mode == mode
    np.testing.assert_array_equal(np.asarray(read), picture)


def test_every_chunk_has_its_length_and_checksum():
    png = add_text(encode_palette_png(np.arange(64, dtype=np.uint8).reshape(8, 8), "gray", 2), "note", "text")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, names = 8, []
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        chunk = png[at + 4 : at + 8 + length]
        assert int.from_bytes(png[at + 8 + length : at + 12 + length]) == zlib.crc32(chunk)
        names.append(chunk[:4])
        at += 12 + length
    assert names == [b"IHDR", b"tEXt", b"PLTE", b"tRNS", b"IDAT", b"IEND"]


def test_a_text_is_read_back():
    png = add_text(encode_png(np.zeros((2, 2, 3), np.uint8)), "stamps", '[{"box": [0, 0, 1, 1]}]')
    assert opened(png).text == {"stamps": '[{"box": [0, 0, 1, 1]}]'}
