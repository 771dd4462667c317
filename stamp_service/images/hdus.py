"""The HDUs of a FITS file: where each lies, how large it is, which one holds the image.

Sizes are worked out from cards parsed one at a time and checked against the bytes that are there, so a header
that lies is found out before anything is allocated.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from astropy.io import fits

from stamp_service.errors import PacketCorrupt
from stamp_service.images.headers import BLOCK_BYTES, CARD_BYTES, Header, HeaderValue, find_header_end

# Rubin's cutouts have three.
_MAX_HDUS = 64
_BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True, slots=True)
class Hdu:
    """One HDU as it stands in the file.

    Parameters
    ----------
    header : Header
        Its cards.
    data : bytes
        Its data, without padding.
    is_primary : bool
        Whether it is the file's first.
    """

    header: Header
    data: bytes
    is_primary: bool

    @property
    def is_image(self) -> bool:
        """Whether it is a plain image with pixels, however many axes they have."""
        return bool(self.data) and (self.is_primary or self.header.get("XTENSION") == "IMAGE")

    @property
    def is_tiled(self) -> bool:
        """Whether it is a table that holds a tile-compressed image."""
        return self.header.get("XTENSION") == "BINTABLE" and self.header.get("ZIMAGE") is True

    def shape(self) -> tuple[int, int]:
        """Work out the shape of the image.

        Returns
        -------
        tuple of int
            (ny, nx).

        Raises
        ------
        PacketCorrupt
            If the image has no pixels or is not two-dimensional; further axes must be of length 1.
        """
        nx, ny, *further = (*axis_lengths(self.header, "Z" if self.is_tiled else ""), 0, 0)
        if nx * ny == 0 or any(length > 1 for length in further):
            raise PacketCorrupt("The cutout's image is not two-dimensional.")
        return ny, nx


def read_hdus(data: bytes) -> Iterator[Hdu]:
    """Walk through a FITS file.

    Parameters
    ----------
    data : bytes
        The file, not gzipped.

    Yields
    ------
    Hdu
        One after the other; what follows the last and does not start like an HDU is not read.

    Raises
    ------
    PacketCorrupt
        If it is no FITS file, is cut short, or has too many HDUs.
    """
    if not data.startswith(b"SIMPLE  = "):
        raise PacketCorrupt("The cutout is not a FITS file.")
    start = 0
    for number in range(_MAX_HDUS):
        end = find_header_end(data, start)
        if end < 0:
            raise PacketCorrupt("The cutout's FITS file has a header without an end.")
        header = Header(data[start:end])
        start = _to_block(end + CARD_BYTES)
        size = _data_bytes(header)
        if start + size > len(data):
            raise PacketCorrupt("The cutout's FITS file is cut short.")
        yield Hdu(header, data[start : start + size], is_primary=number == 0)
        start = _to_block(start + size)
        if not data.startswith(b"XTENSION= ", start):
            return
    raise PacketCorrupt(f"The cutout's FITS file has more than {_MAX_HDUS} HDUs.")


def find_image(hdus: Iterable[Hdu]) -> Hdu:
    """Find the image of a cutout.

    Parameters
    ----------
    hdus : iterable of Hdu
        The file's HDUs.

    Returns
    -------
    Hdu
        The first that holds an image, tile-compressed or not.

    Raises
    ------
    PacketCorrupt
        If none does.
    """
    for hdu in hdus:
        if hdu.is_image or hdu.is_tiled:
            return hdu
    raise PacketCorrupt("The cutout's FITS file has no image.")


def write_hdu(cards: Mapping[str, HeaderValue], data: bytes = b"", further: Iterable[str] = ()) -> bytes:
    """Write an HDU.

    Parameters
    ----------
    cards : Mapping
        Keywords and values, in FITS's order.
    data : bytes
        Its data.
    further : iterable of str
        Cards that follow, written out.

    Returns
    -------
    bytes
        Header and data, each padded to whole blocks.
    """
    images = [fits.Card(keyword, value).image for keyword, value in cards.items()]
    header = "".join((*images, *further, "END".ljust(CARD_BYTES))).encode("ascii")
    return b"".join((header, b" " * (-len(header) % BLOCK_BYTES), data, bytes(-len(data) % BLOCK_BYTES)))


def integer(
    header: Mapping[str, HeaderValue], keyword: str, low: int, high: int, default: int | None = None
) -> int:
    """Read an integer that must be within bounds.

    Parameters
    ----------
    header : Mapping
        The header.
    keyword : str
        The card's keyword.
    low, high : int
        The bounds, both allowed.
    default : int, optional
        What a missing card means; without one the card is needed.

    Returns
    -------
    int
        The value.

    Raises
    ------
    PacketCorrupt
        If it is missing, no integer, or out of bounds.
    """
    value = header.get(keyword, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise PacketCorrupt(f"The cutout's FITS header has no valid {keyword}.")
    return value


def axis_lengths(header: Mapping[str, HeaderValue], prefix: str = "") -> tuple[int, ...]:
    """Read the length of each axis.

    Parameters
    ----------
    header : Mapping
        The header.
    prefix : str
        `Z` for those of the image inside a tile-compressed one.

    Returns
    -------
    tuple of int
        NAXIS1, NAXIS2, and so on.

    Raises
    ------
    PacketCorrupt
        If one is missing or negative.
    """
    count = integer(header, f"{prefix}NAXIS", 0, 999)  # FITS allows no more
    return tuple(integer(header, f"{prefix}NAXIS{axis}", 0, 2**63 - 1) for axis in range(1, count + 1))


def _data_bytes(header: Header) -> int:
    """Bytes of data that a header announces (FITS 4.0, equations 1 and 2)."""
    bitpix = integer(header, "BITPIX", -64, 64)
    if bitpix not in _BITPIX:
        raise PacketCorrupt("The cutout's FITS header has no valid BITPIX.")
    lengths = axis_lengths(header)
    if not lengths:
        return 0
    parameters = integer(header, "PCOUNT", 0, 2**63 - 1, default=0)
    groups = integer(header, "GCOUNT", 1, 2**63 - 1, default=1)
    return abs(bitpix) // 8 * groups * (parameters + prod(lengths))


def _to_block(offset: int) -> int:
    """Round up to a whole block."""
    return offset + -offset % BLOCK_BYTES
