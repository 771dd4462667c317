"""What happens around every request: an id, doors open for other origins, a metric and a log line.

A WSGI layer and not hooks of Flask's: those cost as much as the rest of an answer that comes from memory.
"""

import contextlib
import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson
from flask import Request

from stamp_service.web.metrics import Metrics

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID = "stamp_service.request_id"

_log = logging.getLogger("stamp_service.requests")
_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_QUERY = 500
_STANDARD_ERROR = 2
# Ids only have to differ, between workers too; asking the system for each would cost a switch of threads.
_ids = random.Random()  # noqa: S311 - names, not secrets
os.register_at_fork(after_in_child=_ids.seed)
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})
# Pages of other origins may read; what they could write needs a token that they do not have. These stand on every
# answer, whether a page asked or not, since shared caches keep one for all.
_READABLE = (
    "Content-Disposition, Content-Range, ETag, Retry-After, X-Lake-Tier, X-Request-ID, "
    "X-Sheet-Columns, X-Sheet-Missing, X-Sheet-Tile-Px"
)
_ON_EVERY_ANSWER = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", _READABLE),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("X-Content-Type-Options", "nosniff"),
]
_BEFORE_THEY_ASK = [
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Range, X-Request-ID"),
    ("Access-Control-Max-Age", "86400"),
]


class Exchange:
    """Surrounds a WSGI application.

    Parameters
    ----------
    application : callable
        The application, Flask's own `wsgi_app`.
    metrics : Metrics
        Where requests are counted.
    """

    def __init__(self, application: "WSGIApplication", metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request; see PEP 3333.

        Parameters
        ----------
        environ : dict
            The request.
        start_response : callable
            Begins the answer.

        Returns
        -------
        iterable of bytes
            The answer's body.
        """
        started_s = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and _WELL_FORMED_ID.fullmatch(given) else f"{_ids.getrandbits(64):016x}"
        environ[REQUEST_ID] = request_id

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
        ) -> Callable[[bytes], object]:
            headers += _ON_EVERY_ANSWER
            headers.append(("X-Request-ID", request_id))
            if environ["REQUEST_METHOD"] == "OPTIONS":
                headers += _BEFORE_THEY_ASK
            self._note(environ, int(status[:3]), headers, time.perf_counter() - started_s)
            return start_response(status, headers, exc_info)

        return self._application(environ, start)

    def _note(
        self, environ: "WSGIEnvironment", status: int, headers: list[tuple[str, str]], seconds: float
    ) -> None:
        """Count an answer and log it, when its first byte is ready."""
        method = environ["REQUEST_METHOD"]
        request: Request | None = environ.get("werkzeug.request")
        rule = str(request.url_rule) if request is not None else "None"
        self._metrics.request_answered(method if method in _METHODS else "other", rule, status, seconds)
        if _log.isEnabledFor(logging.INFO):
            now_s = time.time()
            line = {
                "time": f"{_second(int(now_s))}.{int(now_s % 1 * 1000):03d}Z",
                "level": "INFO",
                "logger": _log.name,
                "message": "request",
                "request_id": environ[REQUEST_ID],
                "method": method,
                "path": environ.get("PATH_INFO", ""),
                "query": environ.get("QUERY_STRING", "")[:_LONGEST_QUERY],
                "status": status,
                "bytes": next((int(value) for name, value in headers if name == "Content-Length"), None),
                "duration_ms": round(seconds * 1000, 3),
                "remote": environ.get("REMOTE_ADDR"),
            }
            # Past `logging`, whose records cost four times as much as the line. As there, a log that cannot be
            # written is no reason not to answer.
            with contextlib.suppress(OSError):
                os.write(_STANDARD_ERROR, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


@lru_cache(maxsize=2)
def _second(since_epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_epoch_s))
