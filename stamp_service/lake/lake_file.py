"""A file of a lake as pyarrow wants it, and what pyarrow raises as one sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.extras import extra
from stamp_service.lake.files import Filesystem, FileVersion, Range

_SMALLEST_FILE_BYTES = 12


class LakeFile:
    """A file of a lake as pyarrow wants it, with what was read ahead kept.

    Parameters
    ----------
    files : Filesystem
        Where it is.
    path : str
        Which.
    version : FileVersion
        Its version; another one raises FileChanged.
    """

    closed = False

    def __init__(self, files: Filesystem, path: str, version: FileVersion) -> None:
        self._files = files
        self._path = path
        self._version = version
        self._position = 0
        self._blocks: list[tuple[int, memoryview]] = []
        self.size = version.size_bytes
        if self.size < _SMALLEST_FILE_BYTES:
            raise PacketCorrupt("the file is no Parquet file")

    def fetch(self, ranges: Sequence[Range]) -> None:
        """Read runs of bytes at once and keep them, instead of what was kept before.

        Parameters
        ----------
        ranges : sequence of Range
            Which.
        """
        pieces = self._files.read(self._path, self._version, ranges)
        self._blocks = [(span.start, memoryview(piece)) for span, piece in zip(ranges, pieces, strict=True)]

    def view(self, start: int, length: int) -> memoryview:
        """Read a run of bytes.

        Parameters
        ----------
        start : int
            Offset of the first.
        length : int
            How many; fewer at the file's end.

        Returns
        -------
        memoryview
            The bytes.
        """
        length = max(min(length, self.size - start), 0)
        for block_start, block in self._blocks:
            at = start - block_start
            if at >= 0 and at + length <= len(block):
                return block[at : at + length]
        (piece,) = self._files.read(self._path, self._version, [Range(start, length)])
        return memoryview(piece)

    def read(self, length: int = -1) -> bytes:
        """Read on from the current position.

        Parameters
        ----------
        length : int
            How many bytes; to the end if negative.

        Returns
        -------
        bytes
            What was read.
        """
        piece = bytes(self.view(self._position, self.size if length < 0 else length))
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the current position.

        Parameters
        ----------
        offset : int
            By how much.
        whence : int
            From where: 0 the start, 1 the current position, 2 the end.

        Returns
        -------
        int
            The position.
        """
        self._position = (0, self._position, self.size)[whence] + offset
        return self._position

    def tell(self) -> int:
        """Say where reading goes on.

        Returns
        -------
        int
            The current position.
        """
        return self._position

    def readable(self) -> bool:
        """Say that this can be read.

        Returns
        -------
        bool
            True.
        """
        return True

    def seekable(self) -> bool:
        """Say that the position can be moved.

        Returns
        -------
        bool
            True.
        """
        return True

    def close(self) -> None:
        """Let go of what was read ahead."""
        self._blocks = []

    def flush(self) -> None:
        """Do nothing: this is only read."""


@contextmanager
def parquet_faults() -> Iterator[None]:
    """Turn what pyarrow raises on damaged files into one sentence.

    Yields
    ------
    None
        While pyarrow is at work.

    Raises
    ------
    PacketCorrupt
        Instead.
    """
    arrow = extra("pyarrow")
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError, OverflowError, MemoryError, LookupError) as error:
        if "crypt" in str(error).lower():
            raise PacketCorrupt("the Parquet file is encrypted") from None
        raise PacketCorrupt("the Parquet file is damaged, or none") from None
