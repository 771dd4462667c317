"""The page of recent alerts and of search, used as somebody uses it who scans alerts."""

import csv
import io
import re
from contextlib import closing
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from stamp_service.demo import DEMO_SURVEYS, demo_alerts
from stamp_service.probabilities import NewObject, open_probabilities
from tests.integration.services.browser import open_page, save_screenshot


@pytest.fixture
def classified(viewer, viewer_settings):
    """Two objects of which a classifier said something."""
    object_ids = sorted({alert.object_id for alert in demo_alerts("ztf")})[:2]
    new = [NewObject(object_id, 1, 2, None, None, 58000.0, 10.0, 20.0) for object_id in object_ids]
    with closing(open_probabilities(viewer_settings, 5.0)) as tables:
        tables.add([(one, {"KN": 0.75, "AGN": 0.25}) for one in new], "stamp_classifier", "1.0")
    return object_ids


@pytest.fixture
def page(browser, viewer):
    with open_page(browser, origin=viewer.url) as page:
        yield page


def go(page, path="/"):
    page.goto(path)
    page.wait_for_selector("html[data-ready]")


def held(viewer):
    """How many alerts the service has: other tests put some in."""
    lists = [f"{viewer.url}/v1/alerts/{survey}?limit=1000" for survey in DEMO_SURVEYS]
    return sum(len(requests.get(url, timeout=20).json()["alerts"]) for url in lists)


def cards(page):
    return page.locator(".card")


def wait_for_stamps(page, place=0):
    shown = re.compile("background-image")
    expect(cards(page).nth(place).locator(".stamps")).to_have_attribute("style", shown, timeout=15_000)


def focused(page):
    """Which alert has the focus, by its place in the list."""
    return page.evaluate(
        "[...document.querySelectorAll('.card')].indexOf(document.activeElement.closest('.card'))"
    )


def serious(page):
    found = Axe().run(page).response["violations"]
    return [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}]


def test_a_page_of_fifty_alerts_takes_four_requests(page, viewer):
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url)))
    # Not so high that the next page is asked for.
    page.set_viewport_size({"width": 1280, "height": 800})
    go(page)
    wait_for_stamps(page, 49)
    page.wait_for_load_state("networkidle")
    assert cards(page).count() == 50
    sent = [address.path for address in asked if address.scheme == "http"]
    assert len(sent) == 4, sent
    assert [path.rpartition("/")[2] for path in sent] == ["", "viewer.css", "sheet.png", "search.js"]


@pytest.mark.parametrize("size", ["large", "small"])
def test_stamps_are_the_servers_pixel_by_pixel(page, viewer, size):
    go(page)
    if size == "small":
        page.click("[data-do=size]")
    sheet_url = page.locator("#alerts").get_attribute("data-sheet")
    sheet = Image.open(io.BytesIO(requests.get(f"{viewer.url}{sheet_url}", timeout=20).content)).convert("RGBA")
    wait_for_stamps(page, 4)
    zoom = 2 if size == "large" else 1
    for place in (0, 4):
        row = np.asarray(sheet.crop((0, 65 * place, 193, 65 * place + 63)))
        expected = row.repeat(zoom, axis=0).repeat(zoom, axis=1)
        high, wide = expected.shape[:2]
        box = cards(page).nth(place).locator(".stamps").bounding_box()
        shot = page.screenshot(clip={"x": round(box["x"]), "y": round(box["y"]), "width": wide, "height": high})
        seen = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))
        opaque = expected[..., 3] == 255
        opaque[:3, :3] = opaque[:3, -3:] = opaque[-3:, :3] = opaque[-3:, -3:] = False  # corners are round
        assert opaque.mean() > 0.5
        assert np.array_equal(seen[opaque], expected[..., :3][opaque])


def test_the_next_pages_come_by_themselves_with_a_sheet_each(page, viewer):
    sheets = []
    page.on("request", lambda request: sheets.append(request.url) if "sheet.png" in request.url else None)
    go(page, "/?limit=10")
    is_more = "(seen) => !document.querySelector('#following') || document.querySelectorAll('.card').length > seen"
    while page.locator("#following").count():
        seen = cards(page).count()
        page.mouse.wheel(0, 20_000)
        page.wait_for_function(is_more, arg=seen)
    page.mouse.wheel(0, 20_000)
    wait_for_stamps(page, 50)
    expect(page.locator("#status")).to_have_text(f"{held(viewer)} alerts")
    names = cards(page).evaluate_all("cards => cards.map((card) => card.dataset.survey + card.dataset.alertId)")
    assert len(names) == len(set(names)) == held(viewer)
    times = cards(page).evaluate_all("cards => cards.map((card) => Number(card.dataset.timeMjd))")
    assert times == sorted(times, reverse=True)
    assert len(sheets) == len(set(sheets)) == -(-held(viewer) // 10)
    # A page has ten of them, a row three or two; rows are full all the same.
    is_full = """(across) => [...document.querySelectorAll('.cards')].slice(0, -1)
        .every((list) => list.childElementCount && list.childElementCount % across === 0)"""
    for width_px, across in ((900, 2), (1280, 3)):
        page.set_viewport_size({"width": width_px, "height": 900})
        page.wait_for_function(is_full, arg=across)
    for _ in range(20):
        page.keyboard.press("ArrowUp")
    last = focused(page)
    page.keyboard.press("ArrowDown")
    assert focused(page) == last + 3


def test_keys_move_mark_and_open(page):
    go(page)
    # Whatever was clicked before.
    page.click("[data-do=size]")
    page.click("[data-do=size]")
    page.keyboard.press("ArrowDown")
    assert focused(page) == 0
    for key, place in [("ArrowRight", 1), ("ArrowDown", 4), ("ArrowLeft", 3), ("ArrowUp", 0), ("ArrowUp", 0)]:
        page.keyboard.press(key)
        assert focused(page) == place, key
    page.keyboard.press(" ")
    box = cards(page).nth(0).get_by_role("checkbox")
    expect(box).to_be_checked()
    expect(page.locator("#status")).to_contain_text("1 marked in all")
    page.keyboard.press(" ")
    expect(box).not_to_be_checked()
    # With the pointer, too.
    cards(page).nth(2).get_by_role("checkbox").click()
    expect(page.locator("#status")).to_contain_text("1 marked in all")
    page.keyboard.press(" ")
    expect(page.locator("#status")).to_contain_text("0 marked in all")
    page.keyboard.press("ArrowLeft")
    address = cards(page).nth(1).locator(".open").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{address}")


def test_marked_alerts_are_exported_wherever_they_were_marked(page, viewer):
    go(page)
    page.keyboard.press("e")
    expect(page.locator("#status")).to_contain_text("Nothing is marked")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    wanted = [cards(page).nth(0).get_attribute("data-alert-id")]
    go(page, "/?survey=lsst")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    wanted.append(cards(page).nth(1).get_attribute("data-alert-id"))
    with page.expect_download() as download:
        page.keyboard.press("e")
    assert download.value.suggested_filename == "marked-alerts.csv"
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [row["alert_id"] for row in rows] == wanted
    for row in rows:
        name = f"{row['survey']}/{row['alert_id']}"
        metadata = requests.get(f"{viewer.url}/v1/alerts/{name}", timeout=20).json()
        assert list(row) == ["survey", "alert_id", "object_id", "ra_deg", "dec_deg", "time_mjd"]
        assert row["object_id"] == metadata["object_id"]
        for field in ("ra_deg", "dec_deg", "time_mjd"):
            assert float(row[field]) == metadata[field]
    go(page)
    expect(cards(page).nth(0).get_by_role("checkbox")).to_be_checked()
    page.get_by_role("button", name="Unmark all").click()
    expect(page.locator(".card.marked")).to_have_count(0)
    go(page)
    page.keyboard.press("e")
    expect(page.locator("#status")).to_contain_text("Nothing is marked")
    page.keyboard.press("f")
    expect(page.locator("#status")).to_contain_text("No alert has the focus")


def test_f_saves_the_fits_of_the_alert_with_the_focus(page, viewer):
    go(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    with page.expect_download() as download:
        page.keyboard.press("f")
    alert_id = cards(page).nth(1).get_attribute("data-alert-id")
    assert download.value.suggested_filename == f"{alert_id}.fits"
    assert download.value.path().read_bytes().startswith(b"SIMPLE  =")


def test_letters_typed_into_a_field_are_letters(page):
    go(page)
    page.keyboard.press("ArrowDown")
    page.locator(".find input").click()
    page.keyboard.type("f e?")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".find input").input_value() == "f e?"
    assert focused(page) == -1
    assert not page.locator("#keys").is_visible()
    expect(page.locator("#status")).to_contain_text("50 alerts")


def test_the_keys_are_listed(page):
    go(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert serious(page) == []
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).not_to_be_visible()


def test_filters_classes_and_marks_are_for_everybody(browser, viewer, classified, tmp_path):
    with open_page(browser, origin=viewer.url, theme="dark") as page:
        go(page)
        page.select_option("[name=survey]", "ztf")
        page.fill("[name=class]", "kn")
        page.click(".filters button")
        page.wait_for_url("**/?survey=ztf&class=kn")
        wait_for_stamps(page)
        for key in ("ArrowDown", "ArrowRight", " ", "ArrowDown"):
            page.keyboard.press(key)
        save_screenshot(page, "search-class", tmp_path)
        found = cards(page).evaluate_all("cards => cards.map((card) => card.dataset.objectId)")
        assert set(found) == set(classified)
        expect(page.locator(".card .class", has_text="KN").first).to_have_text("KN 0.75")
        assert serious(page) == []


def test_the_box_takes_an_object_id_and_a_place(page):
    go(page)
    card = cards(page).nth(1)
    data = {name: card.get_attribute(f"data-{name}") for name in ("object-id", "ra-deg", "dec-deg", "alert-id")}
    page.fill(".find input", f'{data["ra-deg"]} {data["dec-deg"]} 3"')
    page.press(".find input", "Enter")
    page.wait_for_selector("h1:has-text('Within 3″')")
    found = cards(page).evaluate_all("cards => cards.map((card) => card.dataset.alertId)")
    assert data["alert-id"] in found
    assert len(found) < 20
    page.fill(".find input", data["alert-id"])
    page.press(".find input", "Enter")
    page.wait_for_url(f"**/alert/*/{data['alert-id']}")


def test_a_phone_shows_everything_without_scrolling_sideways(browser, viewer, tmp_path):
    with open_page(browser, origin=viewer.url, width_px=390, height_px=844) as page:
        go(page, "/?limit=4")
        wait_for_stamps(page)
        save_screenshot(page, "search-phone", tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not page.locator(".filters form").is_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert focused(page) == 1
        assert serious(page) == []


def test_without_scripts_there_are_links(browser, viewer):
    context = browser.new_context(base_url=viewer.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/?limit=40")
    assert cards(page).count() == 40
    page.click("#following")
    assert cards(page).count() == min(40, held(viewer) - 40)
    page.click(".card .open >> nth=3")
    assert re.search(r"/alert/\w+/\w+$", page.url)
    context.close()


def test_stamps_and_pages_that_do_not_come_are_missed_not_mourned(browser, viewer):
    context = browser.new_context(base_url=viewer.url)
    page = context.new_page()
    page.route(re.compile("sheet.png"), lambda route: route.fulfill(status=503))
    page.route(re.compile("&after="), lambda route: route.abort())
    go(page, "/?limit=30")
    page.wait_for_selector(".card.unseen")
    page.mouse.wheel(0, 9000)
    expect(page.locator("#following")).to_have_text("Try again")
    expect(page.locator("#status")).to_contain_text("There may be more")
    assert cards(page).count() == 30
    page.unroute(re.compile("&after="))
    page.click("#following")
    expect(cards(page)).not_to_have_count(30)
    context.close()
