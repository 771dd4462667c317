"""Stamps that no survey means to publish, asked for over HTTP: a picture or a clear error, never a crash."""

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from stamp_service.packets import write_ocf
from stamp_service.stores import open_local

CUTOUT = {"type": "record", "name": "cutout", "fields": [{"name": "stampData", "type": "bytes"}]}
SCHEMA = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {"name": "cutoutScience", "type": CUTOUT},
    ],
}
RNG = np.random.default_rng(5)


def as_fits(pixels, **cards):
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    file = io.BytesIO()
    hdu.writeto(file, output_verify="ignore")
    return file.getvalue()


def lying(keyword, value):
    """A file whose header announces another shape than it has."""
    whole = as_fits(np.zeros((5, 5), "f4"))
    old = next(whole[i : i + 80] for i in range(0, 2880, 80) if whole[i : i + 8].strip() == keyword.encode())
    return whole.replace(old, f"{keyword:8}= {value:>20}".ljust(80).encode())


IMAGES = {
    "all NaN": np.full((63, 63), np.nan, "f4"),
    "constant": np.full((63, 63), 7, "f4"),
    "zero": np.zeros((63, 63), "f4"),
    "infinite": np.full((63, 63), np.inf, "f4"),
    "half infinite": np.where(np.eye(63) > 0, -np.inf, RNG.normal(size=(63, 63))).astype("f4"),
    "huge values": (RNG.normal(size=(63, 63)) * 5e37).astype("f4"),
    "padded": np.where(np.eye(63) > 0, -3.4028235e38, RNG.normal(size=(63, 63))).astype("f4"),
    "one pixel": np.ones((1, 1), "f4"),
    "one row": RNG.normal(size=(1, 63)).astype("f4"),
    "one column": RNG.normal(size=(63, 1)).astype("f4"),
    "two by two": RNG.normal(size=(2, 2)).astype("f4"),
    "doubles": RNG.normal(size=(63, 63)),
    "integers": RNG.integers(0, 60_000, (63, 63)).astype("u2"),
}
BROKEN = {
    "empty": b"",
    "text": b"not FITS",
    "cut short": as_fits(RNG.normal(size=(63, 63)).astype("f4"))[:4000],
    "header alone": as_fits(RNG.normal(size=(63, 63)).astype("f4"))[:2880],
    "wider than it is": lying("NAXIS1", 1000),
    "negative": lying("NAXIS1", -5),
    "no axes": lying("NAXIS", 0),
    "999 axes": lying("NAXIS", 999),
    "odd type": lying("BITPIX", 7),
    "a cube": as_fits(np.zeros((3, 5, 5), "f4")),
    "gzip cut short": gzip.compress(as_fits(RNG.normal(size=(63, 63)).astype("f4")))[:-500],
    "gzip of text": gzip.compress(b"not FITS"),
}
LARGE = {
    "announces 10^9 columns": lying("NAXIS1", 10**9),
    "10,000 x 10,000": gzip.compress(as_fits(np.zeros((10_000, 10_000), "u1")), 1),
    "bomb": gzip.compress(bytes(50_000_000), 9),
}


@pytest.fixture(scope="module")
def ask(make_app):
    """Put a cutout into an alert of its own and ask for its picture."""
    app = make_app()
    here, numbers = app.extensions["stamp_service"], iter(range(1, 1000))

    def picture(cutout, query=""):
        candid = next(numbers)
        record = {"objectId": "ZTF18aaaaaaa", "candid": candid, "cutoutScience": {"stampData": cutout}}
        open_local(here.settings).put(here.surveys["ztf"], str(candid), write_ocf(SCHEMA, record))
        return app.test_client().get(f"/v1/stamps/ztf/{candid}/science.png{query}")

    return picture


@pytest.mark.parametrize("interval", ["core", "minmax", "percentile", "zscale"])
@pytest.mark.parametrize("name", IMAGES)
def test_any_pixels_give_a_picture(ask, name, interval):
    pixels = IMAGES[name]
    answer = ask(gzip.compress(as_fits(pixels)), f"?interval={interval}&stretch=asinh")
    assert answer.status_code == 200
    picture = Image.open(io.BytesIO(answer.data))
    picture.load()
    assert picture.width * pixels.shape[0] == picture.height * pixels.shape[1]


def test_blank_integers_are_no_data(ask):
    pixels = np.arange(25, dtype="i2").reshape(5, 5)
    answer = ask(as_fits(pixels, BLANK=7), "?scale=1&orient=native")
    opacity = np.asarray(Image.open(io.BytesIO(answer.data)).convert("RGBA"))[..., 3]
    assert (opacity == np.where(pixels == 7, 0, 255)).all()


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "empty"])
def test_what_is_no_image_is_broken(ask, name):
    answer = ask(BROKEN[name])
    assert answer.status_code == 502
    assert answer.json["code"] == "packet-corrupt"


def test_an_empty_cutout_is_absent(ask):
    assert ask(BROKEN["empty"]).json["code"] == "cutout-absent"


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused(ask, name):
    answer = ask(LARGE[name])
    assert answer.status_code in {413, 502}
    assert answer.json["code"] in {"too-large", "packet-corrupt"}
