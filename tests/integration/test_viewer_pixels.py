"""What a page draws from raw pixels is what the service draws."""

import base64
import io
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import requests
from astropy.io import fits
from PIL import Image

from stamp_service.demo import demo_alerts
from stamp_service.images import decode_stamp, default_style, find_palette, to_npy
from stamp_service.images.drawing import draw_levels
from stamp_service.packets import recognise
from stamp_service.stores import open_schemas
from tests.integration.services.browser import open_page

# Draws a stamp with the page's own modules, once for each way, and gives back what the canvas holds.
DRAW = """async ({folder, npy, masks, ways, cmap}) => {
  const [{readNpy}, {findLevels}, {face}, {asPalette, paint}] = await Promise.all(
    ["npy", "levels", "orientation", "painting"].map((name) => import(`${folder}/pixels/${name}.js`)));
  const stamp = readNpy(Uint8Array.from(atob(npy), (one) => one.charCodeAt(0)).buffer);
  const palette = asPalette((await (await fetch(`/v1/colormaps/${cmap}`)).json()).colours);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return ways.map(({style, facing}) => {
    paint(canvas, findLevels(stamp, masks, style), face(stamp, facing), palette);
    const {width, height} = canvas;
    const {data} = context.getImageData(0, 0, width, height);
    return [height, width, btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""))];
  });
}"""
INTERVALS = ("core", "minmax", "percentile", "zscale")
STRETCHES = ("linear", "sqrt", "log", "asinh", "sigmoid", "power")
KERNELS = ("gauss", "box")
LIMITS = {"max_bytes": 10**7, "max_pixels": 10**6}
# Masked, cut off at a chip's edge, with pixels that are no numbers, and more than one of these.
REAL = {
    "ztf/2475433850015015000.avro": ("science", "template", "difference"),
    "ztf_snappy/000010512547213126.avro": ("science", "difference"),
    "ztf_snappy/000010512225241827.avro": ("template",),
    "ztf_snappy/000010510553834249.avro": ("science",),
    "atlas/02a59543o0078o_011586.avro": ("science", "difference"),
    "lsst/7912941781254298.wire": ("science", "difference"),
}


@pytest.fixture(scope="module")
def page(browser, viewer):
    with open_page(browser, origin=viewer.url) as page:
        page.goto("/status")
        yield page


@pytest.fixture(scope="module")
def draw(page):
    """Draw a stamp in the page in several ways; RGBA, each of shape (ny, nx, 4)."""
    folder = page.locator("link[rel=stylesheet]").first.get_attribute("href").rpartition("/")[0]

    def draw(npy, survey, kind, ways, cmap="gray"):
        wanted = {"folder": folder, "npy": base64.b64encode(npy).decode(), "cmap": cmap}
        wanted |= {"masks": list(survey.cutouts[kind].mask_values), "ways": ways}
        pictures = page.evaluate(DRAW, wanted)
        return [np.frombuffer(base64.b64decode(data), np.uint8).reshape(*shape, 4) for *shape, data in pictures]

    return draw


def way(survey, style, orient="default", flip="none"):
    """What the page's modules take."""
    return {
        "style": {"interval": style.interval, "stretch": style.stretch, "kernel": style.kernel},
        "facing": {"orient": orient, "flip": flip, "row0": survey.orientation.row0},
    }


def assert_same(seen, drawn):
    assert seen.shape == drawn.shape
    assert np.array_equal(seen[..., 3], drawn[..., 3]), "pixels without data differ"
    opaque = drawn[..., 3] > 0
    assert np.abs(seen[opaque].astype(int) - drawn[opaque]).max(initial=0) <= 1


def assert_every_style(draw, survey, kind, cutout):
    """Compare all intervals, stretches and kernels with what `images` makes of the same pixels."""
    stamp = decode_stamp(cutout, **LIMITS)
    usual = default_style(survey, kind)
    styles = [
        replace(usual, interval=interval, stretch=stretch) for interval, stretch in product(INTERVALS, STRETCHES)
    ]
    styles += [
        replace(usual, stretch=stretch, kernel=kernel) for stretch in ("linear", "log") for kernel in KERNELS
    ]
    palette = np.zeros((256, 4), np.uint8)
    palette[1:, :3], palette[1:, 3] = find_palette("gray"), 255
    seen = draw(to_npy(stamp), survey, kind, [way(survey, style) for style in styles])
    for style, picture in zip(styles, seen, strict=True):
        drawn = palette[draw_levels(stamp, survey, kind, style, max_pixels=LIMITS["max_pixels"])]
        assert_same(picture, drawn)
    return seen


@pytest.mark.parametrize("survey", ["ztf", "atlas", "lsst"])
def test_every_interval_stretch_and_kernel(draw, surveys, viewer_settings, survey):
    packet = next(iter(demo_alerts(survey, objects=1))).packet
    alert = recognise(surveys, packet, open_schemas(viewer_settings))
    for kind in ("science", "difference"):
        seen = assert_every_style(draw, surveys[survey], kind, alert.cutouts()[kind])
        assert all(np.ptp(picture[..., 0]) > 20 for picture in seen)
        assert len({picture.tobytes() for picture in seen}) > len(seen) / 2


@pytest.mark.parametrize("file", REAL)
def test_masked_and_misshaped_stamps(draw, surveys, shared_data, viewer_settings, file):
    alert = recognise(surveys, (shared_data / "alerts" / file).read_bytes(), open_schemas(viewer_settings))
    for kind in REAL[file]:
        assert_every_style(draw, alert.survey, kind, alert.cutouts()[kind])


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_a_stamp_without_contrast(draw, surveys, value):
    pixels = np.full((9, 12), value, np.float32)
    pixels[2, 3] = np.nan
    file = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(file)
    assert_every_style(draw, surveys["lsst"], "science", file.getvalue())


@pytest.mark.parametrize("survey", ["ztf", "atlas"])
def test_the_services_own_png(draw, viewer, surveys, survey):
    """Over HTTP, in every orientation, in colour."""
    alert = next(iter(demo_alerts(survey, objects=1)))
    address = f"{viewer.url}/v1/stamps/{survey}/{alert.alert_id}/science"
    npy = requests.get(f"{address}.npy", timeout=20).content
    style = replace(default_style(surveys[survey], "science"), interval="minmax", stretch="sqrt")
    ways = list(product(("default", "native"), ("none", "x", "y", "xy")))
    seen = draw(npy, surveys[survey], "science", [way(surveys[survey], style, *one) for one in ways], "viridis")
    for (orient, flip), picture in zip(ways, seen, strict=True):
        query = {
            "interval": "minmax",
            "stretch": "sqrt",
            "cmap": "viridis",
            "scale": 1,
            "orient": orient,
            "flip": flip,
        }
        answer = requests.get(f"{address}.png", params=query, timeout=20)
        drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
        # A level more or less is a neighbouring colour.
        assert np.abs(picture.astype(int) - drawn).max() <= 4
    assert len({picture.tobytes() for picture in seen}) == 4
