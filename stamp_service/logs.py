"""The log of whatever runs for long: one JSON object per line."""

import logging
import sys
import time
from collections.abc import Callable, Mapping

import orjson

Context = Callable[[], Mapping[str, object]]


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object per line.

    Parameters
    ----------
    context : callable
        Gives what else a line says, such as which request it is about.
    """

    def __init__(self, context: Context = dict) -> None:
        super().__init__()
        self._context = context

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
        line |= self._context()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure_logging(level: str, context: Context = dict) -> None:
    """Send the package's log to standard error as JSON lines.

    Parameters
    ----------
    level : str
        Least severe level that is logged.
    context : callable
        Gives what else a line says.
    """
    logger = logging.getLogger("stamp_service")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter(context))
        logger.addHandler(handler)
        logger.propagate = False
