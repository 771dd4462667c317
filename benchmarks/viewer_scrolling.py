"""How smoothly the list of recent alerts scrolls in Chromium: its first pages, and thousands of alerts.

The service runs with its production configuration and synthetic ZTF alerts. The page is scrolled by 60 px with
every frame: near its top, where new pages come in, and in the middle when all alerts are there. Needs `chromium`,
the requirements of the tests, and some minutes to make the alerts; a folder that is named is filled once.

    python -m benchmarks.viewer_scrolling --alerts 5000 --data /tmp/many
"""

import argparse
import os
import tempfile
from itertools import islice, pairwise
from pathlib import Path

from playwright.sync_api import Page

from stamp_service.demo import demo_alerts
from stamp_service.packets import recognise
from stamp_service.settings import load_settings
from stamp_service.web import create_app
from tests.integration.services.browser import open_page, running_browser
from tests.integration.services.service import running_service

FRAMES = 600
# Scrolls with every frame, and says when frames began, and which tasks took longer than 50 ms.
SCROLL = """(frames) => new Promise((done) => {
  const [starts, long] = [[], []];
  new PerformanceObserver((list) => long.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
  const step = (start) => {
    starts.push(start);
    if (starts.length > frames) return done({ starts, long });
    scrollBy(0, 60);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
GROWN = "(seen) => document.querySelectorAll('.card').length > seen"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=5000, help="alerts in the list")
    parser.add_argument("--data", type=Path, help="the data folder; a temporary one if there is none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = options.data or Path(folder)
        if not (data_dir / "index.sqlite").exists():
            fill(data_dir, options.alerts)
        with (
            running_service(data_dir) as service,
            running_browser() as browser,
            open_page(browser, origin=service.url) as page,
        ):
            print(f"load when it starts: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            measure(page, options.alerts)
            print(f"load when it ends: {os.getloadavg()[0]:.1f}")


def fill(data_dir: Path, alerts: int) -> None:
    """Store synthetic alerts; an object has one to six of them."""
    here = create_app(load_settings(data_dir=data_dir)).extensions["stamp_service"]
    for alert in islice(demo_alerts("ztf", objects=alerts), alerts):
        here.resolver.put(recognise(here.surveys, alert.packet))
    here.resolver.close()


def measure(page: Page, alerts: int) -> None:
    """Scroll, load everything, scroll again."""
    page.goto("/")
    page.wait_for_selector("html[data-ready]")
    print("\n| alerts | frame, median ms | 95 % | 99 % | tasks > 50 ms |")
    print("|---|---|---|---|---|")
    scroll(page)
    while (seen := page.locator(".card").count()) < alerts and page.locator("#following").count():
        page.evaluate("void scrollTo(0, document.body.scrollHeight)")
        page.wait_for_function(GROWN, arg=seen)
    page.evaluate("void scrollTo(0, document.body.scrollHeight / 2)")
    page.wait_for_load_state("networkidle")
    scroll(page)


def scroll(page: Page) -> None:
    """Scroll for some seconds, and print a row."""
    found = page.evaluate(SCROLL, FRAMES)
    frames = sorted(later - earlier for earlier, later in pairwise(found["starts"]))
    cells = [frames[int(part * len(frames))] for part in (0.5, 0.95, 0.99)]
    count = page.locator(".card").count()
    print(f"| {count:,} |", *(f"{cell:.1f} |" for cell in cells), f"{len(found['long'])} of {FRAMES} |")


if __name__ == "__main__":
    main()
