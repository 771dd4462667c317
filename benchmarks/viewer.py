"""The viewer in Chromium: until an alert's page is usable, how smoothly sliders move, how much a page asks for.

The service runs with its production configuration and synthetic alerts; every page is loaded by a browser that has
kept nothing (`new`), and again by the same one (`again`). Needs `chromium` and the requirements of the tests.

    python -m benchmarks.viewer --rounds 9
"""

import argparse
import os
import statistics
import tempfile
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

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
# Moves a slider with every frame, and says how long frames took, and how much of them went into drawing.
MOVE = """(frames) => new Promise((done) => {
  const slider = document.querySelector("[name=white]");
  const [starts, drawing, long] = [[], [], []];
  new PerformanceObserver((list) => long.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
  const step = (start) => {
    if (starts.length) drawing.push(performance.now() - start);
    starts.push(start);
    if (starts.length > frames) return done({ starts, drawing, long });
    slider.value = 60 + 60 * Math.sin(starts.length / 9);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="page loads per row")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a slider moves")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder)) as service,
        running_browser() as browser,
    ):
        print(f"load when it starts: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        measure_loading(browser, service.url, options.rounds)
        measure_slider(browser, service.url, options.seconds)
        count_grid(browser, service.url)
        print(f"load when it ends: {os.getloadavg()[0]:.1f}")


def alert_url(survey: str) -> str:
    """Address of a synthetic alert with some history."""
    alert = next(islice(demo_alerts(survey), 2, None))
    return f"/alert/{survey}/{alert.alert_id}"


def load(page: Page, path: str) -> dict[str, Any]:
    """Load a page until it is usable and its chart is there."""
    page.goto(path)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_load_state("networkidle")
    return dict(page.evaluate(TIMES))


def measure_loading(browser: Browser, origin: str, rounds: int) -> None:
    """Time how long the page of an alert takes until its stamps are drawn and answer."""
    print("\n| alert page, ms | browser | HTML | first paint | usable | best | requests | HTML, kB |")
    print("|---|---|---|---|---|---|---|---|")
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
            median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
            best = min(row["usable"] for row in rows)
            cells = (median["html"], median["first paint"], median["usable"], best, median["requests"])
            print(
                f"| {survey} | {name} |", *(f"{cell:.0f} |" for cell in cells), f"{median['bytes'] / 1000:.0f} |"
            )


def measure_slider(browser: Browser, origin: str, seconds: float) -> None:
    """Move the white slider for a while, with three stamps at their full size."""
    print("\n| slider, stamps of | frame, median ms | 95 % | frames/s | drawing, median ms | 95 % | long tasks |")
    print("|---|---|---|---|---|---|---|")
    for case, query in (("ztf", ""), ("ztf, sigmoid, gauss", "?stretch=sigmoid&kernel=gauss"), ("lsst", "")):
        with open_page(browser, origin=origin, width_px=1500) as page:
            load(page, alert_url(case.partition(",")[0]) + query)
            widths = page.locator(".frame").evaluate_all("(all) => all.map((one) => one.clientWidth)")
            assert all(abs(width - STAMP_PX) <= 1 for width in widths), widths
            moved = page.evaluate(MOVE, int(60 * seconds))
        starts, drawing = moved["starts"], sorted(moved["drawing"])
        frames = sorted(later - earlier for earlier, later in pairwise(starts))
        rate = 1000 * len(frames) / (starts[-1] - starts[0])
        cells = (middle(frames), upper(frames), rate, middle(drawing), upper(drawing))
        print(f"| {case} |", *(f"{cell:.1f} |" for cell in cells), f"{len(moved['long'])} |")


def middle(values: list[float]) -> float:
    """Median of sorted values."""
    return values[len(values) // 2]


def upper(values: list[float]) -> float:
    """Of sorted values, the one that 95 % do not exceed."""
    return values[int(0.95 * len(values))]


def count_grid(browser: Browser, origin: str) -> None:
    """Count what the page of recent alerts asks for, besides what any page does once: styles, scripts."""
    with open_page(browser, origin=origin) as page:
        asked: list[str] = []
        page.goto("/", wait_until="networkidle")
        page.on("request", lambda request: asked.append(request.url.removeprefix(origin)))
        page.goto("/", wait_until="networkidle")
    parts = [one for one in asked if not one.startswith(("/assets/", "data:", "blob:"))]
    print(f"\ngrid page: {len(parts)} requests:")
    for one in parts:
        print(f"    {one[:100]}")


if __name__ == "__main__":
    main()
