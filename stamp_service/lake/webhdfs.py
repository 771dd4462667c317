"""Lakes on HDFS through WebHDFS, where only HTTP is open: three requests for a read, so slower than `hdfs`.

`fsspec` speaks the protocol. It sets no time limits, does not look at the status of a DataNode's answer, asks no
other DataNode if one is gone, and cannot rename onto a file that exists; so its session gets limits, and those two
requests are made here.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from stamp_service.errors import LakeFileNotFound, StoreTimeout, StoreUnavailable
from stamp_service.lake.extras import extra
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.paths import is_hidden, is_parquet, temporary_name
from stamp_service.lake.ranges import read_merged
from stamp_service.remote.processes import PerProcess

_THREADS = 8
# Before another DataNode is asked for.
_PAUSE_S = 0.05
_CHUNK_BYTES = 16 * 1024 * 1024


class _Patience(HTTPAdapter):
    """Limits the waits of a session whose user sets no limits.

    Parameters
    ----------
    timeout_s : float
        Longest wait for a connection, and for bytes.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__(pool_maxsize=2 * _THREADS)
        self._timeout_s = timeout_s

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - requests passes its options by name
        """Send a request.

        Parameters
        ----------
        request : requests.PreparedRequest
            The request.
        **options : object
            What requests passes.

        Returns
        -------
        requests.Response
            The answer.
        """
        return super().send(request, **options | {"timeout": self._timeout_s})


@dataclass(frozen=True, slots=True)
class _Connection:
    client: Any  # fsspec publishes no types
    threads: ThreadPoolExecutor


class WebHdfsFiles:
    """A folder tree behind WebHDFS; see `Filesystem` for what the methods promise.

    Parameters
    ----------
    authority : str
        `host:port` of a NameNode's HTTP server, or of an HttpFS.
    root : str
        The folder's absolute path there.
    user : str or None
        Who asks; None is the server's anonymous user.
    timeout_s : float
        Longest wait for a connection, and for bytes.
    secure : bool
        Whether to ask over HTTPS.
    """

    def __init__(
        self, authority: str, root: str, user: str | None = None, timeout_s: float = 10.0, *, secure: bool = False
    ) -> None:
        self._package = extra("fsspec.implementations.webhdfs")
        self._authority = authority
        self._root = root.rstrip("/")
        self._user = user
        self._timeout_s = timeout_s
        self._secure = secure
        self._connection = PerProcess(self._connect)

    @property
    def url(self) -> str:
        """The root's address."""
        return f"{'swebhdfs' if self._secure else 'webhdfs'}://{self._authority}{self._root or '/'}"

    def _connect(self) -> _Connection:
        host, _, port = self._authority.rpartition(":")
        client = self._package.WebHDFS(
            host or self._authority,
            port=port if host else "9870",
            user=self._user,
            use_https=self._secure,
            skip_instance_cache=True,
        )
        for scheme in ("http://", "https://"):
            client.session.mount(scheme, _Patience(self._timeout_s))
        return _Connection(client, ThreadPoolExecutor(_THREADS, "webhdfs"))

    @contextmanager
    def _asked(self) -> Iterator[_Connection]:
        """Turn what goes wrong into the house's errors, but for `FileNotFoundError`."""
        try:
            yield self._connection()
        except FileNotFoundError:
            raise
        except requests.Timeout as error:
            raise StoreTimeout("WebHDFS did not answer in time") from error
        except PermissionError as error:
            # Hadoop's word for a file where a folder should be is denial.
            if "is not a directory" in str(error):
                raise FileNotFoundError from error
            raise StoreUnavailable("WebHDFS denied access to the lake") from error
        except requests.ConnectionError as error:
            raise StoreUnavailable("the connection to WebHDFS failed") from error
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            raise StoreUnavailable("WebHDFS could not do what it was asked") from error

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root or "/"

    def version(self, path: str) -> FileVersion:
        """Find a file.

        Parameters
        ----------
        path : str
            Which.

        Returns
        -------
        FileVersion
            Its version now, to the millisecond.

        Raises
        ------
        LakeFileNotFound
            If there is no such file.
        StoreUnavailable, StoreTimeout
            If WebHDFS could not be asked.
        """
        try:
            with self._asked() as web:
                found = web.client.info(self._full(path))
                version = _version_of(found)
        except FileNotFoundError as error:
            raise LakeFileNotFound(f"the lake has no file {path}") from error
        if found["type"] != "file":
            raise LakeFileNotFound(f"the lake has no file {path}")
        return version

    def read(self, path: str, version: FileVersion, ranges: Sequence[Range]) -> list[bytes]:
        """Read runs of bytes.

        Parameters
        ----------
        path : str
            Which file.
        version : FileVersion
            The version that the ranges are meant for.
        ranges : sequence of Range
            What to read.

        Returns
        -------
        list of bytes
            One for each range.

        Raises
        ------
        FileChanged
            If the file is another version or gone.
        StoreUnavailable, StoreTimeout
            If WebHDFS could not be asked.
        """
        try:
            with self._asked() as web:
                pieces = read_merged(
                    ranges, version, lambda piece: self._read(web, path, version, piece), web.threads
                )
            # After reading, so that a file replaced in between is noticed too.
            self._compare(path, version)
        except (FileNotFoundError, LakeFileNotFound) as error:
            raise FileChanged(path) from error
        return pieces

    def _compare(self, path: str, version: FileVersion) -> None:
        if self.version(path) != version:
            raise FileChanged(path)

    def _read(self, web: _Connection, path: str, version: FileVersion, piece: Range) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                data = _read_range(web.client, self._full(path), piece)
            except requests.Timeout:
                raise
            except (requests.RequestException, RuntimeError):
                self._compare(path, version)
                if time.monotonic() + _PAUSE_S > deadline:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return data

    def walk(self, below: str = "") -> Iterator[tuple[str, FileVersion]]:
        """List the Parquet files below a folder, in order.

        Parameters
        ----------
        below : str
            The folder; the root if empty.

        Yields
        ------
        path : str
            A file.
        version : FileVersion
            Its version.

        Raises
        ------
        LakeFileNotFound
            If there is no such folder.
        StoreUnavailable, StoreTimeout
            If WebHDFS could not be asked.
        """
        try:
            entries = self._list(below)
        except FileNotFoundError as error:
            raise LakeFileNotFound(f"the lake has no folder {below}") from error
        yield from self._walk(below, entries)

    def _walk(self, folder: str, entries: list[dict[str, Any]]) -> Iterator[tuple[str, FileVersion]]:
        for found in entries:
            name = found["pathSuffix"]
            path = f"{folder}/{name}" if folder else name
            if found["type"] == "file":
                if is_parquet(path):
                    yield path, _version_of(found)
            elif not is_hidden(name):
                try:
                    inside = self._list(path)
                except FileNotFoundError:
                    continue  # deleted since its parent was listed
                yield from self._walk(path, inside)

    def _list(self, folder: str) -> list[dict[str, Any]]:
        with self._asked() as web:
            found: list[dict[str, Any]] = web.client.ls(self._full(folder), detail=True)
        # A file that is listed is itself, without a name.
        if any(not one["pathSuffix"] for one in found):
            raise FileNotFoundError(folder)
        return found

    def put(self, path: str, source: Path) -> FileVersion:
        """Copy a local file here; it is seen whole or not at all.

        Parameters
        ----------
        path : str
            Where to; a file that is there is replaced.
        source : pathlib.Path
            The local file.

        Returns
        -------
        FileVersion
            The version that was written.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it could not be written.
        """
        unfinished, target = self._full(temporary_name(path, secrets.token_hex(8))), self._full(path)
        try:
            with self._asked() as web:
                try:
                    _copy(web.client, source, unfinished)
                    _rename(web.client, unfinished, target)
                except BaseException:
                    _discard(web.client, unfinished)
                    raise
            return self.version(path)
        except (FileNotFoundError, LakeFileNotFound) as error:
            raise StoreUnavailable("what was written through WebHDFS was deleted meanwhile") from error

    def check(self) -> None:
        """Find out whether the root can be read now.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it cannot.
        """
        try:
            self._list("")
        except FileNotFoundError as error:
            raise StoreUnavailable("WebHDFS does not have the lake's folder") from error

    def close(self) -> None:
        """Close this process's connections and end its threads."""
        web = self._connection.take()
        if web is not None:
            web.threads.shutdown()
            web.client.session.close()


def _version_of(found: dict[str, Any]) -> FileVersion:
    return FileVersion(found["length"], found["modificationTime"] * 1_000_000)


def _read_range(client: Any, path: str, piece: Range) -> bytes:  # noqa: ANN401 - fsspec publishes no types
    # The NameNode names any DataNode that has the block, for a while also one that is gone.
    answer = client._call("OPEN", path=path, offset=piece.start, length=piece.length, redirect=False)
    if "Location" in answer.headers:
        answer = client.session.get(answer.headers["Location"])
        answer.raise_for_status()
    data: bytes = answer.content
    if len(data) != piece.length:
        raise requests.RequestException("not the range that was asked for")
    return data


def _copy(client: Any, source: Path, target: str) -> None:  # noqa: ANN401 - fsspec publishes no types
    with source.open("rb") as original, client.open(target, "wb", block_size=_CHUNK_BYTES) as copy:
        while chunk := original.read(_CHUNK_BYTES):
            copy.write(chunk)


def _rename(client: Any, old: str, new: str) -> None:  # noqa: ANN401 - fsspec publishes no types
    client._call("RENAME", method="put", path=old, destination=new, renameoptions="OVERWRITE")


def _discard(client: Any, path: str) -> None:  # noqa: ANN401 - fsspec publishes no types
    """Delete what was not finished, if that is possible; its name hides it anyway."""
    try:
        client.rm(path)
    except (OSError, RuntimeError, ValueError):
        return
