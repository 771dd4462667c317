"""Photographs the viewer with the synthetic alerts: python -m doc.screenshots.

Needs `chromium` and the requirements of the tests.
"""

import io
import tempfile
from itertools import islice
from pathlib import Path

from PIL import Image

from stamp_service.demo import demo_alerts
from tests.integration.services.browser import open_page, running_browser
from tests.integration.services.service import running_service

HERE = Path(__file__).resolve().parent
WIDTH_PX, HEIGHT_PX = 1180, 900


def main() -> None:
    """Take the picture that the documents show; a palette keeps it small."""
    alert = next(islice(demo_alerts("ztf"), 2, None))
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder)) as service,
        running_browser() as browser,
        open_page(browser, origin=service.url, width_px=WIDTH_PX, height_px=HEIGHT_PX) as page,
    ):
        page.goto(f"/alert/ztf/{alert.alert_id}?stretch=asinh")
        page.wait_for_selector("#light-curve canvas")
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(HERE / "viewer.png", optimize=True)


if __name__ == "__main__":
    main()
