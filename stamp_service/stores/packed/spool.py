"""The spool: packs that are being filled, on local disk.

One folder per survey. `{pack}.open.avro` takes packets; it becomes `{pack}.full.avro` when it is large enough or
its night is over, and goes away once the pack is in the index and in its place. Every process that uses the
folder keeps its own list of what is in it, and extends it by what others appended before it looks something up.

Writers exclude each other with a lock on the file `lock`. Whoever has it first cuts off what a writer that died
left behind: an incomplete block at a file's end. Readers need no lock, they stop at such a block. A file without a
readable header is set aside as `{pack}.damaged.avro`.
"""

import logging
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stamp_service.errors import StoreUnavailable
from stamp_service.stores.packed.blocks import Codec, PackHeader, write_block, write_header
from stamp_service.stores.packed.disk import file_lock, make_folder, sync_folder, write_all
from stamp_service.stores.packed.names import PackName, tonight
from stamp_service.stores.packed.scanning import Place
from stamp_service.stores.packed.spool_files import SpoolFile
from stamp_service.stores.packed.templates import Parts, Template, keep_verbatim

log = logging.getLogger(__name__)

OPEN, FULL, DAMAGED = ".open.avro", ".full.avro", ".damaged.avro"
# Packs that are open at once. Headers that differ in every packet would otherwise make a pack for each.
_MAX_OPEN = 16


@dataclass(frozen=True, slots=True)
class Spooled:
    """A block that was read from the spool.

    Parameters
    ----------
    block : bytes
        The block.
    header : PackHeader
        The header of its pack.
    """

    block: bytes
    header: PackHeader


class Spool:
    """The spool of a survey; for one process, and any number of its threads.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    codec : str
        How blocks are compressed.
    pack_bytes : int
        From which size on a pack is full.
    """

    def __init__(self, folder: Path, codec: Codec, pack_bytes: int) -> None:
        self._folder = folder
        self._codec = codec
        self._pack_bytes = pack_bytes
        self._files: dict[PackName, SpoolFile] = {}
        # Sizes of files that could not be read, which are looked at again once they have grown.
        self._unreadable: dict[PackName, int] = {}
        # Whoever writes has the first for long; the second guards what this process knows, and is never held while
        # something is compressed or flushed.
        self._writers = threading.Lock()
        self._lock = threading.Lock()
        self._writer: int | None = None
        # While writing: the night, and the packs that were appended to.
        self._night = tonight()
        self._descriptors: dict[PackName, int] = {}

    def read(self, alert_id: str) -> Spooled | None:
        """Read an alert's block.

        Parameters
        ----------
        alert_id : str
            The alert.

        Returns
        -------
        Spooled or None
            The block; None if the spool does not have it. What was in the spool before and is not any more is in
            the index.

        Raises
        ------
        OSError
            If the spool cannot be read.
        """
        # While this thread writes, nobody else does.
        is_fresh = self._writer == threading.get_ident()
        while True:
            with self._lock:
                if not is_fresh:
                    self._refresh()
                found = next((file for file in self._files.values() if alert_id in file.places), None)
            if found is None:
                return None
            is_fresh, place = False, found.places[alert_id]
            for suffix in (OPEN, FULL):
                try:
                    block = _read_range(self._path(found.name, suffix), place.offset, place.length)
                except FileNotFoundError:
                    continue
                return Spooled(block, found.header)

    def holding(self, alert_ids: Collection[str]) -> set[str]:
        """Say which alerts are in the spool; only while `writing`.

        Parameters
        ----------
        alert_ids : collection of str
            Alert ids.

        Returns
        -------
        set of str
            Those that are here. What was in the spool before and is not any more is in the index.
        """
        with self._lock:
            return {alert_id for file in self._files.values() for alert_id in alert_ids if alert_id in file.places}

    def alert_ids(self) -> list[str]:
        """Name the alerts in the spool.

        Returns
        -------
        list of str
            Their ids.

        Raises
        ------
        OSError
            If the spool cannot be read.
        """
        with self._lock:
            self._refresh()
            return [alert_id for file in self._files.values() for alert_id in file.places]

    def _path(self, name: PackName, suffix: str) -> Path:
        return self._folder / f"{name}{suffix}"

    def _refresh(self) -> list[PackName]:
        """Take note of what others did; gives the packs that could not be read. The lock is held."""
        try:
            listed = os.listdir(self._folder)  # noqa: PTH208 - names are all that is wanted, and this is twice as fast
        except FileNotFoundError:
            listed = []
        found: dict[PackName, str] = {}
        for text in listed:
            stem, dot, rest = text.partition(".")
            name = PackName.read(stem)
            if name is not None and dot + rest in {OPEN, FULL}:
                found[name] = dot + rest
        for name in [name for name in self._files if name not in found]:
            del self._files[name]
        for name, suffix in found.items():
            self._catch_up(name, suffix)
        return [name for name in found if name not in self._files]

    def _catch_up(self, name: PackName, suffix: str) -> None:
        path, known = self._path(name, suffix), self._files.get(name)
        try:
            size = path.stat().st_size
            if known is not None and size <= known.end:
                known.suffix = suffix
                return
            if known is None and self._unreadable.get(name) == size:
                return
            data = _read_range(path, known.end if known else 0, size)
        except FileNotFoundError:
            return  # renamed or gone since it was listed: the next look will tell
        if known is None:
            known = SpoolFile.begin(name, suffix, data)
            if known is None:
                self._unreadable[name] = size
                return
            self._files[name] = known
        else:
            known.suffix = suffix
            known.catch_up(data)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, and know all that others wrote.

        Yields
        ------
        None
            While nothing else writes.

        Raises
        ------
        OSError
            If the spool cannot be read or repaired.
        """
        make_folder(self._folder)
        with self._writers, file_lock(self._folder / "lock"):
            with self._lock:
                for name in self._refresh():
                    self._set_aside(name)
                for file in self._files.values():
                    if file.suffix == OPEN and self._path(file.name, OPEN).stat().st_size > file.end:
                        os.truncate(self._path(file.name, OPEN), file.end)
            self._writer, self._night = threading.get_ident(), tonight()
            try:
                yield
            finally:
                self._writer = None
                while self._descriptors:
                    os.close(self._descriptors.popitem()[1])

    def _set_aside(self, name: PackName) -> None:
        """Remove a pack that a writer did not live to write the header of; keep one whose header was damaged."""
        self._unreadable.pop(name, None)
        for path in (self._path(name, suffix) for suffix in (OPEN, FULL)):
            with suppress(FileNotFoundError):
                if name.marker not in path.read_bytes():  # a header ends with it
                    path.unlink()
                else:
                    path.rename(self._path(name, DAMAGED))
                    log.error("pack %s in the spool has a damaged header and is set aside, with its packets", name)

    def append(self, alert_id: str, packet: bytes, parts: Parts) -> None:
        """Append a packet to a pack of its kind; only while `writing`. It is not on the disk before `commit`.

        Parameters
        ----------
        alert_id : str
            Whose packet it is.
        packet : bytes
            The packet.
        parts : Parts
            The same, taken apart.

        Raises
        ------
        StoreUnavailable
            If it cannot be written, such as for want of space. What was appended before stays.
        """
        try:
            file, parts = self._choose(parts, packet)
            block = write_block(alert_id, packet, parts, self._codec, file.header.marker)
            with self._lock:
                self._write(file.name, file.end, block)
                file.places[alert_id] = Place(alert_id, file.end, len(block))
                file.end += len(block)
            if file.end >= self._pack_bytes:
                self._close(file)
        except OSError as error:
            raise StoreUnavailable("the spool could not be written to") from error

    def _choose(self, parts: Parts, packet: bytes) -> tuple[SpoolFile, Parts]:
        """Find the open pack of a kind, or begin one."""
        opened = [file for file in self._files.values() if file.suffix == OPEN]
        for file in opened:
            if file.header.template.digest == parts.digest and file.header.codec == self._codec:
                if file.name.night == self._night:
                    return file, parts
                self._close(file)
        if len(opened) >= _MAX_OPEN and parts.template.form != "verbatim":
            return self._choose(keep_verbatim(packet), packet)
        return self._begin(parts.template), parts

    def _begin(self, template: Template) -> SpoolFile:
        name = PackName.new()
        text = write_header(template, self._codec, name.marker)
        header = PackHeader(template, self._codec, name.marker, len(text))
        with self._lock:
            self._path(name, OPEN).touch(exist_ok=False)
            self._write(name, 0, text)
            file = self._files[name] = SpoolFile(name, header, len(text), OPEN)
        sync_folder(self._folder)
        return file

    def _write(self, name: PackName, end: int, data: bytes) -> None:
        """Write at a known end; what could be written of data that did not fit is taken back."""
        descriptor = self._descriptors.get(name)
        if descriptor is None:
            descriptor = self._descriptors[name] = os.open(self._path(name, OPEN), os.O_WRONLY)
        os.lseek(descriptor, end, os.SEEK_SET)
        try:
            write_all(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, end)
            raise

    def _close(self, file: SpoolFile) -> None:
        """Let nobody append to a pack any more."""
        self._sync(file)
        self._path(file.name, OPEN).rename(self._path(file.name, FULL))
        file.suffix = FULL

    def commit(self) -> None:
        """Bring all that is in the spool to the disk; only while `writing`.

        Raises
        ------
        StoreUnavailable
            If the disk fails.
        """
        try:
            for file in list(self._files.values()):
                self._sync(file)
        except OSError as error:
            raise StoreUnavailable("the spool could not be written to") from error

    def _sync(self, file: SpoolFile) -> None:
        """Flush a pack, whoever wrote it: a packet that is there already is acknowledged too."""
        if file.synced >= file.end:
            return
        try:
            descriptor = os.open(self._path(file.name, file.suffix), os.O_RDONLY)
        except FileNotFoundError:
            return  # taken to its place meanwhile, and flushed before that
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        file.synced = file.end

    def close_packs(self, *, only_past: bool) -> None:
        """Call packs full, whatever their size; only while `writing`.

        Parameters
        ----------
        only_past : bool
            Only those of other nights than this.

        Raises
        ------
        OSError
            If the disk fails.
        """
        for file in list(self._files.values()):
            if file.suffix == OPEN and not (only_past and file.name.night == self._night):
                self._close(file)

    def full_packs(self) -> list[tuple[SpoolFile, Path]]:
        """List the packs that wait for being taken to their place.

        Returns
        -------
        list of (SpoolFile, pathlib.Path)
            Packs and their files.

        Raises
        ------
        OSError
            If the spool cannot be read.
        """
        with self._lock:
            self._refresh()
            full = sorted(
                (file for file in self._files.values() if file.suffix == FULL), key=lambda file: file.name
            )
            return [(file, self._path(file.name, FULL)) for file in full]


def _read_range(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(length)
