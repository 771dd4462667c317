"""The WSGI application for `gunicorn -c gunicorn.conf.py app:app`; run as a program, it starts just that."""

import os
import sys
from pathlib import Path
from wsgiref.types import WSGIApplication

from stamp_service.errors import ConfigurationError
from stamp_service.settings import load_settings


def _create() -> WSGIApplication:
    from stamp_service.web import create_app  # noqa: PLC0415 - takes a second, and `python app.py` has no use for it

    try:
        return create_app(load_settings())
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - all that a wrong setting has to say
        raise SystemExit(2) from None


def _serve() -> None:
    """Become gunicorn, with the configuration and the working directory of now."""
    folder = Path(__file__).resolve().parent
    configuration = str(folder / "gunicorn.conf.py")
    arguments = ["-m", "gunicorn", "--pythonpath", str(folder), "--config", configuration, "app:app"]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - fixed arguments, no shell


if __name__ == "__main__":
    _serve()
else:
    app = _create()
