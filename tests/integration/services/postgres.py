"""PostgreSQL: a server of Debian's package, under a shell that ends it when its standard input does."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from tests.integration.services import require_service
from tests.integration.services.kafka import free_port

_BINARIES = Path("/usr/lib/postgresql")
_START_S = 30
_USER = "stamp"
# With a letter that addresses write in another way.
PASSWORD = "open/sesame"
# Starts and stops the server as it is told. Whoever tells it may be killed: then it stops the server and removes
# its folder, which is $0.
_KEEPER = """
server=
while read -r word; do
  case $word in
    start) "$@" </dev/null >>"$0/log" 2>&1 & server=$! ;;
    stop) kill -INT $server; wait $server; server=; echo stopped ;;
  esac
done
if [ -n "$server" ]; then kill -QUIT $server; wait $server; fi
rm -rf "$0"
"""
# ICU's English sorts otherwise than bytes do, as the servers of most people do.
_CLUSTER = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en", "--no-sync")
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Files in its folder instead of shared memory that would outlive a kill.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


def _unprivileged() -> dict[str, Any]:
    """Who the server runs as, as `subprocess` takes it: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return require_service("PostgreSQL does not run as root, and there is nobody else")


class RunningPostgres:
    """A server, and what tests do with one.

    Parameters
    ----------
    binaries : pathlib.Path
        Folder of its programs.
    folder : pathlib.Path
        An empty folder for its files, which is removed in the end.
    options : mapping of str to str
        Options of the server besides.
    """

    def __init__(self, binaries: Path, folder: Path, **options: str) -> None:
        self.port = free_port()
        run_as = _unprivileged()
        if run_as:
            os.chown(folder, run_as["user"], run_as["group"])
        data, secret = folder / "data", folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # its folder is closed to others
        account = (f"--username={_USER}", f"--pwfile={secret}", "--auth=scram-sha-256")
        command = [str(binaries / "initdb"), f"--pgdata={data}", *account, *_CLUSTER]
        made = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, **run_as)
        if made.returncode:
            require_service(f"initdb failed: {made.stderr[-300:]}")
        own = {"port": str(self.port)} | _OPTIONS | options
        server = [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={own[name]}" for name in own)]
        self._keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, str(folder), *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            start_new_session=True,  # whoever kills the tests lets it clear up
            **run_as,
        )

    def url(self, database: str = "postgres") -> str:
        """Write the address of a database."""
        return f"postgresql://{_USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, on the same port every time, and wait until it answers."""
        print("start", file=self._keeper.stdin, flush=True)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        require_service("PostgreSQL did not start")

    def stop(self) -> None:
        """Stop the server, and cut its connections."""
        print("stop", file=self._keeper.stdin, flush=True)
        assert self._keeper.stdout.readline() == "stopped\n"

    def execute(self, statement: str) -> None:
        """Execute a statement, outside of a transaction."""
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, for as long as the block lasts; gives its address."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def end(self) -> None:
        """Stop the server for good, and remove its files."""
        self._keeper.communicate(timeout=30)


@contextmanager
def running_postgres(**options: str) -> Iterator[RunningPostgres]:
    """Run an empty server until the block ends."""
    found = sorted(_BINARIES.glob("*/bin"), key=lambda folder: float(folder.parent.name))
    if not found:
        require_service("PostgreSQL is not installed (Debian's package: postgresql)")
    # Root's own temporary folder may be closed to who the server runs as.
    where = "/tmp" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=where))
    try:
        server = RunningPostgres(found[-1], folder, **options)
        try:
            server.start()
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
