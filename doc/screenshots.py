"""Photographs the viewer with the synthetic alerts: python -m doc.screenshots.

Needs `chromium` and the requirements of the tests.
"""

import io
import tempfile
from itertools import islice
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page, running_browser
from tests.integration.services.service import running_service

HERE = Path(__file__).resolve().parent
WIDTH_PX, HEIGHT_PX = 1260, 940
COLOURS = 200


def main() -> None:
    """Take the pictures that the documents show."""
    alert = next(islice(demo_alerts("ztf"), 2, None))
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder)) as service,
        running_browser() as browser,
        open_page(browser, origin=service.url, width_px=WIDTH_PX, height_px=HEIGHT_PX) as page,
    ):
        page.goto(f"/alert/ztf/{alert.alert_id}?stretch=asinh")
        page.wait_for_selector("#light-curve canvas")
        save(page, "viewer.png")
        page.set_viewport_size({"width": WIDTH_PX, "height": 620})
        page.goto("/", wait_until="networkidle")
        for key in ("ArrowDown", "ArrowRight", " ", "ArrowDown"):
            page.keyboard.press(key)
        save(page, "viewer-alerts.png")


def save(page: Page, name: str) -> None:
    """Save what is seen; few colours keep it small."""
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture = seen.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
