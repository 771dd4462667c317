"""Damaged cutouts and absurd pixels: an error of ours, or a picture; never anything else."""

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.images import Stamp, Style, draw_png, draw_triptych, gunzip_cutout, pack_fits
from stamp_service.images.stretches import STRETCHES

MANY = 1 << 22
FIXTURES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = [
    b"0",
    b"1",
    b"-1",
    b"3",
    b"64",
    b"2147483647",
    b"1000000000",
    b"9223372036854775807",
    b"1E9",
    b"T",
    b"'x'",
    b"",
]


@st.composite
def damages(draw):
    """Ways to damage a file: `(place, what to put there)`, places as fractions of its length."""
    place = st.floats(0, 1, exclude_max=True)
    # Headers are where the harm is, and they are at the front.
    return draw(
        st.lists(st.tuples(st.one_of(place, place.map(lambda x: x / 8)), st.binary(max_size=8)), max_size=6)
    )


def damage(data: bytes, changes: list[tuple[float, bytes]]) -> bytes:
    damaged = bytearray(data)
    for place, piece in changes:
        at = int(place * len(damaged))
        damaged[at : at + len(piece)] = piece
    return bytes(damaged)


def use(decode, survey, cutout: bytes) -> None:
    """Decode and draw; any error but ours fails the test."""
    try:
        stamp = decode(cutout, max_pixels=1 << 16)
        picture = draw_png(stamp, survey, "science", Style(), max_pixels=MANY)
        pack_fits({"science": cutout}, survey="x", alert_id="1", max_bytes=MANY, max_pixels=1 << 16)
    except (PacketCorrupt, TooLarge):
        return
    Image.open(io.BytesIO(picture)).load()


@pytest.fixture(scope="module")
def samples(some_cutouts) -> list[bytes]:
    """Real cutouts, and others of every form that is read."""
    image = np.random.default_rng(1).normal(100, 10, (20, 30)).astype(np.float32)
    made = []
    for hdu in (
        fits.ImageHDU(image.astype(np.int16)),
        fits.CompImageHDU(image, compression_type="RICE_1", quantize_method=1, dither_seed=5),
        fits.CompImageHDU(image, compression_type="GZIP_2", quantize_level=0, tile_shape=(8, 8)),
        fits.CompImageHDU(image.astype(np.int32), compression_type="RICE_1"),
    ):
        file = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(file)
        made.append(file.getvalue())
    return [real.cutout for real in some_cutouts] + made * 4


@given(data=st.data(), changes=damages(), end=st.one_of(st.none(), st.floats(0, 1)), inside=st.booleans())
@FIXTURES
def test_damaged_cutouts(decode, surveys, samples, data, changes, end, inside):
    cutout = data.draw(st.sampled_from(samples))
    if inside:
        cutout = gunzip_cutout(cutout, MANY)
    cutout = damage(cutout, changes)
    use(decode, surveys["lsst"], cutout[: None if end is None else int(end * len(cutout))])


@given(data=st.data(), packed=st.booleans())
@FIXTURES
def test_headers_with_other_numbers(decode, surveys, samples, data, packed):
    """Every number of a header replaced by an absurd one, one or two at a time."""
    file = bytearray(gunzip_cutout(data.draw(st.sampled_from(samples)), MANY))
    cards = [at for at in range(0, len(file) - 80, 80) if file[at + 8 : at + 10] == b"= "]
    for at in data.draw(st.lists(st.sampled_from(cards), min_size=1, max_size=2)):
        file[at + 10 : at + 80] = data.draw(st.sampled_from(NUMBERS)).rjust(20).ljust(70)
    use(decode, surveys["atlas"], gzip.compress(file, 1) if packed else bytes(file))


ODD = [0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 1.1e30, 3.4e38, -3.4028235e38, 1e-45, -31415.0, 1e-38]
PIXELS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.one_of(st.floats(width=32), st.sampled_from(ODD).map(lambda x: float(np.float32(x)))),
    fill=st.sampled_from(ODD).map(lambda x: float(np.float32(x))),
)


@given(
    pixels=PIXELS,
    interval=st.sampled_from(["core", "minmax", "percentile", "zscale"]),
    stretch=st.sampled_from(sorted(STRETCHES)),
    pmin=st.floats(0, 99),
    flip=st.sampled_from(["none", "x", "y", "xy"]),
    scale=st.integers(1, 9),
    kind=st.sampled_from(["science", "difference"]),
)
@FIXTURES
def test_no_pixels_fail(surveys, pixels, interval, stretch, pmin, flip, scale, kind):
    style = Style(interval=interval, stretch=stretch, pmin=pmin, pmax=pmin + 0.75, flip=flip, scale=scale)
    png = draw_png(Stamp(pixels, {}), surveys["atlas"], kind, style, max_pixels=MANY)
    picture = Image.open(io.BytesIO(png))
    assert picture.size == (pixels.shape[1] * scale, pixels.shape[0] * scale)
    levels = np.asarray(picture)[::scale, ::scale]
    no_data = ~(np.abs(pixels) <= np.float32(1e30)) | ((pixels == -31415) & (kind == "difference"))
    expected = no_data[::-1][:: -1 if "y" in flip else 1, :: -1 if "x" in flip else 1]
    np.testing.assert_array_equal(levels == 0, expected)


@given(pixels=PIXELS)
@settings(FIXTURES, max_examples=15)
def test_no_pixels_fail_a_triptych(surveys, pixels):
    png = draw_triptych({"science": Stamp(pixels, {})}, surveys["ztf"], title=("",), max_pixels=MANY)
    Image.open(io.BytesIO(png)).load()
