"""All lakes that are registered, as they are now."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from stamp_service.errors import ConfigurationError, StoreUnavailable
from stamp_service.lake.catalogue import Catalogue
from stamp_service.lake.lake import Lake, ReadListener
from stamp_service.lake.opening import LakeAccess
from stamp_service.lake.rows import LakeRow
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.s3_clients import S3Access
from stamp_service.settings import Settings
from stamp_service.surveys import Survey

log = logging.getLogger(__name__)


@dataclass
class _Known:
    """The lakes of one process, at one state of the catalogue."""

    generation: tuple[int, int] = (-1, -1)
    lakes: dict[LakeRow, Lake] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Lakes:
    """The registered lakes; those that are added or removed while this lives are noticed.

    Parameters
    ----------
    catalogue : Catalogue
        Lists them.
    surveys : mapping of str to Survey
        The surveys that are defined.
    access : LakeAccess
        How their file systems are reached.
    on_read : callable, optional
        Told of each read of cutouts; see `Lake`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        surveys: Mapping[str, Survey],
        access: LakeAccess,
        on_read: ReadListener | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._surveys = surveys
        self._access = access
        self._on_read = on_read
        self._known = PerProcess(_Known)

    def all(self) -> tuple[Lake, ...]:
        """List the lakes.

        Returns
        -------
        tuple of Lake
            In the order in which they were added.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        known = self._known()
        generation = self._catalogue.generation()
        if known.generation != generation:
            with known.lock:
                known.lakes = {row: known.lakes.get(row) or self._open(row) for row in self._rows()}
                known.generation = generation
        return tuple(known.lakes.values())

    def of(self, survey_name: str) -> tuple[Lake, ...]:
        """List the lakes of a survey.

        Parameters
        ----------
        survey_name : str
            The survey's name.

        Returns
        -------
        tuple of Lake
            In the order in which they were added.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        return tuple(lake for lake in self.all() if lake.survey.name == survey_name)

    def check(self) -> dict[str, str | None]:
        """Find out which lakes can be read now.

        Returns
        -------
        dict of str to str or None
            What keeps each lake from answering; None for those that answer.

        Raises
        ------
        StoreUnavailable
            If the catalogue cannot be read.
        """
        problems: dict[str, str | None] = {}
        for lake in self.all():
            try:
                lake.check()
                problems[lake.name] = None
            except (StoreUnavailable, ConfigurationError) as error:
                problems[lake.name] = str(error)
        return problems

    def close(self) -> None:
        """Let go of connections and of the catalogue; harmless when called again."""
        known = self._known.take()
        for lake in known.lakes.values() if known is not None else ():
            lake.close()
        self._catalogue.close()

    def _rows(self) -> list[LakeRow]:
        rows = self._catalogue.lakes()
        for row in rows:
            if row.survey not in self._surveys:
                log.warning("lake %s is of %s, which is no survey", row.name, row.survey)
        return [row for row in rows if row.survey in self._surveys]

    def _open(self, row: LakeRow) -> Lake:
        return Lake(row, self._surveys[row.survey], self._catalogue, self._access, self._on_read)


def open_catalogue(settings: Settings) -> Catalogue:
    """Find the catalogue of the data folder.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    Catalogue
        The catalogue; it need not exist.
    """
    return Catalogue(settings.data_dir / "lakes")


def lake_access(settings: Settings) -> LakeAccess:
    """Say how lakes are reached.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    LakeAccess
        What of them concerns lakes.
    """
    return LakeAccess(
        s3=S3Access(
            endpoint_url=settings.s3_endpoint_url,
            region=settings.s3_region,
            connect_timeout_s=settings.s3_connect_timeout_s,
            read_timeout_s=settings.s3_read_timeout_s,
        ),
        s3_attempts=settings.s3_attempts,
        hadoop_conf_dir=settings.hadoop_conf_dir,
        hdfs_user=settings.hdfs_user,
        hdfs_timeout_s=settings.hdfs_timeout_s,
    )


def open_lakes(settings: Settings, surveys: Mapping[str, Survey], on_read: ReadListener | None = None) -> Lakes:
    """Open the lakes that are registered in the data folder.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : mapping of str to Survey
        The surveys.
    on_read : callable, optional
        Told of each read of cutouts; see `Lake`.

    Returns
    -------
    Lakes
        The lakes; nothing is connected yet.
    """
    return Lakes(open_catalogue(settings), surveys, lake_access(settings), on_read)
