"""A local directory of packets: one file per alert, spread over 4096 folders per survey.

`{root}/{survey}/{shard}/{alert_id}.avro`, where the shard is three hexadecimal digits of the id's hash. With ten
million alerts a folder holds 2,400 files, so a look-up costs the same as with a thousand. Ids are escaped as
in URLs, so whatever a user's survey pattern lets through stays one file name.

A packet is written to a file of its own, flushed to the disk, and then linked to its name. A link never replaces
anything, so of two processes that put different packets exactly one wins, and a reader sees a whole
packet or none.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from urllib.parse import quote, unquote

from stamp_service.errors import AlertNotFound, PacketConflict, StoreUnavailable
from stamp_service.stores.protocol import check_packet_size
from stamp_service.surveys import Survey

_SUFFIX = ".avro"
_UNFINISHED = ".part"
# What a file system answers that cannot link.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def _shard(alert_id: str) -> str:
    return blake2b(alert_id.encode(), digest_size=2).hexdigest()[:3]


def _sync(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _written(folder: Path, packet: bytes) -> Iterator[Path]:
    """Write a packet to a file of its own and flush it; the file goes away afterwards."""
    part = folder / f"{secrets.token_hex(8)}{_UNFINISHED}"
    try:
        with part.open("xb") as file:
            file.write(packet)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


class LocalStore:
    """Packets in a local directory; see `Store` for what the methods promise.

    Parameters
    ----------
    root : pathlib.Path
        The folder of all surveys; made if it does not exist.
    max_packet_bytes : int
        The largest packet that is taken or handed out.
    """

    name = "local"
    writable = True

    def __init__(self, root: Path, max_packet_bytes: int) -> None:
        self._root = root
        self._max_packet_bytes = max_packet_bytes
        self._known_folders: set[Path] = set()
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError:
            # Not fatal: `check` and every look-up say so, and the disk may come back.
            return

    def _path(self, survey: Survey, alert_id: str) -> Path:
        return self._root / survey.name / _shard(alert_id) / (quote(alert_id, safe="") + _SUFFIX)

    def get(self, survey: Survey, alert_id: str, object_id: str | None = None) -> bytes:  # noqa: ARG002 - kept by alert id alone
        """Fetch a packet.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        object_id : str, optional
            Not needed here.

        Returns
        -------
        bytes
            The packet.

        Raises
        ------
        AlertNotFound
            If there is no such file.
        StoreUnavailable
            If the file or the directory cannot be read.
        TooLarge
            If the packet exceeds the limit.
        """
        try:
            packet = self._read(self._path(survey, alert_id), alert_id)
        except OSError as error:
            raise StoreUnavailable("the local store could not be read") from error
        if packet is None:
            raise AlertNotFound(f"there is no {survey.name} alert {alert_id}")
        return packet

    def _read(self, path: Path, alert_id: str) -> bytes | None:
        try:
            with path.open("rb", buffering=0) as file:
                check_packet_size(alert_id, os.fstat(file.fileno()).st_size, self._max_packet_bytes)
                return file.readall()
        except FileNotFoundError:
            # A disk that is not mounted has no files either, and that is not the same.
            if not self._root.is_dir():
                raise
            return None

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:  # noqa: ARG002 - kept by alert id alone
        """Store a packet unless it is there.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        packet : bytes
            The packet as it came.
        object_id : str, optional
            Not needed here.

        Returns
        -------
        bool
            True if it was stored, False if the same bytes were there already.

        Raises
        ------
        PacketConflict
            If a different packet is there.
        StoreUnavailable
            If the packet cannot be written.
        TooLarge
            If the packet exceeds the limit.
        """
        check_packet_size(alert_id, len(packet), self._max_packet_bytes)
        path = self._path(survey, alert_id)
        try:
            stored, there = False, self._read(path, alert_id)
            if there is None:
                self._make_folders(path.parent)
                stored = self._link(packet, path)
                there = packet if stored else self._read(path, alert_id)
            _sync(path.parent)
        except OSError as error:
            reason = ": its file system has no hard links" if error.errno in _NO_LINKS else ""
            raise StoreUnavailable(f"the local store could not be written to{reason}") from error
        if there != packet:
            raise PacketConflict(f"a different packet of {survey.name} alert {alert_id} is stored already")
        return stored

    def _link(self, packet: bytes, path: Path) -> bool:
        with _written(path.parent, packet) as part:
            try:
                os.link(part, path)
            except FileExistsError:
                return False
        return True

    def _make_folders(self, shard: Path) -> None:
        """Make a shard's folder and bring it to the disk; the root itself must be there."""
        if shard in self._known_folders and shard.is_dir():
            return
        for folder in (shard.parent, shard):
            folder.mkdir(exist_ok=True)
            _sync(folder.parent)
        self._known_folders.add(shard)

    def alert_ids(self, survey: Survey, limit: int | None = None) -> list[str]:
        """Name alerts that are stored, in no particular order.

        Parameters
        ----------
        survey : Survey
            The survey.
        limit : int, optional
            How many at most; the time this takes grows with it, not with the store.

        Returns
        -------
        list of str
            Alert ids.

        Raises
        ------
        StoreUnavailable
            If the directory cannot be read.
        """
        try:
            return list(islice(self._walk(self._root / survey.name), limit))
        except OSError as error:
            raise StoreUnavailable("the local store could not be read") from error

    def listed(self, survey: Survey) -> Iterator[tuple[str, str | None]]:
        """Name the alerts that are stored; see `ListedStore`.

        Parameters
        ----------
        survey : Survey
            The survey.

        Yields
        ------
        tuple of str and None
            Alert ids.

        Raises
        ------
        StoreUnavailable
            If the directory cannot be read.
        """
        try:
            yield from ((alert_id, None) for alert_id in self._walk(self._root / survey.name))
        except OSError as error:
            raise StoreUnavailable("the local store could not be read") from error

    def is_empty(self) -> bool:
        """Say whether nothing is stored, of any survey.

        Returns
        -------
        bool
            True if there is no packet.

        Raises
        ------
        StoreUnavailable
            If the directory cannot be read.
        """
        try:
            surveys = [Path(entry.path) for entry in os.scandir(self._root) if entry.is_dir()]
            return not any(True for survey in surveys for _ in self._walk(survey))
        except OSError as error:
            raise StoreUnavailable("the local store could not be read") from error

    def _walk(self, folder: Path) -> Iterator[str]:
        if not folder.is_dir():
            return
        with os.scandir(folder) as shards:
            for shard in (entry for entry in shards if entry.is_dir()):
                with os.scandir(shard.path) as files:
                    names = (file.name for file in files)
                    yield from (unquote(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX))

    def check(self) -> None:
        """Find out whether the directory can be read.

        Raises
        ------
        StoreUnavailable
            If it cannot.
        """
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise StoreUnavailable("the local store could not be read") from error

    def close(self) -> None:
        """Do nothing: no file stays open."""
