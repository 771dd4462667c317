"""Plain FITS files, written with nothing but what stamps need."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK_BYTES = 2880
_BITPIX = {"f4": -32, "f8": -64}
Cards = Mapping[str, bool | int | float | str]


def _card(name: str, value: bool | float | str) -> bytes:
    if isinstance(value, str):
        quoted = f"'{value:<8}'"
        text = f"{name:<8}= {quoted:<20}"
    elif isinstance(value, bool):
        text = f"{name:<8}= {'T' if value else 'F':>20}"
    else:
        text = f"{name:<8}= {str(value).upper():>20}"
    return f"{text:<80}".encode("ascii")


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % _BLOCK_BYTES)


def write_fits(hdus: Sequence[tuple[NDArray[np.floating], Cards]]) -> bytes:
    """Write images as a FITS file.

    Parameters
    ----------
    hdus : sequence of tuple
        Pixels `(ny, nx)`, float32 or float64, and further header cards: first the primary image, then one
        extension each.

    Returns
    -------
    bytes
        The file.
    """
    parts = []
    for number, (pixels, cards) in enumerate(hdus):
        big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
        ny, nx = pixels.shape
        header: dict[str, bool | int | float | str] = {"SIMPLE": True} if number == 0 else {"XTENSION": "IMAGE"}
        header |= {"BITPIX": _BITPIX[big_endian.dtype.str[1:]], "NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny}
        if number:
            header |= {"PCOUNT": 0, "GCOUNT": 1}
        elif len(hdus) > 1:
            header["EXTEND"] = True
        lines = [_card(name, value) for name, value in {**header, **cards}.items()]
        parts.append(_padded(b"".join([*lines, b"END".ljust(80)]), b" "))
        parts.append(_padded(big_endian.tobytes(), b"\0"))
    return b"".join(parts)
