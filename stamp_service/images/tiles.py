"""Tile-compressed images: what must hold before astropy may decompress one.

astropy hands tiles to C code and to an unlimited gunzip. So only the algorithms that surveys use for images are
read, with parameters inside the range of the FITS standard (4.0, section 10), and with tiles that are known to
inflate to no more than their share of the image.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil, prod

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from stamp_service.errors import PacketCorrupt
from stamp_service.images.compression import gunzip_cutout
from stamp_service.images.hdus import Hdu, axis_lengths, integer, write_hdu
from stamp_service.images.headers import Header, HeaderValue

_ALGORITHMS = ("GZIP_1", "GZIP_2", "RICE_1", "RICE_ONE", "NOCOMPRESS")
_DITHERS = ("SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2")
# Columns of tiles, which lie in the heap behind the table, and of numbers per tile.
_TILE_COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")
_NUMBER_COLUMNS = ("ZSCALE", "ZZERO", "ZBLANK")
_TILE_FORM = re.compile(r"1?([PQ])([BIJED])(?:\(\d*\))?")
_NUMBER_FORM = re.compile(r"1?([IJKED])")
_ITEM_BYTES = {"P": 8, "Q": 16, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8}
# One per row of the image, usually.
_MAX_TILES = 1 << 14
_MAX_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table; `item` is the type in the heap, for tiles."""

    name: str
    form: str
    offset: int
    item: str | None


def decode_tiles(hdu: Hdu) -> NDArray[np.generic]:
    """Decompress a tile-compressed image, through astropy.

    Parameters
    ----------
    hdu : Hdu
        The table that holds it; the shape of its image has been checked.

    Returns
    -------
    ndarray
        Scaled pixels, in the type that astropy gives them.

    Raises
    ------
    PacketCorrupt
        If header or table break the FITS standard, or use what is not read here.
    TooLarge
        If a tile inflates to more than its pixels.
    """
    width, rows = axis_lengths(hdu.header)
    columns = list(_read_columns(hdu.header))
    if sum(_ITEM_BYTES[column.form[1]] for column in columns) != width:
        raise PacketCorrupt("The cutout's table of tiles has rows of another length than its columns.")
    image_cards, tile_pixels = _read_image_cards(hdu.header, rows)
    heap_start = integer(hdu.header, "THEAP", width * rows, len(hdu.data), default=width * rows)
    table, heap = hdu.data[: width * rows], hdu.data[heap_start:]
    is_gzip = str(image_cards["ZCMPTYPE"]).startswith("GZIP")
    for column in columns:
        tiles: Iterable[bytes] = _find_tiles(column, table, rows, heap) if column.item else ()
        if column.name == "GZIP_COMPRESSED_DATA" or (is_gzip and column.name == "COMPRESSED_DATA"):
            for tile in tiles:
                gunzip_cutout(tile, 8 * tile_pixels)
    return _decompress(columns, rows, image_cards, table, heap)


def _decompress(
    columns: Sequence[_Column], rows: int, image_cards: dict[str, HeaderValue], table: bytes, heap: bytes
) -> NDArray[np.generic]:
    cards: dict[str, HeaderValue] = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": len(table) // rows,
        "NAXIS2": rows,
        "PCOUNT": len(heap),
        "GCOUNT": 1,
        "TFIELDS": len(columns),
    }
    for number, column in enumerate(columns, start=1):
        cards |= {f"TTYPE{number}": column.name, f"TFORM{number}": column.form}
    file = write_hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True})
    file += write_hdu(cards | image_cards, table + heap)
    with fits.open(BytesIO(file), memmap=False) as hdus:
        values: NDArray[np.generic] = hdus[1].data
    return values


def _read_columns(header: Header) -> Iterator[_Column]:
    offset = 0
    for number in range(1, integer(header, "TFIELDS", 1, 9) + 1):
        name, form = str(header.get(f"TTYPE{number}")), str(header.get(f"TFORM{number}")).strip()
        tiles, numbers = _TILE_FORM.fullmatch(form), _NUMBER_FORM.fullmatch(form)
        if name in _TILE_COLUMNS and tiles and (tiles[2] == "B" or name == "UNCOMPRESSED_DATA"):
            column = _Column(name, f"1{tiles[1]}{tiles[2]}", offset, tiles[2])
        elif name in _NUMBER_COLUMNS and numbers:
            column = _Column(name, f"1{numbers[1]}", offset, None)
        else:
            raise PacketCorrupt("The cutout's tile-compressed image has a column that is not read here.")
        yield column
        offset += _ITEM_BYTES[column.form[1]]


def _read_image_cards(header: Header, rows: int) -> tuple[dict[str, HeaderValue], int]:
    """Read the cards that describe the image, and how many pixels a tile has."""
    lengths = axis_lengths(header, "Z")
    tile = tuple(
        min(integer(header, f"ZTILE{axis}", 1, _MAX_BYTES, default=length if axis == 1 else 1), length)
        for axis, length in enumerate(lengths, start=1)
    )
    if prod(ceil(length / side) for length, side in zip(lengths, tile, strict=True)) != rows or rows > _MAX_TILES:
        raise PacketCorrupt("The cutout's tile-compressed image has another number of tiles than its table.")
    algorithm = header.get("ZCMPTYPE")
    if algorithm not in _ALGORITHMS:
        raise PacketCorrupt("The cutout's tile compression is not one that is read here.")
    cards: dict[str, HeaderValue] = {
        "ZIMAGE": True,
        "ZCMPTYPE": algorithm,
        "ZBITPIX": header.get("ZBITPIX"),
        "ZNAXIS": len(lengths),
    }
    for axis, (length, side) in enumerate(zip(lengths, tile, strict=True), start=1):
        cards |= {f"ZNAXIS{axis}": length, f"ZTILE{axis}": side}
    if algorithm in ("RICE_1", "RICE_ONE"):
        cards |= _read_rice_cards(header)
    if header.get("ZQUANTIZ", "NO_DITHER") in _DITHERS:
        cards |= {"ZQUANTIZ": header["ZQUANTIZ"], "ZDITHER0": integer(header, "ZDITHER0", 1, 10_000)}
    for keyword in ("ZBLANK", "BLANK"):
        if keyword in header:
            cards[keyword] = integer(header, keyword, -(2**31), 2**31 - 1)
    return cards | read_scaling(header), prod(tile)


def _read_rice_cards(header: Header) -> dict[str, HeaderValue]:
    """Read RICE's parameters, which stand in pairs of ZNAMEn and ZVALn."""
    given = {str(header.get(f"ZNAME{number}")): f"ZVAL{number}" for number in range(1, 10)}
    block = integer(header, given.get("BLOCKSIZE", ""), 16, 32, default=32)
    item = integer(header, given.get("BYTEPIX", ""), 1, 4, default=4)
    if item == 3:
        raise PacketCorrupt("The cutout's tile compression has an impossible BYTEPIX.")
    return {"ZNAME1": "BLOCKSIZE", "ZVAL1": block, "ZNAME2": "BYTEPIX", "ZVAL2": item}


def read_scaling(header: Header) -> dict[str, HeaderValue]:
    """Read how stored values become physical ones.

    Parameters
    ----------
    header : Header
        The image's header.

    Returns
    -------
    dict
        BSCALE and BZERO, where they are there.

    Raises
    ------
    PacketCorrupt
        If one is not a number.
    """
    scaling: dict[str, HeaderValue] = {}
    for keyword in ("BSCALE", "BZERO"):
        if keyword in header:
            value = header[keyword]
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise PacketCorrupt(f"The cutout's FITS header has no valid {keyword}.")
            scaling[keyword] = value
    return scaling


def _find_tiles(column: _Column, table: bytes, rows: int, heap: bytes) -> Iterator[bytes]:
    """Find the tiles of a column, once it is known that all lie inside the heap and do not repeat it."""
    cells = np.frombuffer(table, np.uint8).reshape(rows, -1)
    wide = column.form[1] == "Q"
    cells = cells[:, column.offset : column.offset + (16 if wide else 8)]
    counts, offsets = np.ascontiguousarray(cells).view(">i8" if wide else ">i4").T.tolist()
    sizes = [count * _ITEM_BYTES[str(column.item)] for count in counts]
    inside = all(size >= 0 and at >= 0 and at + size <= len(heap) for size, at in zip(sizes, offsets, strict=True))
    if not inside or sum(sizes) > len(heap):
        raise PacketCorrupt("The cutout's compressed tiles lie outside its file.")
    return (heap[at : at + size] for size, at in zip(sizes, offsets, strict=True))
