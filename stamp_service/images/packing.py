"""All cutouts of an alert in one FITS file, an extension for each."""

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, prod

from astropy.io import fits

from stamp_service.errors import TooLarge
from stamp_service.images.compression import gunzip_cutout
from stamp_service.images.fits import decode_any
from stamp_service.images.hdus import Hdu, axis_lengths, find_image, integer, read_hdus, write_hdu
from stamp_service.images.headers import Header, HeaderValue, parse_value
from stamp_service.surveys import Kind

# In this order.
EXTENSIONS: Mapping[Kind, str] = {"difference": "DIFFIM", "science": "SCIENCE", "template": "TEMPLATE"}

# Cards that describe the file that a cutout was, not its image.
_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|EXTNAME|EXTVER|EXTLEVEL|INHERIT|CHECKSUM|DATASUM"
    r"|BLOCKED|Z(?:EXTEND|SIMPLE|TENSION|PCOUNT|GCOUNT|BLOCKED|HECKSUM|DATASUM)"
)
# And those that describe the table of a tile-compressed image, or its pixels as they were stored.
_TILING = re.compile(
    r"TFIELDS|THEAP|T(?:TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM)\d+|BSCALE|BZERO|BLANK"
    r"|Z(?:IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|QUANTIZ|DITHER0|BLANK|MASKCMP|SCALE|ZERO)"
)
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
# Values as the standard has them (FITS 4.0, section 4.2), with a comment or without.
_VALUE = re.compile(
    r" *(?:[TF]|[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?|'(?:[^']|'')*')? *(?:/.*)?",
)
_TEXT = re.compile(r" *'(?:[^']|'')*' *(?:/.*)?")


def pack_fits(
    cutouts: Mapping[Kind, bytes],
    *,
    survey: str,
    alert_id: str,
    object_id: str | None = None,
    max_bytes: int,
    max_pixels: int,
) -> bytes:
    """Pack an alert's cutouts into one FITS file.

    The primary HDU has no data and the cards SURVEY, ALERTID and OBJECTID. Then come DIFFIM, SCIENCE and
    TEMPLATE, those that there are, with their pixels as they stand in the cutout and their cards as far as they
    are valid; a value written in a way that strict readers refuse is written anew. Further images of a cutout
    follow it under its name and their own: Rubin's variance is SCIENCE_UNCERT, its PSF SCIENCE_PSFIMAGE.
    Tables are left out; a tile-compressed image is unpacked.

    Parameters
    ----------
    cutouts : Mapping
        Cutouts by kind, gzipped or not.
    survey : str
        The survey's name.
    alert_id : str
        The alert's id.
    object_id : str, optional
        Its object's.
    max_bytes : int
        The most bytes of each cutout once decompressed.
    max_pixels : int
        The most pixels of each image.

    Returns
    -------
    bytes
        The FITS file: the same bytes for the same cutouts.

    Raises
    ------
    PacketCorrupt
        If a cutout cannot be read.
    TooLarge
        If a cutout exceeds a limit.
    """
    cards: dict[str, HeaderValue] = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True}
    cards |= {"SURVEY": survey, "ALERTID": alert_id} | ({"OBJECTID": object_id} if object_id else {})
    parts = [write_hdu(cards)]
    for kind, extension in EXTENSIONS.items():
        if kind in cutouts:
            data = gunzip_cutout(cutouts[kind], max_bytes)
            parts.extend(_pack_cutout(data, extension, max_pixels))
    return b"".join(parts)


def _pack_cutout(data: bytes, extension: str, max_pixels: int) -> Iterator[bytes]:
    hdus = list(read_hdus(data))
    stamp = find_image(hdus)
    ny, nx = stamp.shape()
    if nx * ny > max_pixels:
        raise TooLarge(f"The cutout has {nx} x {ny} pixels, more than {max_pixels}.")
    if stamp.is_tiled:
        pixels = decode_any(data, max_pixels).pixels.astype(">f4").tobytes()
        yield _pack_image(extension, -32, (nx, ny), _carried_cards(stamp.header, is_tiled=True), pixels)
    else:
        yield _pack_plain(extension, stamp)
    for number, hdu in enumerate(hdus):
        if hdu is not stamp and hdu.is_image:
            name = str(hdu.header.get("EXTNAME"))
            own = name if re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", name) else str(number)
            yield _pack_plain(f"{extension}_{own}", hdu)


def _pack_plain(extension: str, hdu: Hdu) -> bytes:
    bitpix, lengths = integer(hdu.header, "BITPIX", -64, 64), axis_lengths(hdu.header)
    pixels = hdu.data[: abs(bitpix) // 8 * prod(lengths)]  # an image has no further data by the standard
    return _pack_image(extension, bitpix, lengths, _carried_cards(hdu.header), pixels)


def _pack_image(
    extension: str, bitpix: int, lengths: tuple[int, ...], carried: Iterable[str], data: bytes
) -> bytes:
    cards: dict[str, HeaderValue] = {"XTENSION": "IMAGE", "BITPIX": bitpix, "NAXIS": len(lengths)}
    cards |= {f"NAXIS{axis}": length for axis, length in enumerate(lengths, start=1)}
    cards |= {"PCOUNT": 0, "GCOUNT": 1, "EXTNAME": extension}
    return write_hdu(cards, data, carried)


def _carried_cards(header: Header, *, is_tiled: bool = False) -> Iterator[str]:
    """Cards that go along: as they stand where they are valid, numbers anew where only their form is not."""
    is_text = False
    for keyword, image in header.images():
        text = image[10:].rstrip()
        was_text, is_text = is_text, False  # a CONTINUE card belongs to a text, or to one before it
        if not (image.isascii() and image.isprintable()):
            continue
        if _STRUCTURE.fullmatch(keyword) or (is_tiled and _TILING.fullmatch(keyword)):
            continue
        if keyword in ("COMMENT", "HISTORY", ""):
            yield image
        elif keyword == "CONTINUE":
            is_text = was_text and _TEXT.fullmatch(text) is not None
            if is_text:
                yield image
        elif image[8:10] == "= " and _KEYWORD.fullmatch(keyword):
            is_text = _TEXT.fullmatch(text) is not None
            if _VALUE.fullmatch(text):
                yield image
            elif isinstance(value := parse_value(image), int | float) and isfinite(value):
                yield fits.Card(keyword, value).image
