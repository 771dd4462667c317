"""The page of an alert, used as an astronomer uses it."""

import io
import json
import re
from itertools import islice

import numpy as np
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page, save_screenshot

SURVEYS = ("ztf", "atlas", "lsst")


def alert_of(survey, place=2):
    return next(islice(demo_alerts(survey), place, None))


def address(survey, query="", place=2):
    return f"/alert/{survey}/{alert_of(survey, place).alert_id}{query}"


def go(page, path):
    page.goto(path)
    page.wait_for_selector("html[data-ready]")


@pytest.fixture
def page(browser, viewer):
    with open_page(browser, origin=viewer.url) as page:
        yield page


def frame_of(page, kind):
    return page.locator(f"figure[data-kind={kind}] .frame")


def transform_of(page, kind):
    """Where a picture is in its frame, and its scale."""
    style = frame_of(page, kind).locator("canvas").get_attribute("style")
    return [float(number) for number in re.findall(r"-?[0-9.]+", style)]


def canvas_bytes(page, kind):
    script = """(canvas) => Array.from(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).join()"""
    return frame_of(page, kind).locator("canvas").evaluate(script)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("survey", SURVEYS)
def test_the_page_is_whole_and_everybody_can_use_it(browser, viewer, tmp_path, survey, theme):
    with open_page(browser, origin=viewer.url, theme=theme) as page:
        go(page, address(survey))
        page.wait_for_selector("#light-curve canvas")
        save_screenshot(page, f"alert-{survey}-{theme}", tmp_path)
        assert page.locator("figure canvas").count() == 3
        found = Axe().run(page).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}] == []


def test_a_phone_shows_everything_without_scrolling_sideways(browser, viewer, tmp_path):
    with open_page(browser, origin=viewer.url, width_px=390, height_px=844) as page:
        go(page, address("ztf"))
        save_screenshot(page, "alert-phone", tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_pointer_reads_the_pixel_under_it(page, viewer, survey):
    go(page, address(survey))
    raw = requests.get(f"{viewer.url}/v1/stamps/{survey}/{alert_of(survey).alert_id}/science.npy", timeout=20)
    pixels = np.load(io.BytesIO(raw.content))
    box = frame_of(page, "science").bounding_box()
    ny, nx = pixels.shape
    column, row = nx // 2 + 3, ny // 3
    page.mouse.move(box["x"] + (column + 0.5) / nx * box["width"], box["y"] + (row + 0.5) / ny * box["height"])
    text = page.locator(".readout").inner_text()
    y = row if survey == "ztf" else ny - 1 - row
    assert re.search(rf"x {column}\s+y {y}\b", text), text
    value = float(re.search(r"science (\S+)", text)[1])
    assert value == pytest.approx(pixels[y, column], rel=1e-5)
    assert "template" in text
    assert "difference" in text
    assert (" ra " in text) == (survey != "ztf")
    # The crosshair is in all of them.
    assert page.locator(".cross").count() == 3


def test_an_lsst_pixel_is_where_its_header_says(page, viewer):
    alert = alert_of("lsst")
    go(page, address("lsst"))
    box = frame_of(page, "science").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 1, box["y"] + box["height"] / 2 + 1)
    text = page.locator(".readout").inner_text()
    metadata = requests.get(f"{viewer.url}/v1/alerts/lsst/{alert.alert_id}", timeout=20).json()
    assert float(re.search(r"ra (\S+)", text)[1]) == pytest.approx(metadata["ra_deg"], abs=2e-4)
    assert float(re.search(r"dec (\S+)", text)[1]) == pytest.approx(metadata["dec_deg"], abs=2e-4)


def test_the_address_holds_the_view(browser, viewer, page):
    go(page, address("ztf"))
    as_usual = canvas_bytes(page, "science")
    page.select_option("[name=stretch]", "asinh")
    page.select_option("[name=cmap]", "viridis")
    page.locator("[name=white]").fill("60")
    page.check("[name=negative]")
    frame_of(page, "science").focus()
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    seen, transform = canvas_bytes(page, "science"), transform_of(page, "template")
    assert seen != as_usual
    link = page.url
    assert {"stretch=asinh", "cmap=viridis", "white=60", "negative=on"} < set(link.partition("?")[2].split("&"))
    with open_page(browser, origin=viewer.url) as other:
        go(other, link)
        assert canvas_bytes(other, "science") == seen
        assert transform_of(other, "template") == pytest.approx(transform, abs=0.2)
        other.click("button[type=reset]")
        other.wait_for_url(link.partition("?")[0])
        other.wait_for_timeout(100)
        assert canvas_bytes(other, "science") == as_usual


def test_an_address_with_nonsense_shows_the_usual_view(page):
    go(page, address("ztf", "?stretch=none&interval=<script>&zoom=abc&x=9e99&pmin=90&pmax=3&cmap=no&white=x"))
    assert page.locator("figure canvas").count() == 3
    assert page.locator("[name=cmap]").input_value() == "gray"


def test_zoom_is_one_for_all_stamps(page):
    go(page, address("atlas"))
    box = frame_of(page, "difference").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 30)
    page.mouse.wheel(0, -100)
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(100)
    transforms = {
        frame_of(page, kind).locator("canvas").get_attribute("style")
        for kind in ("science", "template", "difference")
    }
    assert len(transforms) == 1
    assert float(re.search(r"scale\(([\d.]+)\)", transforms.pop())[1]) == pytest.approx(
        1.44 * box["width"] / 61, rel=1e-3
    )


def test_blinking_shows_the_template_in_the_place_of_the_science_stamp(page):
    go(page, address("ztf"))
    science, template = canvas_bytes(page, "science"), canvas_bytes(page, "template")
    page.click("[data-do=blink]")
    expect(page.locator("figcaption").first).to_contain_text("template")
    assert canvas_bytes(page, "science") == template
    expect(page.locator("figcaption").first).to_contain_text("science")
    assert canvas_bytes(page, "science") == science
    page.click("[data-do=blink]")
    assert page.locator("[data-do=blink]").get_attribute("aria-pressed") == "false"


def test_the_picture_is_saved_as_it_is_seen(page):
    go(page, address("ztf", "?cmap=viridis&stretch=sqrt"))
    with page.expect_download() as download:
        page.click("figure[data-kind=science] [data-do=png]")
    saved = Image.open(download.value.path())
    assert download.value.suggested_filename.endswith("_science.png")
    width, height = saved.size
    assert width == height
    assert width % 63 == 0
    canvas = np.array(json.loads(f"[{canvas_bytes(page, 'science')}]"), np.uint8).reshape(63, 63, 4)
    middles = np.asarray(saved.convert("RGBA"))[width // 126 :: width // 63, width // 126 :: width // 63]
    assert np.array_equal(middles, canvas)


def test_a_point_of_the_light_curve_opens_its_alert(page):
    go(page, address("ztf"))
    over = page.locator("#light-curve .u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    rows = page.locator("#light-curve tbody tr")
    page.click("#light-curve summary")
    assert rows.count() > 3
    links = page.locator("#light-curve tbody a")
    wanted = links.first.inner_text()
    # Where it is, the caption says so: found by moving over the whole chart.
    box = over.bounding_box()
    time = links.first.locator("xpath=ancestor::tr/td[1]").inner_text()
    for x in range(4, int(box["width"]), 6):
        for y in range(4, int(box["height"]), 12):
            page.mouse.move(box["x"] + x, box["y"] + y)
            text = page.locator(".caption").inner_text()
            if f"MJD {float(time):.4f}" in text and text.rstrip().endswith("alert"):
                page.mouse.click(box["x"] + x, box["y"] + y)
                page.wait_for_url(f"**/alert/ztf/{wanted}")
                return
    raise AssertionError("no point of the chart is that alert")


def test_the_record_is_searched(page):
    go(page, address("ztf"))
    page.fill("#record-search", "magpsf")
    names = page.locator("#record li:visible > .name")
    found = set(names.all_inner_texts())
    assert "magpsf" in found
    assert "sigmapsf" not in found
    page.fill("#record-search", "")
    assert page.locator("#record li:visible").count() > 100


def test_an_alert_that_does_not_exist_is_a_page_that_says_so(viewer):
    answer = requests.get(f"{viewer.url}/alert/ztf/1", timeout=20)
    assert answer.status_code == 404
    assert "text/html" in answer.headers["Content-Type"]
    assert "There is no ztf alert 1." in answer.text
    assert requests.get(f"{viewer.url}/alert/ztf/<script>", timeout=20).status_code == 400
