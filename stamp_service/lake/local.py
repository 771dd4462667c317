"""Lakes on local disk, or on anything that is mounted.

A file is opened for every read, which costs some 15 us, so nothing stale is ever held. Links may not lead out of
the root; the system is asked where an open file really is, because a path that was checked may be another one
by the time it is opened.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stamp_service.errors import LakeFileNotFound, StoreUnavailable
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.paths import is_hidden, is_parquet, temporary_name

# Without O_NONBLOCK opening a named pipe would wait for a writer.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO}
_UNREADABLE = "the lake's folder could not be read"


class LocalFiles:
    """A folder tree on local disk; see `Filesystem` for what the methods promise.

    Parameters
    ----------
    root : pathlib.Path
        The folder; made by the first `put` if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._real_root = os.path.realpath(root)
        self._prefix = self._real_root.rstrip("/") + "/"

    @property
    def url(self) -> str:
        """The root as an absolute path."""
        return str(self._root)

    def version(self, path: str) -> FileVersion:
        """Find a file.

        Parameters
        ----------
        path : str
            Which.

        Returns
        -------
        FileVersion
            Its version now.

        Raises
        ------
        LakeFileNotFound
            If there is no such file.
        StoreUnavailable
            If the folder cannot be read.
        """
        with self._opened(path) as descriptor:
            return _version_of(os.fstat(descriptor))

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
        StoreUnavailable
            If the folder cannot be read.
        """
        try:
            with self._opened(path) as descriptor:
                pieces = [_read_range(descriptor, piece) for piece in ranges]
                # After reading, so that a file written to in between is noticed too.
                if _version_of(os.fstat(descriptor)) != version:
                    raise FileChanged(path)
        except LakeFileNotFound as error:
            raise FileChanged(path) from error
        return pieces

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        try:
            descriptor = os.open(self._prefix + path, _FLAGS)
        except OSError as error:
            if error.errno in _ABSENT and self._root.is_dir():
                raise LakeFileNotFound(f"the lake has no file {path}") from error
            raise StoreUnavailable(_UNREADABLE) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not self._is_inside(
                _place(descriptor, self._prefix + path)
            ):
                raise LakeFileNotFound(f"the lake has no file {path}")
            yield descriptor
        except OSError as error:
            raise StoreUnavailable(_UNREADABLE) from error
        finally:
            os.close(descriptor)

    def _is_inside(self, real_path: str) -> bool:
        return f"{real_path}/".startswith(self._prefix)

    def walk(self, below: str = "") -> Iterator[tuple[str, FileVersion]]:
        """List the Parquet files below a folder, in order; links to folders are not followed.

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
        StoreUnavailable
            If a folder cannot be read.
        """
        start = Path(self._real_root, below)
        if not start.is_dir() or not self._is_inside(os.path.realpath(start)):
            self.check()
            raise LakeFileNotFound(f"the lake has no folder {below}")
        for folder, folders, names in os.walk(start, onerror=_complain):
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            for name in sorted(names):
                path = Path(folder, name).relative_to(self._real_root).as_posix()
                if is_parquet(path):
                    try:
                        yield path, self.version(path)
                    except LakeFileNotFound:
                        continue

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
        StoreUnavailable
            If it could not be written.
        """
        target = Path(self._real_root, path)
        if not self._is_inside(os.path.realpath(target.parent)):
            raise StoreUnavailable("a link leads out of the lake's folder")
        unfinished = Path(self._real_root, temporary_name(path, secrets.token_hex(8)))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                version = _copy(source, unfinished)
                unfinished.replace(target)
                _sync_folder(target.parent)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable("the lake's folder could not be written") from error
        return version

    def check(self) -> None:
        """Find out whether the root can be read now.

        Raises
        ------
        StoreUnavailable
            If it cannot.
        """
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError as error:
            raise StoreUnavailable(_UNREADABLE) from error

    def close(self) -> None:
        """Do nothing: nothing is kept open."""


def _version_of(found: os.stat_result) -> FileVersion:
    return FileVersion(found.st_size, found.st_mtime_ns)


def _place(descriptor: int, path: str) -> str:
    """Ask the system where an open file is; where it cannot be asked, find out where the path leads."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - pathlib takes five times as long
    except FileNotFoundError:
        return os.path.realpath(path)


def _read_range(descriptor: int, piece: Range) -> bytes:
    data = os.pread(descriptor, piece.length, piece.start)
    # One call gives 2 GiB at most.
    while len(data) < piece.length:
        more = os.pread(descriptor, piece.length - len(data), piece.start + len(data))
        if not more:
            raise FileChanged("the file is shorter than the range")
        data += more
    return data


def _complain(error: OSError) -> None:
    """Let a walk go on without a folder that was deleted meanwhile, and with no other failure."""
    if not isinstance(error, FileNotFoundError):
        raise StoreUnavailable(_UNREADABLE) from error


def _copy(source: Path, target: Path) -> FileVersion:
    with source.open("rb") as original, target.open("xb") as copy:
        shutil.copyfileobj(original, copy, 1024 * 1024)
        copy.flush()
        os.fsync(copy.fileno())
        return _version_of(os.fstat(copy.fileno()))


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
