"""The service's log: one JSON object per line."""

import logging
import sys
import time

import orjson
from flask import has_request_context, request

from stamp_service.web.exchange import REQUEST_ID


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record.

        Parameters
        ----------
        record : logging.LogRecord
            The record.

        Returns
        -------
        str
            One line of JSON.
        """
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = request.environ.get(REQUEST_ID)
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
