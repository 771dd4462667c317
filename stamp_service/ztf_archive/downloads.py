"""Downloads that resume where they were cut, and are seen whole or not at all.

What has arrived lies beside its future name with `.part` added, and beside that what the server called this
version of the file: bytes of two versions are never put together. The file gets its name once its length and
gzip's own checksums are right.
"""

import fcntl
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import BinaryIO, NoReturn

import requests
import urllib3
from isal import igzip, isal_zlib
from tqdm import tqdm

from stamp_service.errors import NotFound, StoreTimeout, StoreUnavailable
from stamp_service.remote.retries import Transient, persist

_CHUNK_BYTES = 1024 * 1024
_CONNECT_TIMEOUT_S = 10.0
_WORTH_REPEATING = {429, 500, 502, 503, 504}
_LONGEST_RETRY_AFTER_S = 60.0
# A server that sends less than this on average, over the longest wait, counts as one that sends nothing.
_SLOWEST_BYTES_PER_S = 1024
_CONTENT_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches files that are too large for the memory.

    Parameters
    ----------
    who : str
        Whom messages name as the one who did not answer.
    read_timeout_s : float
        Longest wait for bytes.
    attempts : int
        How often in a row to try without a single byte arriving.
    """

    who: str
    read_timeout_s: float
    attempts: int = 5

    def page(self, url: str, limit_bytes: int) -> str:
        """Fetch a small text.

        Parameters
        ----------
        url : str
            Its address.
        limit_bytes : int
            The largest that is read.

        Returns
        -------
        str
            The text.

        Raises
        ------
        NotFound
            If the server says that there is none.
        StoreUnavailable
            If it cannot be had.
        """

        def fetch(_: int) -> str:
            with self._asked(url, {}) as response:
                data = bytearray()
                for chunk in self._chunks(response):
                    data += chunk
                    if len(data) > limit_bytes:
                        raise StoreUnavailable(f"{self.who} sent a page larger than {limit_bytes} bytes")
                return data.decode("utf-8", "replace")

        return persist(fetch, self.attempts)

    def download(self, url: str, path: Path) -> None:
        """Fetch a gzip file, from where an earlier attempt was cut.

        Parameters
        ----------
        url : str
            Its address.
        path : pathlib.Path
            Where it shall be; one that is there is replaced once the new one is whole.

        Raises
        ------
        NotFound
            If the server says that there is none.
        StoreUnavailable
            If it cannot be had now, arrived damaged, or cannot be written; what arrived is kept for the next time
            unless it was damaged.
        """
        try:
            with _locked_part(path) as part, _progress(path.name) as bar:
                self._fetch_all(url, part, bar)
                part.verify()
                part.land(path)
        except OSError as error:
            reason = error.strerror or "the disk failed"
            raise StoreUnavailable(f"{path.name} could not be written: {reason}") from error

    def _fetch_all(self, url: str, part: "_Part", bar: "tqdm[NoReturn]") -> None:
        """Ask again as long as something arrives; a server that stalls again and again is given up."""
        before = -1
        while True:
            try:
                return persist(lambda _: self._fetch_rest(url, part, bar), self.attempts)
            except StoreTimeout:
                raise
            except StoreUnavailable:
                if part.size() <= before:
                    raise
                before = part.size()

    def _fetch_rest(self, url: str, part: "_Part", bar: "tqdm[NoReturn]") -> None:
        start, version = part.size(), part.version()
        headers = {"Range": f"bytes={start}-", "If-Range": version} if start and version else {}
        with self._asked(url, headers) as response:
            total = self._position(response, part, start)
            bar.total, bar.n = total, part.size()
            bar.refresh()
            if response.status_code != 416:  # range not satisfiable: all of it is here
                for chunk in self._chunks(response):
                    part.append(chunk)
                    bar.update(len(chunk))
        arrived = part.size()
        if total is not None and arrived != total:
            if arrived > total:
                part.forget()
            raise Transient(StoreUnavailable(f"{self.who} sent {arrived} bytes of {total}"))

    def _position(self, response: requests.Response, part: "_Part", start: int) -> int | None:
        """Say how large the file is in all, and let the part end where the answer begins."""
        named = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code == 206 and named and named[1] == str(start):  # partial content
            return int(named[2])
        if response.status_code == 416 and named and named[2] == str(start):  # range not satisfiable
            return start
        if response.status_code != 200:  # ok
            part.forget()
            raise Transient(StoreUnavailable(f"{self.who} answered with another range than was asked for"))
        part.begin(_version(response))
        announced = _CONTENT_LENGTH.fullmatch(response.headers.get("Content-Length", ""))
        return int(announced[0]) if announced else None

    @contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
        """Send a GET; what `requests` raises while the answer is read becomes one of our own errors."""
        # Nothing is decoded on the way: servers call a .tar.gz a tar that they compressed.
        headers = {"Accept-Encoding": "identity", "User-Agent": "stamp-service", **headers}
        try:
            with requests.get(
                url, headers=headers, timeout=(_CONNECT_TIMEOUT_S, self.read_timeout_s), stream=True
            ) as response:
                self._check_status(response)
                yield response
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise Transient(self._too_slow()) from error
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            raise Transient(StoreUnavailable(f"the connection to {self.who} failed")) from error
        except requests.RequestException as error:
            raise StoreUnavailable(f"{self.who} could not be asked") from error

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status in {404, 410}:  # not found, gone
            raise NotFound(f"{self.who} has no {response.url.rpartition('/')[2] or 'such page'}")
        if status in _WORTH_REPEATING:
            named = response.headers.get("Retry-After", "")
            pause_s = min(float(named), _LONGEST_RETRY_AFTER_S) if named.isdecimal() else 0.0
            raise Transient(StoreUnavailable(f"{self.who} failed with status {status}"), pause_s)
        if status not in {200, 206, 416}:
            raise StoreUnavailable(f"{self.who} answered with status {status}")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Hand out bytes as they arrive, and give up on a server that only drips."""
        since, arrived = time.monotonic(), 0
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            yield chunk
            arrived += len(chunk)
            elapsed_s = time.monotonic() - since
            if elapsed_s > self.read_timeout_s:
                if arrived < _SLOWEST_BYTES_PER_S * elapsed_s:
                    raise Transient(self._too_slow())
                since, arrived = time.monotonic(), 0

    def _too_slow(self) -> StoreTimeout:
        return StoreTimeout(f"{self.who} did not answer in time")


def _version(response: requests.Response) -> str:
    """Find what tells this version of a file from others: a strong entity tag, or the date."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _progress(name: str) -> "tqdm[NoReturn]":
    return tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1024, disable=None, leave=False)


@contextmanager
def _locked_part(path: Path) -> Iterator["_Part"]:
    """Open the part of a file for this process alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreUnavailable(f"{path.name} is being downloaded already") from None
        try:
            yield _Part(part, file)
        finally:
            if os.fstat(file.fileno()).st_size == 0:
                part.unlink(missing_ok=True)


class _Part:
    """A file of which the beginning is here."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._version_path = path.with_name(f"{path.name}.version")
        if not self.version():
            self.forget()

    def size(self) -> int:
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def version(self) -> str:
        try:
            return self._version_path.read_text(encoding="latin-1")
        except FileNotFoundError:
            return ""

    def begin(self, version: str) -> None:
        """Start over with this version."""
        self.forget()
        self._version_path.write_text(version, encoding="latin-1")

    def forget(self) -> None:
        self._file.truncate(0)
        self._version_path.unlink(missing_ok=True)

    def append(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def verify(self) -> None:
        """Hold all of it against gzip's checksums."""
        if self.size() == 0 or not _is_whole(self._path):
            self.forget()
            name = self._path.name.removesuffix(".part")
            raise StoreUnavailable(f"{name} arrived damaged: its gzip data are not whole")

    def land(self, path: Path) -> None:
        os.fsync(self._file.fileno())
        self._path.replace(path)
        self._version_path.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_whole(path: Path) -> bool:
    try:
        with igzip.open(path, "rb") as plain:  # type: ignore[no-untyped-call]  # isal publishes no types
            while plain.read(_CHUNK_BYTES):
                pass
    except (EOFError, BadGzipFile, zlib.error, isal_zlib.IsalError):  # type: ignore[misc]  # its stub gives an instance
        return False
    return True
