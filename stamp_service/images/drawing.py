"""From a stamp to a picture: interval, stretch, smoothing, colour map, orientation, scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images.colormaps import check_colormap
from stamp_service.images.convolution import Kernel, convolve
from stamp_service.images.fits import Stamp
from stamp_service.images.intervals import Limits, Pixels, find_data, find_limits
from stamp_service.images.orientation import flip_levels, turn_north
from stamp_service.images.png import encode_palette_png, encode_plain_png
from stamp_service.images.stretches import stretch_levels
from stamp_service.surveys import IntervalName, Kind, StretchName, Survey

Orient = Literal["default", "native", "north"]
Flip = Literal["none", "x", "y", "xy"]
# 63 pixels, ZTF's side, times 6.
DEFAULT_SIZE_PX = 378
LARGEST_SIZE_PX = 4096
LARGEST_SCALE = 64

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "interval": get_args(IntervalName),
    "stretch": get_args(StretchName),
    "orient": get_args(Orient),
    "flip": get_args(Flip),
}
# Entry 0 of a picture's palette is no data; black is 1, white 255, and this is half-way.
_NO_DATA, _BLACK, _MIDDLE = 0, 1, 128
_STEPS = np.float32(255)


@dataclass(frozen=True, slots=True)
class Style:
    """Everything that decides how a stamp is drawn; two equal styles draw equal pictures.

    Parameters
    ----------
    interval : str
        Which values become black and white: `core`, `minmax`, `percentile` or `zscale`.
    pmin, pmax : float
        The percentiles of `percentile`.
    stretch : str
        How the levels between are spread: `linear`, `sqrt`, `log`, `asinh`, `sigmoid` or `power`.
    cmap : str
        Name of the colour map.
    orient : str
        `default`: as the survey's stamps are usually seen; `native`: the file's row 0 at the top; `north`: north
        up and east left.
    flip : str
        Mirror what came of that: `none`, `x` (left and right), `y` (top and bottom) or `xy`.
    size : int, optional
        The longer side is at most this many pixels, with a whole number of them per pixel of the stamp, and at
        least one; by default 378.
    scale : int, optional
        Draw each pixel of the stamp as a square of this side, whatever `size` says.
    kernel : str, optional
        What the stretched levels are smoothed with: `gauss` or `box`.

    Raises
    ------
    RequestError
        If a value is out of range.
    """

    interval: IntervalName = "core"
    pmin: float = 0.5
    pmax: float = 99.5
    stretch: StretchName = "linear"
    cmap: str = "gray"
    orient: Orient = "default"
    flip: Flip = "none"
    size: int | None = None
    scale: int | None = None
    kernel: Kernel | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise RequestError(f"{name} is not one of {', '.join(choices)}.", name)
        if not 0 <= self.pmin < self.pmax <= 100:
            raise RequestError("pmin and pmax are not percentiles in rising order, within 0 to 100.", "pmin")
        if self.size is not None and not 1 <= self.size <= LARGEST_SIZE_PX:
            raise RequestError(f"size is not within 1 to {LARGEST_SIZE_PX}.", "size")
        if self.scale is not None and not 1 <= self.scale <= LARGEST_SCALE:
            raise RequestError(f"scale is not within 1 to {LARGEST_SCALE}.", "scale")
        if self.kernel not in {None, *get_args(Kernel)}:
            raise RequestError(f"kernel is not one of {', '.join(get_args(Kernel))}.", "kernel")
        check_colormap(self.cmap)


def default_style(survey: Survey, kind: Kind) -> Style:
    """Say how a survey's cutouts of a kind are drawn unless asked otherwise.

    Parameters
    ----------
    survey : Survey
        The survey.
    kind : str
        `science`, `template` or `difference`.

    Returns
    -------
    Style
        Interval and stretch of the survey's definition.
    """
    drawing = survey.cutouts[kind].drawing
    return _style(drawing.interval, drawing.stretch)


@cache
def _style(interval: IntervalName, stretch: StretchName) -> Style:
    return Style(interval=interval, stretch=stretch)


def draw_png(stamp: Stamp, survey: Survey, kind: Kind, style: Style, *, max_pixels: int) -> bytes:
    """Draw a stamp.

    Parameters
    ----------
    stamp : Stamp
        The stamp.
    survey : Survey
        Its survey.
    kind : str
        Its kind.
    style : Style
        How to draw it.
    max_pixels : int
        The most pixels the picture may have.

    Returns
    -------
    bytes
        A PNG with a palette; pixels without data are transparent.

    Raises
    ------
    RequestError
        If north is asked for and unknown.
    TooLarge
        If the picture would be.
    """
    levels = draw_levels(stamp, survey, kind, style, max_pixels=max_pixels)
    scale = style.scale or fit_scale(levels.shape, style.size or DEFAULT_SIZE_PX)
    if levels.size * scale**2 > max_pixels:
        ny, nx = levels.shape
        raise TooLarge(f"The picture would have {nx * scale} x {ny * scale} pixels, more than {max_pixels}.")
    return encode_palette_png(levels, style.cmap, scale)


def draw_plain_png(stamp: Stamp, survey: Survey, kind: Kind, style: Style) -> bytes:
    """Draw a stamp for programs: a pixel for each of its pixels, row 0 at the top, and no palette.

    Parameters
    ----------
    stamp : Stamp
        The stamp.
    survey : Survey
        Its survey.
    kind : str
        Its kind.
    style : Style
        How to draw it; `orient`, `flip`, `size` and `scale` do not count.

    Returns
    -------
    bytes
        A grey PNG, or an RGBA one where `style` has a colour map; pixels without data are transparent.
    """
    return encode_plain_png(find_levels(stamp.pixels, survey.cutouts[kind].mask_values, style), style.cmap)


def draw_levels(stamp: Stamp, survey: Survey, kind: Kind, style: Style, *, max_pixels: int) -> NDArray[np.uint8]:
    """Draw a stamp up to the point where its pixels become larger and coloured.

    Parameters
    ----------
    stamp : Stamp
        The stamp.
    survey : Survey
        Its survey.
    kind : str
        Its kind.
    style : Style
        How to draw it; `cmap`, `size` and `scale` are left to the caller.
    max_pixels : int
        The most pixels the stamp may have when it is turned north.

    Returns
    -------
    ndarray
        Entries of a palette, shape (ny, nx), uint8; 0 is no data, 1 black, 255 white; row 0 is the top.

    Raises
    ------
    RequestError
        If north is asked for and unknown.
    TooLarge
        If it has too many pixels once it is turned.
    """
    levels = find_levels(stamp.pixels, survey.cutouts[kind].mask_values, style)
    if style.orient == "north":
        levels = turn_north(levels, stamp.header, survey, max_pixels=max_pixels)
    elif style.orient == "default" and survey.orientation.row0 == "bottom":
        levels = levels[::-1]
    return flip_levels(levels, style.flip)


def find_levels(pixels: Pixels, mask_values: tuple[float, ...], style: Style) -> NDArray[np.uint8]:
    """Turn values into grey levels; never fail.

    Parameters
    ----------
    pixels : ndarray
        Values, shape (ny, nx), float32.
    mask_values : tuple of float
        Values by which the survey marks pixels without data.
    style : Style
        Interval and stretch.

    Returns
    -------
    ndarray
        Shape (ny, nx), uint8; 0 is no data, 1 black, 255 white, 128 everywhere if all values are the same.
    """
    has_data = find_data(pixels, mask_values)
    limits = find_limits(pixels, has_data, style.interval, style.pmin, style.pmax)
    if style.kernel is not None:
        return _smooth_levels(pixels, has_data, limits, style.stretch, style.kernel)
    if has_data is None:
        return _as_levels(_spread(pixels, limits, style.stretch))
    levels = np.full(pixels.shape, _NO_DATA, np.uint8)
    levels[has_data] = _as_levels(_spread(pixels[has_data], limits, style.stretch))
    return levels


def _smooth_levels(
    pixels: Pixels,
    has_data: NDArray[np.bool_] | None,
    limits: Limits | None,
    stretch: StretchName,
    kernel: Kernel,
) -> NDArray[np.uint8]:
    """Smooth what would be seen, so that no bright pixel outshines the rest; no data stays no data."""
    if has_data is None:
        has_data = np.ones(pixels.shape, np.bool_)
    shades = np.full(pixels.shape, np.nan, np.float32)
    shades[has_data] = _spread(pixels[has_data], limits, stretch).clip(0, _STEPS)
    levels = np.full(pixels.shape, _NO_DATA, np.uint8)
    levels[has_data] = _as_levels(convolve(shades, kernel)[has_data])
    return levels


def _spread(values: Pixels, limits: Limits | None, stretch: StretchName) -> Pixels:
    """Shades, 0 (black) to 255 (white) and beyond, of values that have data; any shape."""
    if limits is None:
        return np.full(values.shape, _MIDDLE - _BLACK, np.float32)
    spread = values - limits.low
    with np.errstate(over="ignore"):  # far beyond limits that are very close; clipped in the end
        if stretch == "linear":
            spread *= _STEPS / (limits.high - limits.low)
        else:
            spread /= limits.high - limits.low
            spread = stretch_levels(spread.clip(0, 1, out=spread), stretch)
            spread *= _STEPS
    return spread


def _as_levels(shades: Pixels) -> NDArray[np.uint8]:
    """Levels 1 to 255, each as wide as the next; the shades are overwritten."""
    levels = shades.clip(0, _STEPS - 1, out=shades).astype(np.uint8)
    levels += _BLACK
    return levels


def fit_scale(shape: tuple[int, ...], size_px: int) -> int:
    """Find the largest whole scale that keeps a stamp within a size.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).
    size_px : int
        The most pixels of the longer side.

    Returns
    -------
    int
        The scale; 1 if even that is too large.
    """
    return max(1, size_px // max(shape))
