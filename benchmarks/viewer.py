"""The viewer in Chromium: until an alert's page is usable, how smoothly sliders move, how much a page asks for.

The service runs with its production configuration and synthetic alerts; every page is loaded by a browser that
has kept nothing (`new`), and again by the same one (`again`). Times are what a clock says and suffer from whatever
else runs; `CPU` is what the page's main thread used itself, and hardly does. Chromium has no graphics card here,
and draws with the processor. Needs `chromium` and the requirements of the tests.

    python -m benchmarks.viewer --rounds 9
"""

import argparse
import os
import tempfile
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page, running_browser
from tests.integration.services.service import running_service

SURVEYS = ("ztf", "atlas", "lsst")
STAMP_PX = 420
# Of a page that is loaded: milliseconds from when its HTML was asked for.
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const since = (time) => time - page.requestStart;
  return {
    html: since(page.responseStart),
    "first paint": since(performance.getEntriesByName("first-contentful-paint")[0].startTime),
    usable: since(performance.getEntriesByName("usable")[0].startTime),
    requests: 1 + performance.getEntriesByType("resource").length,
    bytes: page.encodedBodySize,
  };
}"""
# Moves a slider with every frame, and says when frames began.
MOVE = """(frames) => new Promise((done) => {
  const slider = document.querySelector("[name=white]");
  const starts = [];
  const step = (start) => {
    starts.push(start);
    if (starts.length > frames) return done(starts);
    slider.value = 60 + 60 * Math.sin(starts.length / 9);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="page loads, and slides, per row")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a slider moves")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder)) as service,
        running_browser() as browser,
    ):
        print(f"load when it starts: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        measure_loading(browser, service.url, options.rounds)
        measure_slider(browser, service.url, options.rounds, options.seconds)
        count_grid(browser, service.url)
        print(f"load when it ends: {os.getloadavg()[0]:.1f}")


class MainThread:
    """What the main thread of a page does.

    Parameters
    ----------
    page : playwright.sync_api.Page
        The page.
    """

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def used(self) -> dict[str, float]:
        """Say how much of the processor it has used so far: all of it, and scripts alone; milliseconds."""
        found = {one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]}
        return {"all": 1000 * found["TaskDuration"], "scripts": 1000 * found["ScriptDuration"]}


def alert_url(survey: str) -> str:
    """Address of a synthetic alert with some history."""
    alert = next(islice(demo_alerts(survey), 2, None))
    return f"/alert/{survey}/{alert.alert_id}"


def load(page: Page, path: str) -> dict[str, Any]:
    """Load a page until nothing more comes; nothing waits in it, which would cost time."""
    thread = MainThread(page)
    page.goto(path, wait_until="networkidle")
    return {**page.evaluate(TIMES), "CPU": thread.used()["all"]}


def measure_loading(browser: Browser, origin: str, rounds: int) -> None:
    """Time how long the page of an alert takes until its stamps are drawn and answer."""
    print("\n| alert page, ms | browser | HTML | first paint | usable | best | CPU | requests | HTML, kB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for survey in SURVEYS:
        path = alert_url(survey)
        found: dict[str, list[dict[str, Any]]] = {"new": [], "again": []}
        for number in range(rounds + 1):
            with open_page(browser, origin=origin) as page:
                new, again = load(page, path), load(page, path)
            if number:  # the first round warms the service
                found["new"].append(new)
                found["again"].append(again)
        for name, rows in found.items():
            half = {key: median(row[key] for row in rows) for key in rows[0]}
            best = min(row["usable"] for row in rows)
            cells = (half["html"], half["first paint"], half["usable"], best, half["CPU"], half["requests"])
            print(f"| {survey} | {name} |", *(f"{cell:.0f} |" for cell in cells), f"{half['bytes'] / 1000:.0f} |")


def measure_slider(browser: Browser, origin: str, rounds: int, seconds: float) -> None:
    """Move the white slider for a while, with three stamps at their full size."""
    print(
        "\n| slider, stamps of | frames/s | best | frame, median ms | 95 % | CPU per frame, ms | of it scripts |"
    )
    print("|---|---|---|---|---|---|---|")
    for case, query in (("ztf", ""), ("ztf, sigmoid, gauss", "?stretch=sigmoid&kernel=gauss"), ("lsst", "")):
        with open_page(browser, origin=origin, width_px=1500) as page:
            load(page, alert_url(case.partition(",")[0]) + query)
            widths = page.locator(".frame").evaluate_all("(all) => all.map((one) => one.clientWidth)")
            assert all(abs(width - STAMP_PX) <= 1 for width in widths), widths
            slides = [slide(page, int(60 * seconds)) for _ in range(rounds)]
        half = {key: median(row[key] for row in slides) for key in slides[0]}
        best = max(row["rate"] for row in slides)
        cells = (half["rate"], best, half["frame"], half["late"], half["all"], half["scripts"])
        print(f"| {case} |", *(f"{cell:.1f} |" for cell in cells))


def slide(page: Page, count: int) -> dict[str, float]:
    """Move it for so many frames."""
    thread = MainThread(page)
    before = thread.used()
    starts = page.evaluate(MOVE, count)
    after = thread.used()
    frames = sorted(later - earlier for earlier, later in pairwise(starts))
    return {
        "rate": 1000 * len(frames) / (starts[-1] - starts[0]),
        "frame": median(frames),
        "late": frames[int(0.95 * len(frames))],
        **{key: (after[key] - before[key]) / len(frames) for key in after},
    }


def count_grid(browser: Browser, origin: str) -> None:
    """Count what the page of recent alerts asks for when a browser opens it for the first time, and later."""
    with open_page(browser, origin=origin) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(origin)))
        for name in ("new", "again"):
            asked.clear()
            page.goto("/", wait_until="networkidle")
            parts = [one for one in asked if not one.startswith(("data:", "blob:"))]
            print(f"\ngrid page of {page.locator('.card').count()} alerts, {name}: {len(parts)} requests")
            for one in parts:
                print(f"    {one[:100]}")


if __name__ == "__main__":
    main()
