"""The pages in a real browser: what all of them have in common."""

from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from stamp_service.demo import DEMO_SURVEYS, demo_alerts
from tests.integration.services.browser import open_page, save_screenshot

# Those of an alert and of an object have tests of their own.
PAGES = {"search": "/", "nothing": "/?q=what+is+this%3F", "status": "/status"}
# A page of fifty cards needs no more than some of them looked at.
LOOKED_AT = {"exclude": [[".card:nth-child(n+5)"]]}
PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_everybody_can_use_it(browser, viewer, tmp_path, name, theme):
    with open_page(browser, origin=viewer.url, theme=theme) as page:
        answer = page.goto(PAGES[name], wait_until="networkidle")
        assert answer.status == 200
        save_screenshot(page, f"{name}-{theme}", tmp_path)
        found = Axe().run(page, LOOKED_AT).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}] == []
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_fresh_machine_shows_its_alerts_without_another_host(browser, viewer):
    """Nobody has put anything in, and nothing but the service can be reached."""
    asked = set()
    with open_page(browser, origin=viewer.url) as page:
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.goto("/", wait_until="networkidle")
        shown = set(page.locator(".card").evaluate_all("(all) => all.map((one) => one.dataset.alertId)"))
        demo = {alert.alert_id for survey in DEMO_SURVEYS for alert in demo_alerts(survey)}
        assert len(shown) == 50
        assert len(shown & demo) > 40  # other tests may have put newer ones in
        links = page.locator(".card[data-survey=ztf]").first.locator("a")
        for path in [*links.evaluate_all("(all) => all.map((one) => one.pathname)"), "/status"]:
            assert page.goto(path, wait_until="networkidle").status == 200
    assert asked - {""} == {urlsplit(viewer.url).netloc}
