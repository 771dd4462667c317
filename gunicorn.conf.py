"""gunicorn's configuration, made of the service's own settings; `python app.py` uses the same."""

import sys
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from stamp_service.errors import ConfigurationError
from stamp_service.server import bind_address, fill_local_store, limit_arenas, prepare_metrics_dir, welcome
from stamp_service.settings import load_settings
from stamp_service.surveys import load_surveys

limit_arenas()
try:
    _settings = load_settings()
    _surveys = load_surveys(_settings.surveys_dir)
    prepare_metrics_dir(_settings.prometheus_multiproc_dir)
    fill_local_store(_settings, _surveys)
except ConfigurationError as error:
    print(error, file=sys.stderr)  # noqa: T201 - all that a wrong setting has to say
    sys.exit(2)

bind = bind_address(_settings)
workers = _settings.app_workers
threads = _settings.app_threads
worker_class = "gthread"

# The application is made once, before the workers are forked: they start at once, share its memory, and a wrong
# setting stops the server with one message, not each worker again and again. Stores open their connections
# in the process that uses them.
preload_app = True

# Idle connections wait without a thread; longer than a proxy in front keeps them (nginx: 60 s).
keepalive = 75
# A worker whose loop has stood still for so long is replaced. Requests do not stop the loop.
timeout = 60
# Time for requests that are being answered when the server stops.
graceful_timeout = 30
# Heartbeats are written here, and a slow disk must not look like a dead worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes its own file there

# A request is a short address, a few headers, and a token.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# The application logs requests itself, with their ids.
accesslog = None
errorlog = "-"
loglevel = _settings.log_level.lower()
# No socket for commands in the home folder, which a container's user may not have.
control_socket_disable = True


def when_ready(server: Arbiter) -> None:
    """Say where to look."""
    port = server.LISTENERS[0].sock.getsockname()[1]
    print(welcome(_settings, _surveys, port), flush=True)  # noqa: T201 - for the person who started it


def child_exit(server: Arbiter, worker: Worker) -> None:  # noqa: ARG001 - gunicorn's signature
    """Let a dead worker's gauges go."""
    from prometheus_client import multiprocess  # noqa: PLC0415 - reads at import where metrics are shared

    multiprocess.mark_process_dead(worker.pid)
