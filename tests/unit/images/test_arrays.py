"""A stamp's values for programs."""

import io
import json

import numpy as np

from stamp_service.images import Stamp, to_json, to_npy

PIXELS = np.array([[0.1, np.nan, np.inf], [-31415.0, -3.4028235e38, 1e-45]], np.float32)
STAMP = Stamp(PIXELS, {})


def test_npy():
    read = np.load(io.BytesIO(to_npy(STAMP)), allow_pickle=False)
    assert read.dtype == np.dtype("<f4")
    assert read.tobytes() == PIXELS.tobytes()
    assert read.shape == (2, 3)


def test_json_is_strict_and_exact():
    def refuse(name):
        raise AssertionError(name)

    rows = json.loads(to_json(STAMP), parse_constant=refuse)
    assert rows[0] == [0.1, None, None]
    assert [np.float32(value) for value in rows[1]] == list(PIXELS[1])
