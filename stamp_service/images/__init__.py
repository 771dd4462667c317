"""From a cutout's bytes to a stamp, and from a stamp to a picture; pixels know nothing of HTTP."""

from stamp_service.images.animation import AnimationForm, draw_animation
from stamp_service.images.arrays import to_json, to_npy
from stamp_service.images.colormaps import check_colormap, colormap_names, find_palette
from stamp_service.images.compression import gunzip_cutout, gzip_cutout
from stamp_service.images.convolution import Kernel
from stamp_service.images.drawing import (
    DEFAULT_SIZE_PX,
    LARGEST_SCALE,
    LARGEST_SIZE_PX,
    Flip,
    Orient,
    Style,
    default_style,
    draw_plain_png,
    draw_png,
)
from stamp_service.images.fits import Stamp, decode_stamp
from stamp_service.images.packing import pack_fits
from stamp_service.images.png import add_text
from stamp_service.images.sheets import DEFAULT_TILE_PX, Rectangle, Tile, draw_contact_sheet
from stamp_service.images.sky import Tangent, find_tangent
from stamp_service.images.triptych import draw_triptych, measure_triptych

__all__ = [
    "DEFAULT_SIZE_PX",
    "DEFAULT_TILE_PX",
    "LARGEST_SCALE",
    "LARGEST_SIZE_PX",
    "AnimationForm",
    "Flip",
    "Kernel",
    "Orient",
    "Rectangle",
    "Stamp",
    "Style",
    "Tangent",
    "Tile",
    "add_text",
    "check_colormap",
    "colormap_names",
    "decode_stamp",
    "default_style",
    "draw_animation",
    "draw_contact_sheet",
    "draw_plain_png",
    "draw_png",
    "draw_triptych",
    "find_palette",
    "find_tangent",
    "gunzip_cutout",
    "gzip_cutout",
    "measure_triptych",
    "pack_fits",
    "to_json",
    "to_npy",
]
