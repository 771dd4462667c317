"""The triptych: all stamps of an alert side by side, labelled, on white."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stamp_service.errors import TooLarge
from stamp_service.images.colormaps import find_palette
from stamp_service.images.drawing import DEFAULT_SIZE_PX, Style, default_style, draw_levels, fit_scale
from stamp_service.images.fits import Stamp
from stamp_service.images.png import encode_png
from stamp_service.surveys import Kind, Survey

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (28, 30, 34)
_PALE_INK: Colour = (105, 110, 120)
_FRAME: Colour = (190, 195, 203)
# Pixels without data are tinted, so that they are neither black nor white.
_EMPTY: Colour = (224, 230, 239)
_LONGEST_LINE = 200


@dataclass(frozen=True, slots=True)
class _Page:
    """Where things are, in pixels; all follows from the size of a panel."""

    panel_width: int
    panel_height: int
    panels: int
    lines: int

    @property
    def label_px(self) -> int:
        """Size of the labels' letters."""
        return min(max(self.panel_width // 22, 10), 20)

    @property
    def margin(self) -> int:
        """Space around everything."""
        return self.label_px * 3 // 2

    @property
    def line_height(self) -> int:
        """From one line of the title to the next."""
        return self.label_px * 8 // 5

    @property
    def panel_top(self) -> int:
        """Top of the panels, below title and labels."""
        title = self.lines * self.line_height + self.label_px // 2 if self.lines else 0
        return self.margin + title + self.line_height

    @property
    def width(self) -> int:
        """Width of the page."""
        return self.panel_left(self.panels) - self.label_px + self.margin

    @property
    def height(self) -> int:
        """Height of the page."""
        return self.panel_top + self.panel_height + self.margin

    def panel_left(self, number: int) -> int:
        """Left edge of a panel."""
        return self.margin + number * (self.panel_width + self.label_px)


def draw_triptych(
    stamps: Mapping[Kind, Stamp | None],
    survey: Survey,
    *,
    styles: Mapping[Kind, Style] | None = None,
    title: Sequence[str] = (),
    max_pixels: int,
) -> bytes:
    """Draw all stamps of an alert side by side, with labels.

    Parameters
    ----------
    stamps : Mapping
        Stamps by kind. One of the survey's kinds that is missing or None is an empty panel that says *absent*.
    survey : Survey
        The survey.
    styles : Mapping, optional
        How to draw each kind, where not as usual; `size` and `scale` are those of a panel.
    title : sequence of str
        Lines above the panels, the first one larger; cut to the width of the page.
    max_pixels : int
        The most pixels of the page.

    Returns
    -------
    bytes
        The PNG, RGB.

    Raises
    ------
    RequestError
        If north is asked for and unknown.
    TooLarge
        If the page would be.
    """
    drawn = {kind: (styles or {}).get(kind) or default_style(survey, kind) for kind in survey.kinds}
    pictures = {
        kind: _draw_picture(stamp, survey, kind, style, max_pixels)
        for kind, style in drawn.items()
        if (stamp := stamps.get(kind)) is not None
    }
    empty = max((style.size or DEFAULT_SIZE_PX for style in drawn.values()), default=DEFAULT_SIZE_PX)
    page = _lay_out(
        [(picture.height, picture.width) for picture in pictures.values()], empty, len(drawn), len(title)
    )
    _check_size(page.width, page.height, max_pixels)
    image = Image.new("RGB", (page.width, page.height), _PAPER)
    _write_title(image, page, title)
    for number, kind in enumerate(drawn):
        _place_panel(image, page, number, kind, pictures.get(kind))
    return encode_png(np.asarray(image))


def measure_triptych(
    shapes: Iterable[tuple[int, ...]], survey: Survey, *, size_px: int = DEFAULT_SIZE_PX, lines: int
) -> tuple[int, int]:
    """Say how large a triptych is going to be, without drawing it.

    Parameters
    ----------
    shapes : iterable of tuple of int
        Shapes (ny, nx) of the stamps that there are.
    survey : Survey
        The survey.
    size_px : int
        The most pixels of a panel's longer side, as `size` of its style.
    lines : int
        Lines of the title.

    Returns
    -------
    width, height : int
        In pixels. Stamps that are turned to north need more.
    """
    panels = [(ny * fit_scale((ny, nx), size_px), nx * fit_scale((ny, nx), size_px)) for ny, nx in shapes]
    page = _lay_out(panels, size_px, len(survey.kinds), lines)
    return page.width, page.height


def _lay_out(panels: Sequence[tuple[int, int]], empty: int, count: int, lines: int) -> _Page:
    """Make room for the largest of the panels, (ny, nx) each."""
    height = max((ny for ny, _ in panels), default=empty)
    return _Page(max((nx for _, nx in panels), default=empty), height, count, lines)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooLarge(f"The picture would have {width} x {height} pixels, more than {max_pixels}.")


def _draw_picture(stamp: Stamp, survey: Survey, kind: Kind, style: Style, max_pixels: int) -> Image.Image:
    levels = draw_levels(stamp, survey, kind, style, max_pixels=max_pixels)
    scale = style.scale or fit_scale(levels.shape, style.size or DEFAULT_SIZE_PX)
    _check_size(levels.shape[1] * scale, levels.shape[0] * scale, max_pixels)
    colours = np.vstack((np.array(_EMPTY, np.uint8), find_palette(style.cmap)))
    return Image.fromarray(colours[levels.repeat(scale, axis=0).repeat(scale, axis=1)])


def _write_title(image: Image.Image, page: _Page, title: Sequence[str]) -> None:
    draw = ImageDraw.Draw(image)
    room = page.width - 2 * page.margin
    for number, line in enumerate(title):
        font = _font(page.label_px * 5 // 4 if number == 0 else page.label_px)
        at = (page.margin, page.margin + number * page.line_height)
        draw.text(at, _cut(draw, line, font, room), fill=_INK if number == 0 else _PALE_INK, font=font)


def _place_panel(image: Image.Image, page: _Page, number: int, kind: Kind, picture: Image.Image | None) -> None:
    draw = ImageDraw.Draw(image)
    font = _font(page.label_px)
    left, top = page.panel_left(number), page.panel_top
    label = _cut(draw, kind.capitalize(), font, page.panel_width)
    draw.text((left, top - page.label_px * 2 // 5), label, fill=_INK, font=font, anchor="ls")
    if picture is None:
        right, bottom = left + page.panel_width, top + page.panel_height
        draw.rectangle((left - 1, top - 1, right, bottom), fill=_EMPTY, outline=_FRAME)
        draw.text(((left + right) / 2, (top + bottom) / 2), "absent", fill=_PALE_INK, font=font, anchor="mm")
        return
    left += (page.panel_width - picture.width) // 2
    top += (page.panel_height - picture.height) // 2
    draw.rectangle((left - 1, top - 1, left + picture.width, top + picture.height), outline=_FRAME)
    image.paste(picture, (left, top))


def _cut(draw: ImageDraw.ImageDraw, line: str, font: Font, room_px: int) -> str:
    """Shorten a line until it fits; control characters become spaces."""
    line = "".join(letter if letter.isprintable() else " " for letter in line[:_LONGEST_LINE])
    if draw.textlength(line, font=font) <= room_px:
        return line
    while line and draw.textlength(line + "…", font=font) > room_px:
        line = line[:-1]
    return line + "…" if line else ""


@lru_cache(maxsize=32)
def _font(size_px: int) -> Font:
    return ImageFont.load_default(size_px)
