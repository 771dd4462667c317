"""A stamp's values, for programs."""

from io import BytesIO
from typing import Any

import numpy as np
import orjson

from stamp_service.images.fits import Stamp


def to_npy(stamp: Stamp) -> bytes:
    """Write a stamp as a NumPy file.

    Parameters
    ----------
    stamp : Stamp
        The stamp.

    Returns
    -------
    bytes
        A `.npy` file: shape (ny, nx), little-endian float32, values as published.
    """
    file = BytesIO()
    np.lib.format.write_array(file, stamp.pixels.astype("<f4"), allow_pickle=False)
    return file.getvalue()


def to_json(stamp: Stamp) -> bytes:
    """Write a stamp's values as JSON.

    Parameters
    ----------
    stamp : Stamp
        The stamp.

    Returns
    -------
    bytes
        A list of rows, the file's first row first; NaN and infinities are null. Numbers are the shortest that
        give the same float32.
    """
    return orjson.dumps(stamp.pixels, option=orjson.OPT_SERIALIZE_NUMPY)


def to_lists(stamp: Stamp) -> list[list[float | None]]:
    """Give a stamp's values as lists, for a larger JSON document.

    Parameters
    ----------
    stamp : Stamp
        The stamp.

    Returns
    -------
    list of list of float or None
        What `to_json` writes.
    """
    rows: Any = orjson.loads(to_json(stamp))
    return list(rows)
