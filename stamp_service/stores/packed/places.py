"""Where full packs lie: a local folder, or a bucket."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from stamp_service.errors import AlertNotFound, StoreUnavailable
from stamp_service.stores.packed.disk import make_folder, sync_folder
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.objects import Objects

SUFFIX = ".avro"


class Packs(Protocol):
    """The packs of a survey."""

    def add(self, pack: PackName, file: Path) -> None:
        """Take a pack.

        Parameters
        ----------
        pack : PackName
            Its name; what is there under this name is the same pack.
        file : pathlib.Path
            The file in the spool, which stays.

        Raises
        ------
        StoreUnavailable
            If it cannot be written.
        """

    def read(self, pack: PackName, offset: int, length: int) -> bytes:
        """Read a stretch of a pack.

        Parameters
        ----------
        pack : PackName
            The pack.
        offset : int
            Where to start.
        length : int
            How much to read, in bytes; less at the pack's end.

        Returns
        -------
        bytes
            The stretch.

        Raises
        ------
        StoreUnavailable
            If it cannot be read.
        """

    def nights(self) -> list[str]:
        """List the nights.

        Returns
        -------
        list of str
            Their names.
        """

    def of(self, night: str) -> Iterator[tuple[PackName, int]]:
        """List the packs of a night.

        Parameters
        ----------
        night : str
            The night.

        Yields
        ------
        tuple of PackName and int
            Packs and their sizes in bytes.
        """

    def check(self) -> None:
        """Find out whether packs can be read now.

        Raises
        ------
        StoreUnavailable
            If they cannot.
        """


class LocalPacks:
    """Packs in a folder: `{night}/{pack}.avro`.

    Parameters
    ----------
    folder : pathlib.Path
        The survey's folder, on the same file system as the spool.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, pack: PackName) -> Path:
        return self._folder / pack.night / f"{pack}{SUFFIX}"

    def add(self, pack: PackName, file: Path) -> None:
        """Link a pack into its folder.

        Parameters
        ----------
        pack : PackName
            Its name.
        file : pathlib.Path
            The file in the spool.

        Raises
        ------
        StoreUnavailable
            If it cannot be linked.
        """
        path = self._path(pack)
        try:
            make_folder(path.parent)
            with suppress(FileExistsError):
                os.link(file, path)
            sync_folder(path.parent)
        except OSError as error:
            raise StoreUnavailable("the packed store could not be written to") from error

    def read(self, pack: PackName, offset: int, length: int) -> bytes:
        """Read a stretch of a pack.

        Parameters
        ----------
        pack : PackName
            The pack.
        offset : int
            Where to start.
        length : int
            How much to read, in bytes.

        Returns
        -------
        bytes
            The stretch.

        Raises
        ------
        StoreUnavailable
            If it cannot be read.
        """
        try:
            with self._path(pack).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), length, offset)
        except OSError as error:
            raise StoreUnavailable("a pack could not be read") from error

    def nights(self) -> list[str]:
        """List the nights.

        Returns
        -------
        list of str
            Their names.

        Raises
        ------
        StoreUnavailable
            If the folder cannot be read.
        """
        try:
            with os.scandir(self._folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreUnavailable("the packed store could not be read") from error

    def of(self, night: str) -> Iterator[tuple[PackName, int]]:
        """List the packs of a night.

        Parameters
        ----------
        night : str
            The night.

        Yields
        ------
        tuple of PackName and int
            Packs and their sizes in bytes.

        Raises
        ------
        StoreUnavailable
            If the folder cannot be read.
        """
        try:
            for path in sorted((self._folder / night).iterdir()):
                pack = PackName.read(path.stem)
                if pack is not None and path.suffix == SUFFIX:
                    yield pack, path.stat().st_size
        except OSError as error:
            raise StoreUnavailable("the packed store could not be read") from error

    def check(self) -> None:
        """Find out whether the folder can be read; a store that has no packs yet has none.

        Raises
        ------
        StoreUnavailable
            If it cannot.
        """
        self.nights()


class S3Packs:
    """Packs in a bucket: `packed/{survey}/packs/{night}/{pack}.avro`.

    Parameters
    ----------
    objects : Objects
        The survey's objects.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @staticmethod
    def _key(pack: PackName) -> str:
        return f"packs/{pack.night}/{pack}{SUFFIX}"

    def add(self, pack: PackName, file: Path) -> None:
        """Upload a pack whole.

        Parameters
        ----------
        pack : PackName
            Its name.
        file : pathlib.Path
            The file in the spool.

        Raises
        ------
        StoreUnavailable
            If S3 does not take it.
        """
        self._objects.put_file(self._key(pack), file)

    def read(self, pack: PackName, offset: int, length: int) -> bytes:
        """Read a stretch of a pack, in one range read.

        Parameters
        ----------
        pack : PackName
            The pack.
        offset : int
            Where to start.
        length : int
            How much to read, in bytes.

        Returns
        -------
        bytes
            The stretch.

        Raises
        ------
        StoreUnavailable
            If S3 does not give it.
        """
        try:
            return self._objects.read(self._key(pack), offset, length)
        except AlertNotFound:
            raise StoreUnavailable("a pack that the index names is missing") from None

    def nights(self) -> list[str]:
        """List the nights.

        Returns
        -------
        list of str
            Their names.
        """
        return self._objects.folders("packs/")

    def of(self, night: str) -> Iterator[tuple[PackName, int]]:
        """List the packs of a night.

        Parameters
        ----------
        night : str
            The night.

        Yields
        ------
        tuple of PackName and int
            Packs and their sizes in bytes.
        """
        for key, size in self._objects.list(f"packs/{night}/"):
            pack = PackName.read(key.rpartition("/")[2].removesuffix(SUFFIX))
            if pack is not None:
                yield pack, size

    def check(self) -> None:
        """Find out whether the bucket answers.

        Raises
        ------
        StoreUnavailable
            If it does not.
        """
        self._objects.check()
