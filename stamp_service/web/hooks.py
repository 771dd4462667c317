"""What happens around every request: an id, open doors for other origins, a metric and a log line.

One hook before and one after, since Flask's own cost per hook is that of parsing a query.
"""

import logging
import re
import secrets
import time

from flask import Flask, Request, Response, g, request
from flask.globals import request_ctx

from stamp_service.web.metrics import Metrics

_log = logging.getLogger("stamp_service.requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_QUERY = 500
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})

_TO_OTHER_ORIGINS = (
    "Content-Disposition, Content-Range, ETag, Retry-After, X-Request-ID, "
    "X-Sheet-Columns, X-Sheet-Missing, X-Sheet-Tile-Px"
)
_BEFORE_THEY_ASK = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Range, X-Request-ID"),
    ("Access-Control-Max-Age", "86400"),
]


def install(app: Flask, metrics: Metrics) -> None:
    """Surround every request of an application.

    Parameters
    ----------
    app : flask.Flask
        The application.
    metrics : Metrics
        Where requests are counted.
    """

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID")
        g.request_id = given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        g.started_s = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        asked = request_ctx.request  # every use of the `request` proxy looks it up again
        _add_headers(response, asked)
        seconds = time.perf_counter() - g.started_s
        method = asked.method if asked.method in _METHODS else "other"
        metrics.request_answered(method, str(asked.url_rule), response.status_code, seconds)
        if _log.isEnabledFor(logging.INFO):
            fields = {
                "request_id": g.request_id,
                "method": asked.method,
                "path": asked.path,
                "query": asked.query_string[:_LONGEST_QUERY].decode("latin-1"),
                "status": response.status_code,
                "bytes": response.content_length,
                "duration_ms": round(seconds * 1000, 3),
                "remote": asked.remote_addr,
            }
            _log.info("request", extra={"fields": fields})
        return response


def _add_headers(response: Response, asked: Request) -> None:
    """Let pages of other origins read; what they could write needs a token that they do not have."""
    headers = response.headers
    headers.add("Access-Control-Allow-Origin", "*")
    headers.add("X-Content-Type-Options", "nosniff")
    headers.add("X-Request-ID", g.request_id)
    if asked.method == "OPTIONS":
        headers.extend(_BEFORE_THEY_ASK)
    elif "Origin" in asked.headers:
        headers.add("Access-Control-Expose-Headers", _TO_OTHER_ORIGINS)
