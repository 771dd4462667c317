"""Contact sheets: many stamps in one picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images.colormaps import find_palette
from stamp_service.images.drawing import Style, draw_levels, fit_scale
from stamp_service.images.fits import Stamp
from stamp_service.images.png import encode_palette_png, encode_png
from stamp_service.surveys import Kind, Survey

Levels = NDArray[np.uint8]

# A contact sheet of 1,000 stamps of ZTF, each pixel 2 x 2, is 4,094 pixels wide.
DEFAULT_TILE_PX = 126
_GAP_PX = 2
_PLACEHOLDER = 160


class Rectangle(NamedTuple):
    """A place on a picture, in pixels from its top left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A stamp on a contact sheet.

    Parameters
    ----------
    stamp : Stamp
        The stamp.
    survey : Survey
        Its survey.
    kind : str
        Its kind.
    style : Style
        How to draw it; the sheet decides the size.
    """

    stamp: Stamp
    survey: Survey
    kind: Kind
    style: Style


def draw_contact_sheet(
    tiles: Sequence[Tile | None], *, columns: int | None = None, tile_px: int = DEFAULT_TILE_PX, max_pixels: int
) -> tuple[bytes, list[Rectangle]]:
    """Draw many stamps side by side, on a transparent ground.

    Parameters
    ----------
    tiles : sequence of Tile or None
        The stamps, row by row; None leaves an empty frame.
    columns : int, optional
        How many stand in a row; by default as many as make the sheet square.
    tile_px : int
        Side of a tile, 16 to 512. A stamp is enlarged by the largest whole factor that fits it into one; of a
        larger stamp only every second, third ... pixel is drawn.
    max_pixels : int
        The most pixels of the sheet.

    Returns
    -------
    png : bytes
        The PNG, with a palette if all tiles have the same colour map.
    index : list of Rectangle
        Where each tile is.

    Raises
    ------
    RequestError
        If there are no tiles, the numbers are out of range, or north is asked for and unknown.
    TooLarge
        If the sheet would be.
    """
    if not tiles:
        raise RequestError("There are no stamps to draw.")
    if not 16 <= tile_px <= 512:
        raise RequestError("tile_px is not within 16 to 512.", "tile_px")
    if columns is not None and not 1 <= columns <= 1000:
        raise RequestError("columns is not within 1 to 1000.", "columns")
    across = min(columns or 1 + isqrt(len(tiles) - 1), len(tiles))
    pitch = tile_px + _GAP_PX
    width, height = across * pitch - _GAP_PX, ceil(len(tiles) / across) * pitch - _GAP_PX
    if width * height > max_pixels:
        raise TooLarge(f"The contact sheet would have {width} x {height} pixels, more than {max_pixels}.")
    index = [Rectangle(i % across * pitch, i // across * pitch, tile_px, tile_px) for i in range(len(tiles))]
    sheet = np.zeros((height, width), np.uint8)
    for tile, place in zip(tiles, index, strict=True):
        levels = _placeholder(tile_px) if tile is None else _fit_tile(tile, tile_px, max_pixels)
        _paste(sheet, levels, place)
    return _encode_sheet(sheet, tiles, index), index


def _fit_tile(tile: Tile, tile_px: int, max_pixels: int) -> Levels:
    levels = draw_levels(tile.stamp, tile.survey, tile.kind, tile.style, max_pixels=max_pixels)
    step = ceil(max(levels.shape) / tile_px)
    return levels[::step, ::step]


def _paste(sheet: Levels, levels: Levels, place: Rectangle) -> None:
    """Put a picture in the middle of a place, enlarged as far as it fits."""
    scale = fit_scale(levels.shape, place.width)
    levels = levels.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = levels.shape
    y, x = place.y + (place.height - height) // 2, place.x + (place.width - width) // 2
    sheet[y : y + height, x : x + width] = levels


@lru_cache(maxsize=8)
def _placeholder(tile_px: int) -> Levels:
    """Draw an empty frame with a small cross, for a stamp that is not there."""
    levels = np.zeros((tile_px, tile_px), np.uint8)
    levels[[0, -1], :] = levels[:, [0, -1]] = _PLACEHOLDER
    arm = np.arange(tile_px * 2 // 5, tile_px - tile_px * 2 // 5)
    levels[arm, arm] = levels[arm, arm[::-1]] = _PLACEHOLDER
    return levels


def _encode_sheet(sheet: Levels, tiles: Iterable[Tile | None], index: Sequence[Rectangle]) -> bytes:
    cmaps = [tile.style.cmap if tile else None for tile in tiles]
    used = sorted({cmap for cmap in cmaps if cmap}) or ["gray"]
    if len(used) == 1:
        return encode_palette_png(sheet, used[0])
    colours = {cmap: _opaque_colours(cmap) for cmap in (*used, "gray")}
    picture = np.zeros((*sheet.shape, 4), np.uint8)
    for cmap, (x, y, width, height) in zip(cmaps, index, strict=True):
        place = np.s_[y : y + height, x : x + width]
        picture[place] = colours[cmap or "gray"][sheet[place]]
    return encode_png(picture)


def _opaque_colours(cmap: str) -> NDArray[np.uint8]:
    """RGBA of each palette entry, shape (256, 4); no data is transparent."""
    colours = np.zeros((256, 4), np.uint8)
    colours[1:, :3] = find_palette(cmap)
    colours[1:, 3] = 255
    return colours
