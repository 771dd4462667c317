"""What a page draws from raw pixels is what the service draws."""

import base64
import io
from itertools import product

import numpy as np
import pytest
import requests
from PIL import Image

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page

# Draws a stamp with the page's own modules, and gives back the canvas's bytes.
DRAW = """async ({folder, url, masks, style, facing, cmap}) => {
  const [{fetchStamp}, {findLevels}, {face}, {fetchPalette, paint}] = await Promise.all(
    ["npy", "levels", "orientation", "painting"].map((name) => import(`${folder}/pixels/${name}.js`)));
  const stamp = await fetchStamp(url);
  const canvas = document.createElement("canvas");
  paint(canvas, findLevels(stamp, masks, style), face(stamp, facing), await fetchPalette(cmap, ""));
  const {width, height} = canvas;
  const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
  return [height, width, btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""))];
}"""
INTERVALS = ("core", "minmax", "percentile", "zscale")
STRETCHES = ("linear", "sqrt", "log", "asinh", "sigmoid", "power")
MASKS = {"ztf": [], "atlas": [-31415], "lsst": []}


@pytest.fixture(scope="module")
def page(browser, viewer):
    with open_page(browser, origin=viewer.url) as page:
        page.goto("/")
        yield page


@pytest.fixture(scope="module")
def folder(page):
    """Where the page's modules are."""
    return page.locator("link[rel=stylesheet]").first.get_attribute("href").rpartition("/")[0]


def both(page, folder, viewer, address, style, **facing):
    """Draw a stamp in the page and at the service; RGBA, shape (ny, nx, 4)."""
    survey = address.split("/")[0]
    wanted = {"folder": folder, "url": f"/v1/stamps/{address}.npy", "masks": MASKS[survey], "cmap": "gray"}
    facing = {"orient": "default", "row0": "top" if survey == "ztf" else "bottom", "flip": "none"} | facing
    height, width, data = page.evaluate(DRAW, wanted | {"style": style, "facing": facing})
    seen = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
    query = style | {"orient": facing["orient"], "flip": facing["flip"], "scale": 1}
    answer = requests.get(f"{viewer.url}/v1/stamps/{address}.png", params=query, timeout=20)
    assert answer.status_code == 200, answer.text
    return seen, np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def assert_same(seen, drawn):
    assert seen.shape == drawn.shape
    assert np.array_equal(seen[..., 3], drawn[..., 3]), "pixels without data differ"
    opaque = drawn[..., 3] > 0
    differences = np.abs(seen[opaque].astype(int) - drawn[opaque])
    assert differences.max(initial=0) <= 1
    assert drawn[opaque].max(initial=0) - drawn[opaque].min(initial=255) > 100


@pytest.mark.parametrize("survey", ["ztf", "atlas", "lsst"])
def test_every_interval_and_stretch(page, folder, viewer, survey):
    alert = next(iter(demo_alerts(survey, objects=1)))
    for kind, interval, stretch in product(("science", "difference"), INTERVALS, STRETCHES):
        style = {"interval": interval, "stretch": stretch}
        assert_same(*both(page, folder, viewer, f"{survey}/{alert.alert_id}/{kind}", style))


@pytest.mark.parametrize("flip", ["none", "x", "y", "xy"])
@pytest.mark.parametrize("survey", ["ztf", "atlas"])
def test_which_way_up(page, folder, viewer, survey, flip):
    alert = next(iter(demo_alerts(survey, objects=1)))
    for orient in ("default", "native"):
        style = {"interval": "minmax", "stretch": "sqrt"}
        assert_same(
            *both(page, folder, viewer, f"{survey}/{alert.alert_id}/science", style, orient=orient, flip=flip)
        )
