"""Stamp Service itself: gunicorn with the production configuration, as `python app.py` starts it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT

_START_S = 60


@dataclass
class RunningService:
    """A service that listens.

    Parameters
    ----------
    url : str
        Its address, without a slash at the end.
    pid : int
        Process id of gunicorn's master.
    printed : list of str
        What it has printed so far.
    """

    url: str
    pid: int
    printed: list[str] = field(default_factory=list)


@contextmanager
def running_service(data_dir: Path, **environment: str) -> Iterator[RunningService]:
    """Run the service on a free port until the block ends.

    Parameters
    ----------
    data_dir : pathlib.Path
        Its data folder.
    **environment : str
        Settings besides the tests' own.
    """
    settings = {"APP_BIND": "127.0.0.1", "APP_PORT": "0", "APP_WORKERS": "2", "LOG_LEVEL": "WARNING"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STAMP_")}
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=inherited | settings | {"STAMP_DATA_DIR": str(data_dir)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed: list[str] = []
    reader = threading.Thread(target=printed.extend, args=(process.stdout,), daemon=True)
    timer = threading.Timer(_START_S, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            printed.append(line)
            if address := re.search(r"listens on (\S+)", line):
                break
        else:
            raise AssertionError(f"the service did not start:\n{''.join(printed)}")
        timer.cancel()
        reader.start()
        yield RunningService(address[1], process.pid, printed)
    finally:
        timer.cancel()
        process.terminate()
        process.wait(30)
        if reader.is_alive():
            reader.join(5)
        process.stdout.close()
