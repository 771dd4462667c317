"""What one process talks to HDFS with: a client, its open files, and limits that `hdfs-native` does not have."""

import ctypes
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stamp_service.errors import StoreUnavailable
from stamp_service.lake.extras import extra
from stamp_service.lake.files import FileVersion

if TYPE_CHECKING:
    from hdfs_native import Client, FileReader

T = TypeVar("T")
_OPEN_FILES = 64
_READING_THREADS = 16

# A client that is freed in a forked process waits forever for threads that are not there. So none ever is.
_clients: set["Client"] = set()


def _keep_inherited() -> None:
    for client in _clients:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
    _clients.clear()


os.register_at_fork(after_in_child=_keep_inherited)


class HdfsConnection:
    """A client of HDFS and the files that it has open; belongs to one process.

    Parameters
    ----------
    client : hdfs_native.Client
        The client.
    timeout_s : float
        Longest wait for an answer of the NameNode.
    slots : threading.Semaphore
        Limits the calls that wait for the NameNode.

    Attributes
    ----------
    client : hdfs_native.Client
        The client.
    threads : concurrent.futures.ThreadPoolExecutor
        Reads several ranges at once.
    """

    def __init__(self, client: "Client", timeout_s: float, slots: threading.Semaphore) -> None:
        self.client = client
        self.threads = ThreadPoolExecutor(_READING_THREADS, "hdfs")
        self._readers: OrderedDict[str, tuple[FileVersion, FileReader]] = OrderedDict()
        self._lock = threading.Lock()
        self._timeout_s = timeout_s
        self._slots = slots
        _clients.add(client)

    def wait(self, call: Callable[[], T]) -> T:
        """Call the NameNode, in a thread that is left behind if it does not answer.

        Parameters
        ----------
        call : callable
            The call.

        Returns
        -------
        object
            What it returned.

        Raises
        ------
        TimeoutError
            If it takes too long, or too many others still wait.
        """
        started = time.monotonic()
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)
            finally:
                self._slots.release()

        if not self._slots.acquire(timeout=self._timeout_s):
            raise TimeoutError
        threading.Thread(target=run, name="hdfs-namenode", daemon=True).start()
        return answer.result(max(0.0, self._timeout_s - (time.monotonic() - started)))

    def reader(self, path: str, version: FileVersion) -> "FileReader | None":
        """Find a file that is open.

        Parameters
        ----------
        path : str
            Which.
        version : FileVersion
            The version that it must be of.

        Returns
        -------
        hdfs_native.FileReader or None
            The reader, which several threads may use; None if it has to be opened.
        """
        with self._lock:
            known = self._readers.get(path)
            if known is None or known[0] != version:
                return None
            self._readers.move_to_end(path)
            return known[1]

    def keep(self, path: str, version: FileVersion, reader: "FileReader") -> None:
        """Keep a file open, and let go of the one that was not read for longest.

        Parameters
        ----------
        path : str
            Which.
        version : FileVersion
            Its version.
        reader : hdfs_native.FileReader
            Its reader.
        """
        with self._lock:
            self._readers[path] = (version, reader)
            if len(self._readers) > _OPEN_FILES:
                self._readers.popitem(last=False)

    def forget(self, path: str) -> None:
        """Let go of an open file.

        Parameters
        ----------
        path : str
            Which.
        """
        with self._lock:
            self._readers.pop(path, None)

    def retire(self) -> None:
        """Let go of the client, which ends once nobody waits for it."""
        _clients.discard(self.client)

    def close(self) -> None:
        """End the threads and let go of everything."""
        self.threads.shutdown(wait=False)
        self._readers.clear()
        self.retire()


def connect(authority: str, conf_dir: Path | None, timeout_s: float, slots: threading.Semaphore) -> HdfsConnection:
    """Make a client; it connects when it is used.

    Parameters
    ----------
    authority : str
        `host:port`, a host, or the name of a service of Hadoop's configuration; empty for its default.
    conf_dir : pathlib.Path or None
        Folder of Hadoop's configuration files; None leaves it to Hadoop's own environment.
    timeout_s : float
        Longest wait for an answer.
    slots : threading.Semaphore
        Limits the calls that wait for the NameNode.

    Returns
    -------
    HdfsConnection
        The connection.

    Raises
    ------
    OSError, RuntimeError
        If Hadoop's configuration is wrong.
    """
    make = extra("hdfs_native").Client
    limits = {
        # Each of three replicas may be waited for, the first one twice.
        "dfs.client.socket-timeout": str(int(timeout_s * 1000 / 4)),
        "dfs.client.failover.max.attempts": "3",
        "dfs.client.failover.sleep.base.millis": "100",
        "dfs.client.failover.sleep.max.millis": "500",
    }
    folder = str(conf_dir) if conf_dir else None
    try:
        client = make(f"hdfs://{authority}", limits, folder)
    except RuntimeError as error:
        if "No NameNode" not in str(error):
            raise
        # A name that is no service of the configuration is a host; 8020 is Hadoop's port.
        client = make(f"hdfs://{authority}:8020", limits, folder)
    return HdfsConnection(client, timeout_s, slots)


def explain(failure: str) -> StoreUnavailable:
    """Tell what hdfs-native failed with, which it says in texts alone.

    Parameters
    ----------
    failure : str
        Its text.

    Returns
    -------
    StoreUnavailable
        The same for people.
    """
    for mark, message in (
        ("AccessControlException", "HDFS denied access to the lake"),
        ("SafeModeException", "HDFS is in safe mode"),
        ("All DataNodes failed", "no DataNode of HDFS could give the file"),
        ("GSSAPI", "HDFS refused the Kerberos credentials"),
    ):
        if mark in failure:
            return StoreUnavailable(message)
    return StoreUnavailable("HDFS could not do what it was asked")
