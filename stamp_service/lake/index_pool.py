"""Indexing many files side by side: in threads, or in processes where it is worth starting them."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.files import FileVersion
from stamp_service.lake.indexing import Indexed, Indexer
from stamp_service.lake.opening import LakeAccess, open_filesystem
from stamp_service.lake.rows import LakeRow
from stamp_service.surveys import Survey

Submit = Callable[[str, FileVersion], "Future[Indexed]"]

# Starting a process takes as long as indexing a gigabyte; threads get in each other's way for a third of the time.
WORTH_PROCESSES_BYTES = 4 * 10**9

_indexer: Indexer | None = None


@contextmanager
def index_pool(indexer: Indexer, access: LakeAccess, jobs: int, *, processes: bool) -> Iterator[Submit]:
    """Make something that indexes files in the background.

    Parameters
    ----------
    indexer : Indexer
        Indexes one file.
    access : LakeAccess
        How processes reach the lake.
    jobs : int
        How many files are indexed at a time.
    processes : bool
        Whether in processes rather than in threads.

    Yields
    ------
    callable
        Takes a path and its version; gives the future result of `Indexer.index`.
    """
    pool: Executor
    if processes and jobs > 1:
        given = (indexer.catalogue.folder, indexer.lake, indexer.survey, access)
        context = multiprocessing.get_context("spawn")  # clients and locks do not survive a fork
        pool = ProcessPoolExecutor(jobs, context, _start, given)
        submit: Submit = lambda path, version: pool.submit(_index, path, version)  # noqa: E731 - one of two
    else:
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="index")
        submit = lambda path, version: pool.submit(indexer.index, path, version)  # noqa: E731 - one of two
    try:
        yield submit
    finally:
        pool.shutdown(cancel_futures=True)


def _start(folder: Path, lake: LakeRow, survey: Survey, access: LakeAccess) -> None:
    """Prepare a process."""
    global _indexer  # noqa: PLW0603 - how a process of a pool keeps what it was started with
    _indexer = Indexer(Catalogue(folder), lake, survey, open_filesystem(lake.url, access))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed and could not end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _index(path: str, version: FileVersion) -> Indexed:
    assert _indexer is not None
    return _indexer.index(path, version)
