"""Bringing files and folders to the disk."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and what it lies in, and bring them to the disk.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; it may exist.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


@contextmanager
def file_lock(file: Path, *, wait: bool = True) -> Iterator[bool]:
    """Keep other processes out; the system lets go of the lock when a process dies.

    Parameters
    ----------
    file : pathlib.Path
        An otherwise empty file; made if it does not exist.
    wait : bool
        Whether to wait for whoever has the lock.

    Yields
    ------
    bool
        Whether the lock is ours; always, when waiting.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            # A process forked meanwhile has the descriptor too: closing ours alone would not unlock it.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of some bytes.

    Parameters
    ----------
    descriptor : int
        An open file.
    data : bytes
        What to write.

    Raises
    ------
    OSError
        If the disk is full, or anything else; part of the data may be written then.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
