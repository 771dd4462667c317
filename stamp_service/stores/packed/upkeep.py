"""Keeping spool, packs and index of a survey in step: sealing full packs, and mending the index."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stamp_service.errors import PacketCorrupt, StoreUnavailable
from stamp_service.stores.packed.disk import file_lock, make_folder
from stamp_service.stores.packed.holdings import Holdings
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.scanning import scan
from stamp_service.stores.packed.spool_files import SpoolFile
from stamp_service.stores.packed.sqlite_files import IndexTorn

log = logging.getLogger(__name__)

# After sealing failed: every portion that is put would try again otherwise.
_PAUSE_S = 30.0


class Upkeep:
    """Seals and mends; for one process, and any number of its threads.

    Parameters
    ----------
    holdings : Holdings
        What is kept in step.
    """

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._not_before = 0.0

    def has_full_packs(self) -> bool:
        """Say whether packs wait for being taken to their place, and it was not just tried in vain.

        Returns
        -------
        bool
            True if it is worth calling `seal`.
        """
        try:
            return time.monotonic() >= self._not_before and bool(self._holdings.spool.full_packs())
        except OSError:
            return False  # whoever reads or writes is told

    def seal(self, *, wait: bool = False) -> None:
        """Take full packs to their place and into the index, and out of the spool.

        Parameters
        ----------
        wait : bool
            Whether to wait if another process is doing it.

        Raises
        ------
        StoreUnavailable
            If place or index cannot be written. Nothing is lost: the packs stay in the spool.
        """
        spool = self._holdings.spool
        try:
            with self._alone(wait=wait) as alone:
                for file, path in spool.full_packs() if alone else []:
                    self._seal(file, path)
        except StoreUnavailable:
            self._not_before = time.monotonic() + _PAUSE_S
            raise

    def _seal(self, file: SpoolFile, path: Path) -> None:
        """Whatever step this ends at, all of them can be done again.

        The index comes first: who looks on another machine meanwhile is told that a pack cannot be read now, and
        not that there is no such alert. On this machine the spool is asked before the index.
        """
        self._holdings.index.add(file.name, file.places.values())
        if self._holdings.publisher is not None:
            self._holdings.publisher.add(file.name)
        self._holdings.packs.add(file.name, path)
        path.unlink(missing_ok=True)

    def close_packs(self) -> None:
        """Call all open packs full.

        Raises
        ------
        StoreUnavailable
            If the spool cannot be written to.
        """
        try:
            with self._holdings.spool.writing():
                self._holdings.spool.close_packs(only_past=False)
        except OSError as error:
            raise StoreUnavailable("the spool could not be written to") from error

    def reconcile(self) -> int:
        """Make the index say what the packs hold: those that it lacks are scanned, torn files written anew.

        Returns
        -------
        int
            How many packs were scanned.

        Raises
        ------
        StoreUnavailable
            If packs cannot be read or the index not be written.
        """
        return sum(self._reconcile_night(night) for night in self._holdings.packs.nights())

    def reindex(self) -> int:
        """Hold every index file against its packs: what is damaged or missing is made anew.

        Returns
        -------
        int
            How many packs were scanned.

        Raises
        ------
        StoreUnavailable
            If packs cannot be read or the index not be written.
        """
        self.forget_torn()
        return self.reconcile()

    def forget_torn(self) -> None:
        """Remove damaged index files.

        Raises
        ------
        StoreUnavailable
            If they cannot be read or removed.
        """
        with self._alone():
            for night in self._holdings.index.nights():
                try:
                    self._holdings.index.check(night)
                except IndexTorn:
                    log.warning(
                        "the index of %s in night %s was damaged and is removed", self._holdings.survey_name, night
                    )
                    self._holdings.index.forget(night)
            if self._holdings.published is not None:
                self._holdings.published.forget()

    @contextmanager
    def _alone(self, *, wait: bool = True) -> Iterator[bool]:
        """Be the only one who takes packs into the index."""
        try:
            make_folder(self._holdings.folder)
            with file_lock(self._holdings.folder / "sealing", wait=wait) as mine:
                yield mine
        except OSError as error:
            raise StoreUnavailable("the packed store could not be written to") from error

    def _reconcile_night(self, night: str) -> int:
        known = self._holdings.index.packs(night)
        missing = [(pack, size) for pack, size in self._holdings.packs.of(night) if pack not in known]
        for pack, size in missing:
            try:
                self._scan_pack(pack, size)
            except PacketCorrupt as error:
                log.error("pack %s is left out of the index: %s", pack, error)  # noqa: TRY400 - the message says it all
        if missing and self._holdings.publisher is not None:
            self._holdings.publisher.republish(night)
        return len(missing)

    def _scan_pack(self, pack: PackName, size: int) -> None:
        header = self._holdings.headers.read(pack)
        start = header.size_bytes
        seen = scan(self._holdings.packs.read(pack, start, max(1, size - start)), header, start)
        if seen.damaged or seen.end != size:
            log.error(
                "pack %s of %s holds %d damaged packets", pack, self._holdings.survey_name, max(1, seen.damaged)
            )
        self._holdings.index.add(pack, seen.places)
