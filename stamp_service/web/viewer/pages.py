"""How a page is made: its template, and the headers that keep strangers' code out of it."""

from typing import Any

import orjson
from flask import Blueprint, Response, render_template, request
from markupsafe import Markup

from stamp_service import __version__
from stamp_service.web.errors import Failure
from stamp_service.web.viewer.assets import asset_url

blueprint = Blueprint("viewer", __name__, template_folder="../templates")

# Everything comes from this host; nothing is written into the page that could run. Pictures that scripts make are
# blobs.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
# `</script` must not end the element early; JSON may write any character as an escape.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def as_data(value: Any) -> Markup:  # noqa: ANN401 - whatever JSON can hold
    """Write what a page's script reads from the page itself.

    Parameters
    ----------
    value : object
        Anything that JSON can hold.

    Returns
    -------
    Markup
        JSON that may stand in a `<script type="application/json">`.
    """
    return Markup(orjson.dumps(value, default=str).decode().translate(_ESCAPES))  # noqa: S704 - escaped just now


def page(template: str, *, status: int = 200, **context: Any) -> Response:  # noqa: ANN401 - what templates show
    """Make a page.

    Parameters
    ----------
    template : str
        Name of the template in `templates/viewer`.
    status : int
        HTTP status.
    **context : object
        What it shows.

    Returns
    -------
    flask.Response
        The page. It is not kept: what it shows may change at any time, and its parts are kept anyway.
    """
    html = render_template(
        f"viewer/{template}",
        asset=asset_url,
        as_data=as_data,
        root=request.script_root,
        version=__version__,
        **context,
    )
    response = Response(html, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-cache"
    return response


def failure_page(failure: Failure) -> Response:
    """Tell people what went wrong.

    Parameters
    ----------
    failure : Failure
        What happened.

    Returns
    -------
    flask.Response
        A page with the failure's status.
    """
    return page("failure.html", status=failure.row.status, failure=failure)
