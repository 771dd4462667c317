"""Preparing stamps for a model; see `definition.Stamps` for what is done, in which order."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.definition import Stamps
from stamp_service.classifiers.reading import Unfit
from stamp_service.images import Stamp
from stamp_service.surveys import Kind

Images = NDArray[np.float32]


def take_images(wanted: Stamps, stamps: Mapping[Kind, Stamp]) -> list[Images]:
    """Cut the images that a model wants out of the stamps of one alert.

    Parameters
    ----------
    wanted : Stamps
        What the model wants.
    stamps : mapping of str to Stamp
        The alert's stamps.

    Returns
    -------
    list of ndarray
        (ny, nx) for each kind; smaller than wanted only if they may be.

    Raises
    ------
    Unfit
        If a stamp has another shape.
    """
    rows, columns = (_centre(whole, cut) for whole, cut in zip(wanted.shape, wanted.fed_shape, strict=True))
    images = []
    for kind in wanted.kinds:
        pixels = stamps[kind].pixels
        if pixels.shape != wanted.shape:
            ny, nx = pixels.shape
            if wanted.pad is None or ny > wanted.shape[0] or nx > wanted.shape[1]:
                raise Unfit(f"the {kind} stamp has {nx} x {ny} pixels, not {wanted.shape[1]} x {wanted.shape[0]}")
        images.append(pixels[rows, columns])
    return images


def prepare(wanted: Stamps, alerts: Sequence[Sequence[Images]]) -> Images:
    """Normalise the images of some alerts and put them together.

    Parameters
    ----------
    wanted : Stamps
        What the model wants.
    alerts : sequence of sequence of ndarray
        For each alert, what `take_images` gave.

    Returns
    -------
    ndarray
        (alerts, ny, nx, kinds) or as `layout` says, float32, C-contiguous.
    """
    ny, nx = wanted.fed_shape
    normalise = _NORMALISATIONS[wanted.normalisation]
    prepared: Images = np.empty((len(alerts), len(wanted.kinds), ny, nx), np.float32)
    with np.errstate(all="ignore"):  # published pixels may be NaN, infinite or masked with float32's extremes
        if wanted.pad is None:
            for number, images in enumerate(alerts):
                for channel, image in enumerate(images):
                    prepared[number, channel] = image
            normalise(prepared)
        else:
            prepared[:] = wanted.pad
            for number, images in enumerate(alerts):
                for channel, image in enumerate(images):
                    target = prepared[number, channel, : image.shape[0], : image.shape[1]]
                    target[:] = image
                    normalise(target)
    if wanted.layout == "NHWC":
        return np.ascontiguousarray(prepared.transpose(0, 2, 3, 1))
    return prepared[:, 0] if wanted.layout == "NHW" else prepared


def _centre(whole: int, cut: int) -> slice:
    start = (whole - cut) // 2
    return slice(start, start + cut)


def _minmax(images: Images) -> None:
    # fmin and fmax pass NaN over, and give NaN where there is nothing else.
    images -= np.fmin.reduce(images, axis=(-2, -1), keepdims=True)
    images /= np.fmax.reduce(images, axis=(-2, -1), keepdims=True)
    images[np.isnan(images)] = 0


def _l2(images: Images) -> None:
    np.nan_to_num(images, copy=False)
    images /= np.sqrt(np.sum(images * images, axis=(-2, -1), keepdims=True))


def _l2_rows(images: Images) -> None:
    np.nan_to_num(images, copy=False)
    norms = np.sqrt(np.sum(images * images, axis=-1, keepdims=True))
    norms[norms == 0] = 1
    images /= norms


def _leave(images: Images) -> None:
    """Take pixels as they were published."""


# In place, images in the last two axes.
_NORMALISATIONS: Mapping[str, Callable[[Images], None]] = {
    "minmax": _minmax,
    "l2": _l2,
    "l2-rows": _l2_rows,
    "none": _leave,
}
