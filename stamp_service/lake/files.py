"""Where a lake's files are: what every kind of file system answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What tells a file from an earlier or later one at the same path.

    Parameters
    ----------
    size_bytes : int
        Its size.
    modified_ns : int
        When it was last written, nanoseconds since 1970; coarser where the file system's clock is.
    tag : str
        S3's entity tag; empty elsewhere.
    """

    size_bytes: int
    modified_ns: int
    tag: str = ""


class Range(NamedTuple):
    """A run of bytes of a file.

    Parameters
    ----------
    start : int
        Offset of the first byte.
    length : int
        How many bytes.
    """

    start: int
    length: int


class FileChanged(Exception):
    """The file is not the version that was asked for: replaced, shrunk or gone. Never leaves the lake room."""


class Filesystem(Protocol):
    """A folder tree on local disk, S3 or HDFS; paths are relative to its root, with `/` between the parts.

    Implementations may be used by several threads and by processes forked from the one that made them.
    """

    @property
    def url(self) -> str:
        """The root, as it was given; no password in it."""
        ...

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
        StoreUnavailable, StoreTimeout
            If the file system could not be asked.
        """
        ...

    def read(self, path: str, version: FileVersion, ranges: Sequence[Range]) -> list[bytes]:
        """Read runs of bytes at once: those that lie close in one request, the others side by side.

        Parameters
        ----------
        path : str
            Which file.
        version : FileVersion
            The version that the ranges are meant for.
        ranges : sequence of Range
            What to read, in any order.

        Returns
        -------
        list of bytes
            One for each range, of exactly its length.

        Raises
        ------
        FileChanged
            If the file is seen to be another version, shorter than a range's end, or gone. A file system that
            cannot tell cheaply reads what is there: callers check what they got.
        StoreUnavailable, StoreTimeout
            If the file system could not be asked.
        """
        ...

    def walk(self, below: str = "") -> Iterator[tuple[str, FileVersion]]:
        """List the Parquet files below a folder.

        Parameters
        ----------
        below : str
            The folder; the root if empty.

        Yields
        ------
        path : str
            A file ending in `.parquet`, in no folder and under no name that starts with `_` or `.`, which is
            how Hadoop marks what is not finished.
        version : FileVersion
            Its version.

        Raises
        ------
        LakeFileNotFound
            If there is no such folder.
        StoreUnavailable, StoreTimeout
            If the file system could not be asked.
        """
        ...

    def put(self, path: str, source: Path) -> FileVersion:
        """Copy a local file here; it is seen whole or not at all, and folders are made as needed.

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
        ...

    def check(self) -> None:
        """Find out whether the root can be read now.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it cannot.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads; harmless when called again."""
        ...
