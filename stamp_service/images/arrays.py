"""A stamp's values, for programs."""

from io import BytesIO

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
