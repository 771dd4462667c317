"""Styles, scripts and pictures of the pages, at addresses that change when they do."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, send_from_directory, url_for

FOLDER = Path(__file__).parents[1] / "static" / "viewer"
_YEAR_S = 365 * 24 * 3600

blueprint = Blueprint("assets", __name__)


@cache
def edition() -> str:
    """Name what lies in the folder now.

    Returns
    -------
    str
        The same as long as no file changes. It stands in front of all files' names, so that one module imports
        another, and a style a picture, without knowing it.
    """
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def asset_url(name: str) -> str:
    """Give the address of a file.

    Parameters
    ----------
    name : str
        Its path within the folder.

    Returns
    -------
    str
        An address that may be kept for ever.
    """
    return url_for("assets.asset", edition=edition(), name=name)


@blueprint.get("/assets/<edition>/<path:name>", endpoint="asset")
def send_asset(edition: str, name: str) -> Response:
    """Answer with a file; a page that is older than the service gets today's, and does not keep it."""
    response = send_from_directory(FOLDER, name)
    is_current = edition == globals()["edition"]()
    response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable" if is_current else "no-cache"
    return response
