"""S3: `moto` in a process of its own, which ends when its standard input does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.services import require_service

SERVER = """
import logging, os, sys
logging.disable(logging.CRITICAL)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
os._exit(0)
"""


@contextmanager
def running_s3() -> Iterator[str]:
    """Run an empty S3; gives its endpoint."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            require_service("moto's server did not start")
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=10)
