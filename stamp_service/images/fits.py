"""From a cutout's bytes to a stamp.

Nearly every cutout starts with one plain float32 image, which takes a direct path: five cards read by hand, and
the pixels where they lie. Everything else goes through `images.hdus` and `astropy.io.fits`; a property test
holds the two equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from stamp_service.errors import PacketCorrupt, StampServiceError, TooLarge
from stamp_service.images.compression import gunzip_cutout
from stamp_service.images.hdus import Hdu, find_image, integer, read_hdus, write_hdu
from stamp_service.images.headers import BLOCK_BYTES, CARD_BYTES, Header, HeaderValue, find_header_end
from stamp_service.images.tiles import decode_tiles, read_scaling

_PLAIN_CARDS = (b"SIMPLE  ", b"BITPIX  ", b"NAXIS   ", b"NAXIS1  ", b"NAXIS2  ")
_SCALING = {b"BZERO   ": 0.0, b"BSCALE  ": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """A decoded cutout.

    Parameters
    ----------
    pixels : ndarray
        Values as published, shape (ny, nx), float32, C-contiguous; NaN where the file says BLANK. Row 0 is the
        first in the file.
    header : Mapping
        The image's header; cards are parsed when asked for.
    """

    pixels: NDArray[np.float32]
    header: Mapping[str, HeaderValue]


def decode_stamp(cutout: bytes, *, max_bytes: int, max_pixels: int) -> Stamp:
    """Decode a cutout.

    Parameters
    ----------
    cutout : bytes
        A FITS file, gzipped or plain. The image is that of the first HDU that has one, tile-compressed or not.
    max_bytes : int
        The most bytes the file may have once decompressed.
    max_pixels : int
        The most pixels the image may have.

    Returns
    -------
    Stamp
        The image and its header.

    Raises
    ------
    PacketCorrupt
        If the bytes are no FITS file, or it has no two-dimensional image.
    TooLarge
        If a limit is exceeded; found out before anything of that size is allocated.
    """
    data = gunzip_cutout(cutout, max_bytes)
    return decode_plain(data, max_pixels) or decode_any(data, max_pixels)


def decode_plain(data: bytes, max_pixels: int) -> Stamp | None:
    """Decode the common case: an unscaled float32 image in the primary HDU.

    Parameters
    ----------
    data : bytes
        A FITS file, not gzipped. What follows the first image is not looked at.
    max_pixels : int
        The most pixels the image may have.

    Returns
    -------
    Stamp or None
        The stamp; None if the file is anything else.

    Raises
    ------
    PacketCorrupt
        If the pixels are cut short.
    TooLarge
        If there are too many.
    """
    shape = _plain_shape(data[: 5 * CARD_BYTES])
    end = find_header_end(data) if shape else -1
    if shape is None or end < 0 or not _is_unscaled(data, end):
        return None
    ny, nx = shape
    if nx * ny > max_pixels:
        raise TooLarge(f"The cutout has {nx} x {ny} pixels, more than {max_pixels}.")
    start = end - end % BLOCK_BYTES + BLOCK_BYTES
    if len(data) < start + 4 * nx * ny:
        raise PacketCorrupt("The cutout's FITS file is cut short.")
    pixels = np.frombuffer(data, ">f4", nx * ny, start).astype(np.float32).reshape(ny, nx)
    return Stamp(pixels, Header(data[:end]))


def decode_any(data: bytes, max_pixels: int) -> Stamp:
    """Decode an image of any type, through astropy.

    What astropy sees is the image's HDU under a header that is written anew from the values checked here: it is
    bounded, cannot be read differently from what was checked, and has none of the oddities that astropy warns of
    (silencing warnings is not thread-safe).

    Parameters
    ----------
    data : bytes
        A FITS file, not gzipped.
    max_pixels : int
        The most pixels the image may have.

    Returns
    -------
    Stamp
        The first image of the file.

    Raises
    ------
    PacketCorrupt
        If there is none, or it cannot be decoded.
    TooLarge
        If it has too many pixels.
    """
    hdu = find_image(read_hdus(data))
    ny, nx = hdu.shape()
    if nx * ny > max_pixels:
        raise TooLarge(f"The cutout has {nx} x {ny} pixels, more than {max_pixels}.")
    try:
        with np.errstate(all="ignore"):  # a float64 beyond float32's range becomes inf: no data
            values = decode_tiles(hdu) if hdu.is_tiled else _decode_scaled(hdu)
            pixels = np.ascontiguousarray(values.reshape(ny, nx), dtype=np.float32)
    except StampServiceError:
        raise
    except Exception:  # a foreign parser and hostile bytes: whatever it raises, the packet is at fault
        raise PacketCorrupt("The cutout's image cannot be decoded.") from None
    return Stamp(pixels, hdu.header)


def _decode_scaled(hdu: Hdu) -> NDArray[np.generic]:
    ny, nx = hdu.shape()
    bitpix = integer(hdu.header, "BITPIX", -64, 64)
    cards: dict[str, HeaderValue] = {"SIMPLE": True, "BITPIX": bitpix, "NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny}
    if bitpix > 0 and "BLANK" in hdu.header:  # for floats it has no meaning, and NaN says the same
        cards["BLANK"] = integer(hdu.header, "BLANK", -(2**63), 2**63 - 1)
    values: NDArray[np.generic] = fits.PrimaryHDU.fromstring(
        write_hdu(cards | read_scaling(hdu.header), hdu.data)
    ).data
    return values


@lru_cache(maxsize=128)  # a survey's stamps have few shapes, so few beginnings
def _plain_shape(cards: bytes) -> tuple[int, int] | None:
    """(ny, nx), if these five cards announce a float32 image in the primary HDU."""
    simple, bitpix, naxis, nx, ny = (
        _field(cards, i * CARD_BYTES, keyword) for i, keyword in enumerate(_PLAIN_CARDS)
    )
    if simple != b"T" or bitpix != b"-32" or naxis != b"2" or not (nx.isdigit() and ny.isdigit()):
        return None
    shape = int(ny), int(nx)
    return shape if 0 not in shape else None


def _field(data: bytes, at: int, keyword: bytes) -> bytes:
    """Text of the value of a card that has this keyword; nothing if it has another."""
    card = data[at : at + CARD_BYTES]
    return card[10:].partition(b"/")[0].strip() if card.startswith(keyword + b"= ") else b""


def _is_unscaled(data: bytes, end: int) -> bool:
    """Say whether no card scales the pixels; ATLAS's do not, with BZERO 0 and BSCALE 1."""
    initials = data[:end:CARD_BYTES]
    card = initials.find(b"B")
    while card >= 0:
        at = card * CARD_BYTES
        keyword = data[at : at + 8]
        if keyword in _SCALING:
            try:
                if float(_field(data, at, keyword)) != _SCALING[keyword]:
                    return False
            except ValueError:
                return False
        card = initials.find(b"B", card + 1)
    return True
