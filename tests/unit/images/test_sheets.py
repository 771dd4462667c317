"""Contact sheets: every tile where the index says, whatever is missing."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images import Stamp, Style, Tile, default_style, draw_contact_sheet, draw_png

MANY = 1 << 24


def opened(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    picture.load()
    return picture


@pytest.fixture
def tiles(surveys) -> list[Tile | None]:
    rng = np.random.default_rng(1)
    made: list[Tile | None] = []
    for number, (survey, shape) in enumerate(
        [("ztf", (63, 63)), ("ztf", (43, 63)), ("lsst", (30, 30)), ("atlas", (61, 61))] * 3
    ):
        stamp = Stamp(rng.normal(100, 10, shape).astype(np.float32), {})
        made.append(Tile(stamp, surveys[survey], "science", Style(flip="x" if number % 2 else "none")))
    made[5] = None
    return made


@pytest.mark.parametrize("columns", [None, 1, 5, 12, 1000])
@pytest.mark.parametrize("tile_px", [126, 64, 300])
def test_tiles_are_the_stamps_where_the_index_says(tiles, columns, tile_px):
    png, index = draw_contact_sheet(tiles, columns=columns, tile_px=tile_px, max_pixels=MANY)
    picture = opened(png)
    assert picture.mode == "P"
    sheet = np.asarray(picture)
    assert len(index) == len(tiles)
    across = sum(place.y == 0 for place in index)
    assert across == min(columns or 4, 12)
    for tile, (x, y, width, height) in zip(tiles, index, strict=True):
        cell = sheet[y : y + height, x : x + width]
        assert cell.shape == (tile_px, tile_px)
        if tile is None:
            assert (cell[0] > 0).all()  # a frame
            assert (cell == 0).mean() > 0.9
            continue
        style = Style(flip=tile.style.flip, size=tile_px)
        single = np.asarray(opened(draw_png(tile.stamp, tile.survey, "science", style, max_pixels=MANY)))
        top, left = (tile_px - single.shape[0]) // 2, (tile_px - single.shape[1]) // 2
        inner = cell[top : top + single.shape[0], left : left + single.shape[1]]
        np.testing.assert_array_equal(inner, single)
        assert (cell > 0).sum() == (single > 0).sum()  # transparent around it
    boxes = np.zeros(sheet.shape, int)
    for x, y, width, height in index:
        boxes[y : y + height, x : x + width] += 1
    assert boxes.max() == 1
    assert (sheet[boxes == 0] == 0).all()


def test_several_colour_maps_make_an_rgba_sheet(surveys, tiles):
    tiles[0] = Tile(tiles[0].stamp, surveys["ztf"], "science", Style(cmap="viridis"))
    png, index = draw_contact_sheet(tiles, max_pixels=MANY)
    picture = opened(png)
    assert picture.mode == "RGBA"
    rgba = np.asarray(picture)
    for number in (0, 4):
        tile, (x, y, width, height) = tiles[number], index[number]
        style = Style(cmap=tile.style.cmap, size=126)
        single = opened(draw_png(tile.stamp, surveys["ztf"], "science", style, max_pixels=MANY)).convert("RGBA")
        np.testing.assert_array_equal(rgba[y : y + height, x : x + width], np.asarray(single))


def test_a_stamp_larger_than_its_tile_is_thinned(surveys):
    stamp = Stamp(np.arange(300 * 200, dtype=np.float32).reshape(300, 200), {})
    png, [place] = draw_contact_sheet(
        [Tile(stamp, surveys["ztf"], "science", Style())], tile_px=100, max_pixels=MANY
    )
    assert opened(png).size == (100, 100) == place[2:]
    assert (np.asarray(opened(png)) > 0).sum() == 100 * 67


def test_nothing_but_missing_stamps():
    png, index = draw_contact_sheet([None] * 3, max_pixels=MANY)
    assert opened(png).size == (2 * 128 - 2, 2 * 128 - 2)
    assert [tuple(place) for place in index] == [(0, 0, 126, 126), (128, 0, 126, 126), (0, 128, 126, 126)]


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"columns": 0}, "columns"),
        ({"columns": 1001}, "columns"),
        ({"tile_px": 15}, "tile_px"),
        ({"tile_px": 513}, "tile_px"),
    ],
)
def test_options_out_of_range(tiles, options, parameter):
    with pytest.raises(RequestError) as error:
        draw_contact_sheet(tiles, max_pixels=MANY, **options)
    assert error.value.parameter == parameter


def test_no_stamps_and_too_many(tiles):
    with pytest.raises(RequestError):
        draw_contact_sheet([], max_pixels=MANY)
    with pytest.raises(TooLarge):
        draw_contact_sheet(tiles, max_pixels=10_000)


def test_a_thousand_stamps_fit_into_the_default_limit_and_are_quick(real_cutouts):
    """Decoding apart, a sheet takes about a third of a second."""
    real = [(cutout, cutout.stamp) for cutout in real_cutouts]
    many = [
        Tile(stamp, cutout.survey, cutout.kind, default_style(cutout.survey, cutout.kind))
        for cutout, stamp in (real * 3)[:1000]
    ]
    start = time.process_time()
    png, index = draw_contact_sheet(many, max_pixels=4096 * 4096)
    assert time.process_time() - start < 3
    assert opened(png).size == (4094, 4094)
    assert len(index) == 1000
