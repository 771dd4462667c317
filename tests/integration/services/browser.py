"""A real Chromium, which reaches this machine alone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.integration.services import require_service

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# What a browser does of its own accord would be attempts to reach other hosts.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TIMEOUT_MS = 30_000
# Where somebody who wants to look at the pages has the screenshots put.
SCREENSHOTS = "STAMP_TEST_SCREENSHOTS"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run Chromium without a window until the block ends."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        require_service("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser,
    *,
    width_px: int = 1280,
    height_px: int = 900,
    theme: str = "light",
    origin: str | None = None,
) -> Iterator[Page]:
    """Open a page of its own: no cookies, no cache; whatever goes wrong in it fails the test.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        The browser.
    width_px, height_px : int
        Its window.
    theme : str
        `light` or `dark`.
    origin : str
        Relative addresses are of this host.
    """
    context = browser.new_context(
        viewport={"width": width_px, "height": height_px},
        color_scheme="dark" if theme == "dark" else "light",
        base_url=origin or None,
        accept_downloads=True,
    )
    context.set_default_timeout(_TIMEOUT_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda entry: troubles.append(entry.text) if entry.type == "error" else None)
    try:
        yield page
    finally:
        context.close()
    assert not troubles, troubles


def save_screenshot(page: Page, name: str, folder: Path) -> Path:
    """Save what the whole page looks like.

    Parameters
    ----------
    page : playwright.sync_api.Page
        The page.
    name : str
        Name of the picture, without a suffix.
    folder : pathlib.Path
        Where to, unless the environment names a folder.

    Returns
    -------
    pathlib.Path
        The file, a PNG.
    """
    folder = Path(os.environ.get(SCREENSHOTS, folder))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
