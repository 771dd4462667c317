"""The page of an object in a real browser."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page, save_screenshot


@pytest.mark.parametrize(("survey", "theme", "width_px"), [("ztf", "light", 1280), ("lsst", "dark", 390)])
def test_an_object_over_time(browser, viewer, tmp_path, survey, theme, width_px):
    alerts = list(demo_alerts(survey, objects=1))
    with open_page(browser, origin=viewer.url, theme=theme, width_px=width_px) as page:
        page.goto(f"/object/{survey}/{alerts[0].object_id}")
        page.wait_for_selector("html[data-ready]")
        save_screenshot(page, f"object-{survey}-{theme}", tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width_px
        frames = page.locator("#strip li")
        assert frames.count() == len(alerts)
        pictures = frames.locator("canvas").evaluate_all("(all) => all.map((one) => one.toDataURL())")
        assert len(set(pictures)) == len(alerts)
        found = Axe().run(page).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}] == []

        moment, movie = page.locator("#moment"), page.locator("#movie")
        expect(moment).to_contain_text(f"{len(alerts)} of {len(alerts)}")
        frames.nth(0).locator("button").click()
        expect(moment).to_contain_text(f"1 of {len(alerts)}")
        assert movie.evaluate("(canvas) => canvas.toDataURL()") == pictures[0]
        assert page.locator("#open").get_attribute("href") == f"/alert/{survey}/{alerts[0].alert_id}"
        page.click("#play")
        expect(page.locator("#play")).to_have_text("Pause")
        expect(moment).not_to_contain_text("1 of")
        page.click("#play")
        page.select_option("#kind", "difference")
        page.locator("#speed").fill("10")
        with page.expect_download() as download:
            page.click("#as-gif")
        assert download.value.suggested_filename == f"{survey}_{alerts[0].object_id}_difference.gif"
        with Image.open(download.value.path()) as film:
            assert (film.n_frames, film.info["duration"]) == (len(alerts), 100)


def test_what_an_object_lacks_is_said(browser, viewer, show_real):
    show_real("atlas/02a59543o0078o_011586.avro")
    with open_page(browser, origin=viewer.url) as page:
        page.goto("/object/atlas/1204305731145436672")
        page.wait_for_selector("html[data-ready]")
        expect(page.locator("#moment")).not_to_contain_text("stamp")
        page.select_option("#kind", "template")
        expect(page.locator("#moment")).to_contain_text("no template stamp")
