"""The page of an alert, used as an astronomer uses it."""

import io
import re
import warnings
from itertools import islice, product

import numpy as np
import pytest
import requests
from astropy import units
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page, save_screenshot

KINDS = ("science", "template", "difference")
SIDE_PX = {"ztf": 63, "atlas": 61, "lsst": 30}
WAYS = list(product(("default", "native", "north"), ("none", "x", "y", "xy")))


def alert_of(survey):
    """One with some history."""
    return next(islice(demo_alerts(survey), 2, None))


def address(survey, query=""):
    return f"/alert/{survey}/{alert_of(survey).alert_id}{query}"


def go(page, path):
    page.goto(path)
    page.wait_for_selector("html[data-ready]")


@pytest.fixture(scope="module")
def page(browser, viewer):
    """One page for all tests, which keeps styles and scripts."""
    with open_page(browser, origin=viewer.url) as page:
        yield page


def frame_of(page, kind):
    return page.locator(f"figure[data-kind={kind}] .frame")


def transform_of(page, kind):
    """Where a picture is in its frame, and its scale."""
    style = frame_of(page, kind).locator("canvas").get_attribute("style")
    return [float(number) for number in re.findall(r"-?[0-9.]+", style)]


def canvas_of(page, kind):
    """What is drawn; RGBA, shape (ny, nx, 4)."""
    script = """(canvas) => [canvas.height, canvas.width,
        Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)]"""
    height, width, data = frame_of(page, kind).locator("canvas").evaluate(script)
    return np.array(data, np.uint8).reshape(height, width, 4)


def next_frame(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def turn(page, orient, flip):
    page.select_option("[name=orient]", orient)
    page.select_option("[name=flip]", flip)
    next_frame(page)


def read(page, kind, column, row, shape):
    """Put the pointer onto a pixel of a picture of that shape, and read what the page says."""
    box = frame_of(page, kind).bounding_box()
    scale = box["width"] / max(shape)
    left, top = ((max(shape) - length) / 2 * scale for length in reversed(shape))
    page.mouse.move(box["x"] + left + (column + 0.5) * scale, box["y"] + top + (row + 0.5) * scale)
    text = page.locator(".readout").inner_text()
    return dict(re.findall(r"(\w+) (no data|\S+)", text))


def raw(viewer, path, kind):
    answer = requests.get(f"{viewer.url}/v1/stamps/{path.removeprefix('/alert/')}/{kind}.npy", timeout=20)
    return np.load(io.BytesIO(answer.content))


def serious(page):
    found = Axe().run(page).response["violations"]
    return [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}]


@pytest.mark.parametrize(("survey", "theme"), [("ztf", "light"), ("atlas", "dark"), ("lsst", "dark")])
def test_the_page_is_whole_and_everybody_can_use_it(browser, viewer, tmp_path, survey, theme):
    with open_page(browser, origin=viewer.url, theme=theme) as page:
        go(page, address(survey))
        page.wait_for_selector("#light-curve canvas")
        save_screenshot(page, f"alert-{survey}-{theme}", tmp_path)
        assert page.locator("figure canvas").count() == 3
        assert serious(page) == []
        if survey == "ztf":
            page.set_viewport_size({"width": 390, "height": 844})
            next_frame(page)
            save_screenshot(page, "alert-phone", tmp_path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert not page.locator("[name=cmap]").is_visible()
            page.check("#more")
            assert page.locator("[name=cmap]").is_visible()


@pytest.mark.parametrize("survey", SIDE_PX)
def test_the_pointer_reads_the_pixel_under_it(page, viewer, survey):
    go(page, address(survey))
    pixels = raw(viewer, address(survey), "science")
    side = SIDE_PX[survey]
    column, row = side // 2 + 3, side // 3
    for orient, flip in WAYS[:8]:
        turn(page, orient, flip)
        found = read(page, "difference", column, row, (side, side))
        is_upside_down = (orient == "default" and survey != "ztf") != ("y" in flip)
        x = side - 1 - column if "x" in flip else column
        y = side - 1 - row if is_upside_down else row
        assert (int(found["x"]), int(found["y"])) == (x, y)
        assert float(found["science"]) == pytest.approx(pixels[y, x], rel=1e-5)
        assert {"template", "difference"} < set(found)
        assert ("ra" in found) == (survey != "ztf")
        # The crosshair is in all of them.
        assert page.locator(".cross").count() == 3


def projection(viewer, path):
    """Where astropy says the science stamp is, by its header, and the stamp's shape."""
    stamp, alert = (f"{viewer.url}/v1/{what}/{path.removeprefix('/alert/')}" for what in ("stamps", "alerts"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # ATLAS writes cards that are not FITS
        with fits.open(io.BytesIO(requests.get(f"{stamp}/science.fits", timeout=20).content)) as hdus:
            header, (ny, nx) = dict(hdus[0].header), hdus[0].data.shape
    sky = WCS(naxis=2)
    sky.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    if "CD1_1" in header:  # ATLAS: distorted, which astropy does not read; the alert is at the stamp's centre
        place = requests.get(alert, timeout=20).json()
        sky.wcs.crval, sky.wcs.crpix = (place["ra_deg"], place["dec_deg"]), ((nx + 1) / 2, (ny + 1) / 2)
        sky.wcs.cd = [[header[f"CD{row}_{column}"] for column in (1, 2)] for row in (1, 2)]
    else:
        sky.wcs.crval, sky.wcs.crpix = (
            [header[f"{name}{axis}"] for axis in (1, 2)] for name in ("CRVAL", "CRPIX")
        )
        sky.wcs.pc = [[header[f"PC{row}_{column}"] for column in (1, 2)] for row in (1, 2)]
    return sky, (ny, nx)


@pytest.mark.parametrize("file", ["atlas/01a59897o0020c_000002.avro", "lsst/7912941781254298.wire"])
def test_the_compass_and_the_places_are_those_of_the_header(page, viewer, show_real, file):
    path = show_real(file)
    go(page, path)
    sky, (ny, nx) = projection(viewer, path)
    centre = sky.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
    near = {
        name: centre.directional_offset_by(angle * units.deg, 1 * units.arcsec)
        for name, angle in (("N", 0), ("E", 90))
    }
    for orient, flip in WAYS:
        turn(page, orient, flip)
        arms = page.locator("figure[data-kind=science] path.compass").get_attribute("d")
        numbers = np.array(re.findall(r"-?[\d.]+", arms), float).reshape(2, 2, 2)
        for (name, place), (start, end) in zip(near.items(), numbers, strict=True):
            x, y = sky.world_to_pixel(place)
            way = np.array([float(x) - (nx - 1) / 2, float(y) - (ny - 1) / 2])
            if orient == "north":
                way = np.array({"N": (0, 1), "E": (-1, 0)}[name], float)
            if orient != "native":  # row 0 is at the bottom
                way[1] *= -1
            way *= [-1 if "x" in flip else 1, -1 if "y" in flip else 1]
            seen = (end - start) / np.linalg.norm(end - start)
            assert seen == pytest.approx(way / np.linalg.norm(way), abs=0.02), (orient, flip, name)
    turn(page, "default", "none")
    for column, row in ((2, 3), (nx - 4, ny // 2)):
        found = read(page, "science", column, row, (ny, nx))
        place = sky.pixel_to_world(float(found["x"]), float(found["y"]))
        assert float(found["ra"]) == pytest.approx(place.ra.deg, abs=1e-4)
        assert float(found["dec"]) == pytest.approx(place.dec.deg, abs=1e-4)


def test_the_scale_bar_is_as_long_as_it_says(page):
    go(page, address("ztf", "?zoom=2&x=0.5&y=0.5"))
    bar = page.locator("figure[data-kind=science] path.bar").get_attribute("d")
    start, end = re.search(r"M([\d.]+) [\d.]+H([\d.]+)", bar).groups()
    arcsec = float(page.locator("figure[data-kind=science] .overlay-text").first.inner_html().rstrip("″"))
    scale = transform_of(page, "science")[-1]
    assert (float(end) - float(start)) / scale * 1.01 == pytest.approx(arcsec, rel=0.02)


def test_the_address_holds_the_view(browser, viewer, page):
    go(page, address("ztf"))
    as_usual = canvas_of(page, "science")
    page.select_option("[name=stretch]", "asinh")
    page.select_option("[name=cmap]", "viridis")
    page.locator("[name=white]").fill("60")
    page.check("[name=negative]")
    frame_of(page, "science").focus()
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_url("**/*zoom=*")
    seen, transform = canvas_of(page, "science"), transform_of(page, "template")
    assert not np.array_equal(seen, as_usual)
    link = page.url
    assert {"stretch=asinh", "cmap=viridis", "white=60", "negative=on"} < set(link.partition("?")[2].split("&"))
    with open_page(browser, origin=viewer.url) as other:
        go(other, link)
        assert np.array_equal(canvas_of(other, "science"), seen)
        assert transform_of(other, "template") == pytest.approx(transform, abs=0.2)
        other.click("button[type=reset]")
        other.wait_for_url(link.partition("?")[0])
        next_frame(other)
        assert np.array_equal(canvas_of(other, "science"), as_usual)


def test_north_is_up_only_where_the_header_says_where_it_is(page):
    go(page, address("ztf", "?orient=north"))
    assert page.locator("[name=orient]").input_value() == "default"
    assert page.locator("[name=orient] [value=north]").is_disabled()
    assert page.locator("path.compass").count() == 0


def test_an_address_with_nonsense_shows_the_usual_view(page):
    nonsense = "stretch=none&interval=<script>&zoom=abc&x=9e99&pmin=90&pmax=3&cmap=no&white=x&black=&blinking=7"
    go(page, address("ztf", f"?{nonsense}"))
    assert page.locator("figure canvas").count() == 3
    values = {
        name: page.locator(f"[name={name}]").input_value() for name in ("cmap", "white", "black", "blinking")
    }
    assert values == {"cmap": "gray", "white": "100", "black": "0", "blinking": "2"}


def test_pixels_come_once(page, viewer):
    asked = []
    go(page, address("ztf"))
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: asked.append(request.url))
    for name, value in (("stretch", "log"), ("interval", "zscale"), ("cmap", "plasma_r"), ("flip", "xy")):
        page.select_option(f"[name={name}]", value)
    page.locator("[name=black]").fill("5")
    page.click("[data-do=in]")
    page.wait_for_url("**zoom=1.5**")
    assert asked == []
    colours = requests.get(f"{viewer.url}/v1/colormaps/plasma_r", timeout=20).json()["colours"]
    seen = canvas_of(page, "science")[..., :3].reshape(-1, 3)
    assert set(map(tuple, seen.tolist())) <= set(map(tuple, colours))
    # A colour map that is not among the first comes with the page where the address wants it.
    go(page, page.url)
    assert np.array_equal(canvas_of(page, "science")[..., :3].reshape(-1, 3), seen)


def test_sign_and_smoothing(page):
    go(page, address("ztf", "?interval=minmax"))
    science, difference = canvas_of(page, "science"), canvas_of(page, "difference")
    page.check("[name=negative]")
    next_frame(page)
    assert np.array_equal(canvas_of(page, "science"), science)
    turned = canvas_of(page, "difference")[..., 0].astype(int)
    assert np.abs(turned - (255 - difference[..., 0].astype(int))).max() <= 1
    page.select_option("[name=kernel]", "gauss")
    next_frame(page)
    assert (
        np.diff(canvas_of(page, "science")[..., 0].astype(int)).std()
        < np.diff(science[..., 0].astype(int)).std() / 2
    )


def test_zoom_is_one_for_all_stamps_and_what_is_seen_is_saved(page):
    go(page, address("atlas", "?cmap=viridis&stretch=sqrt"))
    box = frame_of(page, "difference").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 30)
    page.mouse.wheel(0, -100)
    page.mouse.wheel(0, -100)
    next_frame(page)
    transforms = [transform_of(page, kind) for kind in KINDS]
    assert transforms[0] == transforms[1] == transforms[2]
    left, top, scale = transforms[0]
    assert scale == pytest.approx(1.44 * box["width"] / 61, rel=1e-3)
    # What was below the pointer is there still.
    assert (20 - left) / scale == pytest.approx(20 * 61 / box["width"], abs=0.01)
    with page.expect_download() as download:
        page.click("figure[data-kind=science] [data-do=png]")
    assert download.value.suggested_filename == f"{alert_of('atlas').alert_id}_science.png"
    saved = np.asarray(Image.open(download.value.path()).convert("RGBA"))
    step = round(scale)
    assert saved.shape[0] == saved.shape[1] == pytest.approx(box["width"] / scale * step, abs=1)
    x, y = (int(-edge / scale + 10.5 / step) for edge in (left, top))
    assert np.array_equal(saved[10, 10], canvas_of(page, "science")[y, x])


def test_two_fingers_zoom_and_one_moves(page):
    go(page, address("ztf"))
    box = frame_of(page, "science").bounding_box()
    send = """(frame, [type, id, x, y]) => {
        frame.setPointerCapture = () => {};
        frame.dispatchEvent(new PointerEvent(type, {pointerId: id, clientX: x, clientY: y, pointerType: "touch"}));
    }"""

    def finger(kind, number, x, y):
        frame_of(page, "science").evaluate(
            send, [kind, number, box["x"] + x * box["width"], box["y"] + y * box["width"]]
        )

    finger("pointerdown", 1, 0.4, 0.5)
    finger("pointerdown", 2, 0.6, 0.5)
    finger("pointermove", 1, 0.3, 0.5)
    finger("pointermove", 2, 0.7, 0.5)
    left, top, scale = transform_of(page, "difference")
    assert scale == pytest.approx(2 * box["width"] / 63, rel=1e-3)
    assert left == pytest.approx(-box["width"] / 2, abs=2)
    finger("pointerup", 2, 0.7, 0.5)
    finger("pointermove", 1, 0.3, 0.4)
    assert transform_of(page, "difference") == pytest.approx([left, top - 0.1 * box["width"], scale], abs=0.5)


def test_blinking_shows_the_others_in_the_place_of_the_science_stamp(page):
    go(page, address("ztf"))
    pictures = {kind: canvas_of(page, kind) for kind in KINDS}
    caption = page.locator("figcaption").first
    page.select_option("[name=blinking]", "3")
    page.click("[data-do=blink]")
    for kind in ("template", "difference", "science"):
        expect(caption).to_contain_text(kind)
        assert np.array_equal(canvas_of(page, "science"), pictures[kind])
    page.click("[data-do=blink]")
    assert page.locator("[data-do=blink]").get_attribute("aria-pressed") == "false"


# Moves over the whole chart until the caption begins so, and says where that was.
FIND = """(over, start) => {
  const box = over.getBoundingClientRect();
  const caption = document.querySelector("#light-curve .caption");
  for (let x = 2; x < box.width; x += 4) for (let y = 2; y < box.height; y += 4) {
    const [clientX, clientY] = [box.x + x, box.y + y];
    over.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
    if (caption.textContent.startsWith(start) && caption.textContent.endsWith("alert")) return [clientX, clientY];
  }
}"""


def test_a_point_of_the_light_curve_opens_its_alert(page):
    go(page, address("ztf"))
    over = page.locator("#light-curve .u-over")
    over.scroll_into_view_if_needed()
    page.click("#light-curve summary")
    page.locator("#light-curve tbody tr").nth(3).wait_for()  # rows are made once the browser says that it is open
    link = page.locator("#light-curve tbody a").first
    wanted = link.inner_text()
    time = link.locator("xpath=ancestor::tr/td[1]").inner_text()
    page.mouse.click(*over.evaluate(FIND, f"MJD {float(time):.4f}"))
    page.wait_for_url(f"**/alert/ztf/{wanted}")


def test_a_real_record_is_searched_with_what_its_schema_says(page, show_real):
    go(page, show_real("ztf/820128985515010010.avro"))
    page.wait_for_selector("#record li")
    page.fill("#record-search", "sigmapsf")
    names = set(page.locator("#record .name:visible").all_inner_texts())
    assert "sigmapsf" in names
    assert "magpsf" not in names
    # In the history, which is folded at first, as well.
    assert "prv_candidates" in names
    notes = page.locator("#record .note:visible").all_inner_texts()
    assert "1-sigma uncertainty in magpsf [mag]" in notes
    # What was folded is folded again, and the rest is there.
    page.fill("#record-search", "")
    assert page.locator("#record .name:visible", has_text="magpsf").count() == 1
    assert page.locator("#record li:visible").count() > 100


# Pixels without data in each stamp; None where there is no stamp.
REAL = {
    "ztf/2475433850015015000.avro": (2149, 2149, 2149),
    "ztf_snappy/000010512547213126.avro": (644, 644, 644),
    "atlas/02a59543o0078o_011586.avro": (0, None, 61),
    "lsst/7912941781254298.wire": (0, 0, 0),
}


@pytest.mark.parametrize("file", REAL)
def test_what_is_missing_of_a_real_stamp_is_seen_to_be(page, viewer, show_real, tmp_path, file):
    path = show_real(file)
    go(page, path)
    page.wait_for_selector("#light-curve canvas, #light-curve .soft")
    save_screenshot(page, f"real-{file.split('/')[0]}", tmp_path)
    for kind, count in zip(KINDS, REAL[file], strict=True):
        if count is None:
            assert frame_of(page, kind).inner_text() == f"The {kind} stamp was not published."
            continue
        note = page.locator(f"figure[data-kind={kind}] .note").inner_text()
        canvas, pixels = canvas_of(page, kind), raw(viewer, path, kind)
        assert ("cut off" in note) == (pixels.shape[0] != pixels.shape[1])
        assert (f" {count} without data" in note) == (count > 0)
        blank = ~(np.abs(pixels) < 1e30) | (pixels == -31415)
        if "ztf" not in path:
            blank = blank[::-1]
        assert blank.sum() == count
        assert np.array_equal(canvas[..., 3] == 0, blank)
        if blank.any():
            row, column = np.argwhere(blank)[0]
            assert read(page, kind, column, row, blank.shape)[kind] == "no data"


def test_the_position_is_copied(browser, viewer):
    summary = requests.get(f"{viewer.url}/v1/alerts/ztf/{alert_of('ztf').alert_id}", timeout=20).json()
    with open_page(browser, origin=viewer.url) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        go(page, address("ztf"))
        page.locator(".copy").nth(1).click()
        expect(page.locator(".copy").nth(1)).to_have_text("Copied")
        degrees = page.evaluate("navigator.clipboard.readText()")
    assert degrees == f"{summary['ra_deg']:.6f} {summary['dec_deg']:+.6f}"


def test_an_alert_that_does_not_exist_is_a_page_that_says_so(viewer):
    answer = requests.get(f"{viewer.url}/alert/ztf/1", timeout=20)
    assert answer.status_code == 404
    assert "text/html" in answer.headers["Content-Type"]
    assert "There is no ztf alert 1." in answer.text
    assert requests.get(f"{viewer.url}/alert/ztf/<script>", timeout=20).status_code == 400
