"""Lakes on HDFS, through `hdfs-native`: no Java, no libhdfs.

A file is opened once and its reader kept, so a read asks a DataNode and nobody else. A reader knows the blocks of
one version of the file, and blocks never change: what it returns is that version's bytes. If it fails, because
the file is gone or its blocks have moved, the file is opened and its version compared again.

`hdfs-native` limits the waits for DataNodes (`dfs.client.socket-timeout`, for each of a block's three replicas),
not those for the NameNode. So calls of that one are made in threads, waited for, and given up.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stamp_service.errors import LakeFileNotFound, StoreTimeout, StoreUnavailable
from stamp_service.lake.extras import extra
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.hdfs_connection import HdfsConnection, connect, explain
from stamp_service.lake.paths import is_hidden, is_parquet, temporary_name
from stamp_service.lake.ranges import read_merged
from stamp_service.remote.processes import PerProcess

if TYPE_CHECKING:
    from hdfs_native import FileReader, FileStatus

# How many calls may be left behind by a NameNode that does not answer.
_NAMENODE_CALLS = 64
_CHUNK_BYTES = 4 * 1024 * 1024
# A read that takes longer has waited for a DataNode that is gone; whoever opens the file again is told of others.
_SLOW_S = 1.0


class HdfsFiles:
    """A folder tree on HDFS; see `Filesystem` for what the methods promise.

    Parameters
    ----------
    authority : str
        `host:port` of a NameNode, a host, or the name of a service with several; empty for Hadoop's default.
    root : str
        The folder's absolute path there.
    conf_dir : pathlib.Path or None
        Folder of Hadoop's configuration files; None leaves it to Hadoop's own environment.
    timeout_s : float
        Longest wait for an answer.
    """

    def __init__(self, authority: str, root: str, conf_dir: Path | None = None, timeout_s: float = 10.0) -> None:
        self._package = extra("hdfs_native")
        self._authority = authority
        self._root = root.rstrip("/")
        self._timeout_s = timeout_s
        self._slots = PerProcess(lambda: threading.Semaphore(_NAMENODE_CALLS))
        self._connection = PerProcess(lambda: connect(authority, conf_dir, timeout_s, self._slots()))

    @property
    def url(self) -> str:
        """The root's address."""
        return f"hdfs://{self._authority}{self._root or '/'}"

    @contextmanager
    def _asked(self) -> Iterator[HdfsConnection]:
        """Turn what goes wrong into the house's errors, but for `FileNotFoundError`."""
        try:
            hdfs = self._connection()
        except (OSError, RuntimeError) as error:
            raise StoreUnavailable("HDFS could not be asked: Hadoop's configuration is wrong") from error
        try:
            yield hdfs
        except FileNotFoundError:
            raise
        except TimeoutError as error:
            # The next call connects anew: the NameNode that was asked may have lost its network.
            if self._connection() is hdfs:
                self._connection.take()
                hdfs.retire()
            raise StoreTimeout("HDFS did not answer in time") from error
        except OSError as error:
            raise StoreUnavailable("HDFS could not be reached") from error
        except RuntimeError as error:
            # Hadoop's word for a file where a folder should be is denial.
            if "is not a directory" in str(error):
                raise FileNotFoundError from error
            raise explain(str(error)) from error

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
            If HDFS could not be asked.
        """
        try:
            with self._asked() as hdfs:
                found = hdfs.wait(lambda: hdfs.client.get_file_info(self._full(path)))
        except FileNotFoundError as error:
            raise LakeFileNotFound(f"the lake has no file {path}") from error
        if found.isdir:
            raise LakeFileNotFound(f"the lake has no file {path}")
        return _version_of(found)

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
            One for each range, of this version, which may have been replaced a moment ago.

        Raises
        ------
        FileChanged
            If the file is another version or gone.
        StoreUnavailable, StoreTimeout
            If HDFS could not be asked.
        """
        started = time.monotonic()
        try:
            return self._read(path, version, ranges)
        except StoreUnavailable:
            if time.monotonic() - started > self._timeout_s / 2:
                raise
            # Its blocks may have moved, or gone with the version that they were of.
            self._connection().forget(path)
            return self._read(path, version, ranges)

    def _read(self, path: str, version: FileVersion, ranges: Sequence[Range]) -> list[bytes]:
        started = time.monotonic()
        try:
            with self._asked() as hdfs:
                reader = self._reader(hdfs, path, version)
                pieces = read_merged(ranges, version, lambda piece: reader.read_range(*piece), hdfs.threads)
        except (FileNotFoundError, LakeFileNotFound) as error:
            raise FileChanged(path) from error
        if time.monotonic() - started > _SLOW_S:
            hdfs.forget(path)
        return pieces

    def _reader(self, hdfs: HdfsConnection, path: str, version: FileVersion) -> "FileReader":
        reader = hdfs.reader(path, version)
        if reader is not None:
            return reader
        # In this order: were the file replaced in between, the version would tell.
        reader = hdfs.wait(lambda: hdfs.client.read(self._full(path)))
        if self.version(path) != version or len(reader) != version.size_bytes:
            raise FileChanged(path)
        hdfs.keep(path, version, reader)
        return reader

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
            If HDFS could not be asked.
        """
        try:
            entries = self._list(below)
        except FileNotFoundError as error:
            raise LakeFileNotFound(f"the lake has no folder {below}") from error
        yield from self._walk(below, entries)

    def _walk(self, folder: str, entries: "list[tuple[str, FileStatus]]") -> Iterator[tuple[str, FileVersion]]:
        for name, found in entries:
            path = f"{folder}/{name}" if folder else name
            if not found.isdir:
                if is_parquet(path):
                    yield path, _version_of(found)
            elif not is_hidden(name):
                try:
                    inside = self._list(path)
                except FileNotFoundError:
                    continue  # deleted since its parent was listed
                yield from self._walk(path, inside)

    def _list(self, folder: str) -> "list[tuple[str, FileStatus]]":
        with self._asked() as hdfs:
            found = hdfs.wait(lambda: list(hdfs.client.list_status(self._full(folder))))
        # A file that is listed is itself.
        if [one.path for one in found if not one.isdir] == [self._full(folder)]:
            raise FileNotFoundError(folder)
        return sorted(((one.path.rpartition("/")[2], one) for one in found), key=lambda pair: pair[0])

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
        unfinished = self._full(temporary_name(path, secrets.token_hex(8)))
        try:
            with self._asked() as hdfs:
                try:
                    self._copy(hdfs, source, unfinished)
                    hdfs.wait(lambda: hdfs.client.rename(unfinished, self._full(path), overwrite=True))
                except BaseException:
                    _discard(hdfs, unfinished)
                    raise
            return self.version(path)
        except (FileNotFoundError, LakeFileNotFound) as error:
            raise StoreUnavailable("what was written to HDFS was deleted meanwhile") from error

    def _copy(self, hdfs: HdfsConnection, source: Path, target: str) -> None:
        options = self._package.WriteOptions(create_parent=True)
        writer = hdfs.wait(lambda: hdfs.client.create(target, options))
        with source.open("rb") as original:
            while chunk := original.read(_CHUNK_BYTES):
                hdfs.wait(partial(writer.write, chunk))
        hdfs.wait(writer.close)

    def check(self) -> None:
        """Find out whether the root can be read now.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it cannot.
        """
        try:
            with self._asked() as hdfs:
                hdfs.wait(lambda: next(iter(hdfs.client.list_status(self._full(""))), None))
        except FileNotFoundError as error:
            raise StoreUnavailable("HDFS does not have the lake's folder") from error

    def close(self) -> None:
        """Close this process's connections."""
        hdfs = self._connection.take()
        if hdfs is not None:
            hdfs.close()


def _version_of(found: "FileStatus") -> FileVersion:
    return FileVersion(found.length, found.modification_time * 1_000_000)


def _discard(hdfs: HdfsConnection, path: str) -> None:
    """Delete what was not finished, if that is possible; its name hides it anyway."""
    try:
        hdfs.wait(lambda: hdfs.client.delete(path))
    except (OSError, RuntimeError):
        return
