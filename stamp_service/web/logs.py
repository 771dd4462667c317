"""Request ids, and one structured log line per request."""

import logging
import re
import secrets
import sys
import time

import orjson
from flask import Flask, Response, g, request

_log = logging.getLogger("stamp_service.requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_QUERY = 500


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record.

        Parameters
        ----------
        record : logging.LogRecord
            The record; a `fields` attribute is merged in.

        Returns
        -------
        str
            One line of JSON.
        """
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure_logging(level: str) -> None:
    """Send the service's log to standard error as JSON lines.

    Parameters
    ----------
    level : str
        Least severe level that is logged.
    """
    logger = logging.getLogger("stamp_service")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.propagate = False


def install(app: Flask) -> None:
    """Give every request an id and a log line.

    Parameters
    ----------
    app : flask.Flask
        The application.
    """

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        g.started_s = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        if _log.isEnabledFor(logging.INFO):
            fields = {
                "request_id": g.request_id,
                "method": request.method,
                "path": request.path,
                "query": request.query_string[:_LONGEST_QUERY].decode("latin-1"),
                "status": response.status_code,
                "bytes": response.content_length,
                "duration_ms": round((time.perf_counter() - g.started_s) * 1000, 3),
                "remote": request.remote_addr,
            }
            _log.info("request", extra={"fields": fields})
        return response
