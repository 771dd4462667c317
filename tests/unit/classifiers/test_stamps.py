"""Stamps as models want them."""

import math

import numpy as np
import pytest

from stamp_service.classifiers.definition import Stamps
from stamp_service.classifiers.reading import Unfit
from stamp_service.classifiers.stamps import prepare, take_images
from stamp_service.images import Stamp, decode_stamp

KINDS = ("science", "template", "difference")
ALERCE = Stamps(input="stamps", kinds=KINDS, shape=(63, 63), crop=(21, 21), normalisation="minmax")
NAN, INF = math.nan, math.inf


def stamp(pixels):
    return Stamp(np.array(pixels, np.float32), {})


def prepared(wanted, *alerts):
    """Prepare alerts that are given by their images, in the order of the kinds."""
    taken = [take_images(wanted, dict(zip(wanted.kinds, map(stamp, images), strict=True))) for images in alerts]
    return prepare(wanted, taken)


def single(normalisation, pixels, **values):
    shape = np.shape(pixels)
    wanted = Stamps(
        input="x", kinds=("science",), shape=shape, normalisation=normalisation, layout="NHW", **values
    )
    return prepared(wanted, [pixels])[0]


def test_published_inputs_are_the_same_to_the_bit(ztf_alerts, shared_data):
    inputs = np.load(shared_data / "models/golden_ztf_inputs.npz")
    numbers = [number for number, candid in enumerate(inputs["candids"]) if str(candid) in ztf_alerts]
    assert len(numbers) == 102
    taken = []
    for number in numbers:
        cutouts = ztf_alerts[str(inputs["candids"][number])].cutouts()
        stamps = {kind: decode_stamp(data, max_bytes=2**24, max_pixels=2**24) for kind, data in cutouts.items()}
        taken.append(take_images(ALERCE, stamps))
    together = prepare(ALERCE, taken)
    assert together.dtype == np.float32
    assert together.flags.c_contiguous
    assert together.tobytes() == inputs["stamps"][numbers].tobytes()
    assert prepare(ALERCE, taken[-1:]).tobytes() == together[-1:].tobytes()


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ([[1, 3], [5, 2]], [[0, 0.5], [1, 0.25]]),
        ([[1, NAN], [5, 2]], [[0, 0], [1, 0.25]]),
        ([[7, 7], [7, 7]], [[0, 0], [0, 0]]),
        ([[NAN, NAN], [NAN, NAN]], [[0, 0], [0, 0]]),
        ([[1, INF], [5, 2]], [[0, 0], [0, 0]]),
        ([[1, -INF], [5, 2]], [[0, 0], [0, 0]]),
        ([[1, -3.4028235e38], [5, 2]], [[1, 0], [1, 1]]),
        ([[3.4028235e38, -3.4028235e38], [5, 2]], [[0, 0], [0, 0]]),
    ],
)
def test_minmax(pixels, expected):
    assert single("minmax", pixels).tolist() == expected


def test_l2_is_of_the_whole_image_or_of_rows():
    pixels = [[3, 0, 0], [0, 0, 4], [0, 0, 0]]
    assert np.allclose(single("l2", pixels), np.array(pixels) / 5)
    assert single("l2-rows", pixels).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert np.allclose(single("l2", [[NAN, 3], [4, 0]]), [[0, 0.6], [0.8, 0]])
    # An infinity becomes the largest float, whose square is infinite.
    assert single("l2", [[INF, 3], [4, -INF]]).tolist() == [[0, 0], [0, 0]]
    assert np.isnan(single("l2", [[0, 0], [0, 0]])).all()
    assert single("none", [[NAN, 3]], pad=None)[0, 1] == 3


def test_normalising_sees_the_crop_alone_and_each_image_by_itself():
    wanted = Stamps(input="x", kinds=("science", "difference"), shape=(5, 4), crop=(2, 2), normalisation="minmax")
    pixels = np.full((5, 4), 100.0)
    # Of five rows the crop leaves one more at the end.
    pixels[1:3, 1:3] = [[1, 2], [3, 5]]
    found = prepared(wanted, [pixels, -pixels], [pixels * 10, pixels])
    assert found.shape == (2, 2, 2, 2)
    first = [[0, 0.25], [0.5, 1]]
    assert found[0, :, :, 0].tolist() == found[1, :, :, 0].tolist() == found[1, :, :, 1].tolist() == first
    assert found[0, :, :, 1].tolist() == [[1, 0.75], [0.5, 0]]


def test_small_stamps_are_padded_at_the_end_after_normalising():
    wanted = Stamps(input="x", kinds=("science", "template"), shape=(3, 3), normalisation="l2", pad=0.125)
    found = prepared(wanted, [[[3.0, 4.0]], [[1.0], [0.0]]], [np.eye(3), np.eye(3)])
    pad = 0.125
    assert np.allclose(found[0, :, :, 0], [[0.6, 0.8, pad], [pad] * 3, [pad] * 3])
    assert np.allclose(found[0, :, :, 1], [[1, pad, pad], [0, pad, pad], [pad] * 3])
    assert np.allclose(found[1, :, :, 0], np.eye(3) / np.sqrt(3))


@pytest.mark.parametrize("pad", [None, 0.0])
def test_other_shapes_are_refused(pad):
    wanted = Stamps(input="x", kinds=("science", "template"), shape=(3, 3), pad=pad)
    with pytest.raises(Unfit, match="the template stamp has 4 x 3 pixels, not 3 x 3"):
        prepared(wanted, [np.eye(3), np.ones((3, 4))])
    if pad is None:
        with pytest.raises(Unfit, match="the science stamp has 2 x 3 pixels, not 3 x 3"):
            prepared(wanted, [np.ones((3, 2)), np.eye(3)])


def test_layouts():
    images = [np.arange(6).reshape(2, 3), np.arange(6, 12).reshape(2, 3)]
    last = Stamps(input="x", kinds=("science", "template"), shape=(2, 3))
    first = last.model_copy(update={"layout": "NCHW"})
    assert prepared(first, images).tolist() == [[image.tolist() for image in images]]
    assert np.array_equal(prepared(last, images), np.stack(images, axis=-1)[None])
    alone = Stamps(input="x", kinds=("science",), shape=(2, 3), layout="NHW")
    assert np.array_equal(prepared(alone, images[:1], images[1:]), np.stack(images))
