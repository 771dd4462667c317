"""Stamps one after the other: how a source came and went."""

import io
from collections.abc import Sequence
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images.colormaps import find_palette
from stamp_service.images.drawing import draw_levels, fit_scale
from stamp_service.images.sheets import Tile

AnimationForm = Literal["gif", "png"]
_SHORTEST_MS, _LONGEST_MS = 20, 10_000


def draw_animation(
    tiles: Sequence[Tile], *, form: AnimationForm, side_px: int, frame_ms: int, max_pixels: int
) -> bytes:
    """Draw stamps as the frames of an animation that starts over at its end.

    Parameters
    ----------
    tiles : sequence of Tile
        The stamps, in their order; the first one's colour map is that of all.
    form : str
        `gif`, or `png` for an animated PNG.
    side_px : int
        Side of the picture, 16 to 2048. A stamp is enlarged by the largest whole factor that fits it.
    frame_ms : int
        How long each is shown, 20 to 10,000 ms.
    max_pixels : int
        The most pixels of all frames together.

    Returns
    -------
    bytes
        The file; pixels without data are transparent.

    Raises
    ------
    RequestError
        If there are no stamps, or a number is out of range.
    TooLarge
        If it would have too many pixels.
    """
    if not tiles:
        raise RequestError("There are no stamps to draw.")
    if not 16 <= side_px <= 2048:
        raise RequestError("size is not within 16 to 2048.", "size")
    if not _SHORTEST_MS <= frame_ms <= _LONGEST_MS:
        raise RequestError(f"The duration of a frame is not within {_SHORTEST_MS} to {_LONGEST_MS} ms.")
    if len(tiles) * side_px**2 > max_pixels:
        raise TooLarge(f"The animation would have {len(tiles) * side_px**2} pixels, more than {max_pixels}.")
    palette = np.zeros((256, 3), np.uint8)
    palette[1:] = find_palette(tiles[0].style.cmap)
    frames = [_frame(tile, side_px, palette, max_pixels) for tile in tiles]
    # A frame takes the former's place: where it has no data, nothing is seen.
    options = {"disposal": 2, "transparency": 0} if form == "gif" else {"disposal": 1, "blend": 0}
    if form == "png":  # Pillow mixes up palettes of animated PNGs
        frames = [_opaque(frame) for frame in frames]
    file = io.BytesIO()
    frames[0].save(
        file, form.upper(), save_all=True, append_images=frames[1:], loop=0, duration=frame_ms, **options
    )
    return file.getvalue()


def _opaque(frame: Image.Image) -> Image.Image:
    """Colours and opacity of a picture whose palette begins with no data."""
    picture = frame.convert("RGB")
    picture.putalpha(Image.fromarray((np.asarray(frame) > 0).astype(np.uint8) * 255))
    return picture


def _frame(tile: Tile, side_px: int, palette: NDArray[np.uint8], max_pixels: int) -> Image.Image:
    levels = draw_levels(tile.stamp, tile.survey, tile.kind, tile.style, max_pixels=max_pixels)
    step = ceil(max(levels.shape) / side_px)
    levels = levels[::step, ::step]
    scale = fit_scale(levels.shape, side_px)
    levels = levels.repeat(scale, axis=0).repeat(scale, axis=1)
    canvas = np.zeros((side_px, side_px), np.uint8)
    y, x = (side_px - levels.shape[0]) // 2, (side_px - levels.shape[1]) // 2
    canvas[y : y + levels.shape[0], x : x + levels.shape[1]] = levels
    frame = Image.fromarray(canvas, "P")
    frame.putpalette(palette.tobytes())
    return frame
