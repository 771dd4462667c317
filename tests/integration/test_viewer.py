"""The pages in a real browser: what all of them have in common."""

from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.integration.services.browser import open_page, save_screenshot

PAGES = {"search": "/", "status": "/status"}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_everybody_can_use_it(browser, viewer, tmp_path, name, theme):
    with open_page(browser, origin=viewer.url, theme=theme) as page:
        hosts = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        answer = page.goto(PAGES[name], wait_until="networkidle")
        assert answer.status == 200
        save_screenshot(page, f"{name}-{theme}", tmp_path)
        found = Axe().run(page).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}] == []
    assert hosts - {""} == {urlsplit(viewer.url).netloc}
