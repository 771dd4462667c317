"""HDFS: Hadoop's own NameNode and DataNodes in a Java process, which ends when its standard input does."""

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.services import require_service
from tests.integration.services.maven import class_path

_START_S = 120
_ANSWER_S = 60
_PROGRAM = Path(__file__).with_name("MiniHdfs.java")
_HADOOP = "org.apache.hadoop:hadoop-minicluster:3.4.2"


@dataclass(frozen=True)
class RunningHdfs:
    """An HDFS with three DataNodes.

    Parameters
    ----------
    url : str
        `hdfs://host:port`.
    web_url : str
        `webhdfs://host:port`.
    process : subprocess.Popen
        Java's process.
    """

    url: str
    web_url: str
    process: "subprocess.Popen[str]"

    def _command(self, command: str) -> None:
        with _limited(self.process, _ANSWER_S):
            print(command, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline().strip()
        assert answer == f"done {command}", answer

    def stop_name_node(self) -> None:
        """Stop the NameNode; its port refuses connections from then on."""
        self._command("stop-namenode")

    def start_name_node(self) -> None:
        """Start it again, on the same port."""
        self._command("start-namenode")

    def pause(self) -> None:
        """Stop everything without closing a connection."""
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline, "Java goes on"
            time.sleep(0.01)

    def resume(self) -> None:
        """Let everything go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill_data_node(self, number: int) -> None:
        """Stop a DataNode."""
        self._command(f"kill {number}")

    def revive_data_nodes(self) -> None:
        """Start the DataNodes again that were stopped."""
        self._command("revive")


@contextmanager
def _limited(process: "subprocess.Popen[str]", seconds: float) -> Iterator[None]:
    """Kill a process if the block takes longer."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def running_hdfs(**settings: str) -> Iterator[RunningHdfs]:
    """Run an empty HDFS; settings of Hadoop are given with `_` for `.`."""
    if shutil.which("javac") is None:
        require_service("HDFS needs javac")
    with tempfile.TemporaryDirectory(prefix="hdfs-", ignore_cleanup_errors=True) as folder:
        command = [
            # The first compiler alone: it starts in two thirds of the time.
            *(
                "java",
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                f"-Djava.io.tmpdir={folder}",
            ),
            # WebHDFS's JAXB looks into classes that Java 17 closes.
            *("--add-opens", "java.base/java.lang=ALL-UNNAMED"),
            *("-cp", class_path(_HADOOP), str(_PROGRAM), folder),
            *(f"{name.replace('_', '.')}={value}" for name, value in settings.items()),
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )
        try:
            with _limited(process, _START_S):
                addresses = process.stdout.readline().split()
            if len(addresses) != 2:
                require_service("HDFS did not start")
            yield RunningHdfs(*addresses, process)
        finally:
            process.kill()
            process.communicate(timeout=10)
