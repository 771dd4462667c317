"""The example page for other people's pages: from another host, under a strict policy."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.conftest import ROOT
from tests.integration.services.browser import save_screenshot

SERVICE = "http://localhost:8087"
# On top of what the page says itself: text becomes neither markup nor script nor style.
STRICT = "require-trusted-types-for 'script'; trusted-types 'none'; style-src 'none'"
ALERT = "3258576200015015000"
NO_TEMPLATE = "There is no such stamp."


@pytest.fixture(scope="module")
def portal(viewer):
    """Address of the example page, at a host that is not the service's."""
    body = (ROOT / "doc/embedding.html").read_text().replace(SERVICE, viewer.url).encode()

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", STRICT)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


class Seen:
    """What a page asked the service for, and what the browser complained of."""

    def __init__(self, page):
        self.asked, self.complaints = [], []
        page.on("request", lambda request: self.asked.append(urlsplit(request.url)))
        page.on("console", lambda entry: self.complaints.append(entry.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def pictures(self):
        return {address.path.removeprefix("/v1/stamps/") for address in self.asked if "/v1/" in address.path}


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 700, "height": 250}, color_scheme="dark")
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


def element(page, place):
    return page.locator("alert-stamps").nth(place)


def wait_for_pictures(page, place, count):
    """Scroll to an element, and wait until its pictures are there."""
    element(page, place).scroll_into_view_if_needed()
    images = element(page, place).locator("img:not(.waiting)")
    expect(images).to_have_count(count)
    return images


def colour(page, place):
    return element(page, place).locator(".card").evaluate("(card) => getComputedStyle(card).backgroundColor")


def test_the_example_works_under_a_strict_policy(page, portal, viewer, tmp_path):
    seen = Seen(page)
    page.goto(portal, wait_until="networkidle")
    images = wait_for_pictures(page, 0, 3)
    assert images.evaluate_all("(all) => all.map((one) => one.alt.split(' ')[0])") == [
        "science",
        "template",
        "difference",
    ]
    assert (
        images.evaluate_all("(all) => all.map((one) => [one.naturalWidth, one.clientWidth])") == [[126, 126]] * 3
    )
    # What is far below waits.
    names = {f"ztf/{ALERT}/{kind}.png" for kind in ("science", "template", "difference")}
    assert names <= seen.pictures
    assert not any(name.startswith("atlas") for name in seen.pictures)

    images = wait_for_pictures(page, 1, 2)
    assert images.evaluate_all("(all) => all.map((one) => one.clientWidth)") == [189, 189]
    queries = [parse_qs(urlsplit(url).query) for url in images.evaluate_all("(all) => all.map((one) => one.src)")]
    assert queries == [{"stretch": ["asinh"], "size": ["189"]}] * 2

    wait_for_pictures(page, 2, 2)
    expect(element(page, 2).locator(".none")).to_have_text(NO_TEMPLATE)
    # The page is light, the reader has it dark.
    as_page, dark, auto = (colour(page, place) for place in range(3))
    assert as_page != dark == auto
    page.locator("img").last.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    plain = page.locator("body > p img").evaluate_all("(all) => all.map((one) => one.naturalWidth)")
    assert plain[0] == 189
    assert plain[1] > 3 * 189 - 1
    page.set_viewport_size({"width": 700, "height": 900})
    save_screenshot(page, "embedding", tmp_path)
    found = Axe().run(page).response["violations"]
    assert [rule["id"] for rule in found if rule["impact"] in {"serious", "critical"}] == []
    page.set_viewport_size({"width": 390, "height": 844})
    save_screenshot(page, "embedding-phone", tmp_path)
    widths = page.locator("alert-stamps").evaluate_all("(all) => all.map((one) => one.offsetWidth)")
    assert max(widths) <= 390
    # The missing template is what the browser may complain of.
    assert all("status of 404" in text for text in seen.complaints), seen.complaints
    assert {address.netloc for address in seen.asked} == {urlsplit(portal).netloc, urlsplit(viewer.url).netloc}


def test_attributes_may_change_and_hostile_ones_stay_in_their_place(page, portal):
    seen = Seen(page)
    page.goto(portal)
    wait_for_pictures(page, 0, 3)
    element(page, 0).evaluate(
        "(one) => { one.setAttribute('kinds', 'difference'); one.setAttribute('cmap', 'magma') }"
    )
    images = wait_for_pictures(page, 0, 1)
    assert "cmap=magma" in images.get_attribute("src")
    for bad in ("../../alert", "..", '"><img src=x onerror=alert(1)>', "1?size=9#"):
        element(page, 0).evaluate("(one, bad) => one.setAttribute('alert-id', bad)", bad)
        expect(element(page, 0).locator(".none")).to_have_text(re.compile("not know such an alert|no such stamp"))
    assert [
        path for path in seen.pictures if not re.fullmatch(r"(ztf|atlas)/[^/]+/[a-z]+\.png|lsst/\d+\.png", path)
    ] == []
    element(page, 0).evaluate("(one) => one.removeAttribute('alert-id')")
    expect(element(page, 0)).to_contain_text("needs the attributes")
    assert not [text for text in seen.complaints if "Failed to load resource" not in text]


def test_a_service_that_is_down_is_said(page, portal):
    page.route("**/v1/**", lambda route: route.abort())
    page.goto(portal)
    expect(element(page, 0).locator(".none")).to_have_text(["The stamp service does not answer now."] * 3)
    # Without the module there is what the page has put into the element.
    page.route("**/embed/**", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("link", name=f"Stamps of ZTF {ALERT}")).to_be_visible()
