"""The packed store: what `Store` promises, kept with packs, a spool and an index."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stamp_service.errors import AlertNotFound, StoreUnavailable
from stamp_service.packets import SchemaLookup
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.s3_clients import S3Access, open_clients
from stamp_service.stores.packed.archive import PackedAlert, SurveyArchive
from stamp_service.stores.packed.blocks import Codec
from stamp_service.stores.packed.headers import Headers
from stamp_service.stores.packed.holdings import Holdings
from stamp_service.stores.packed.nights import NightIndex
from stamp_service.stores.packed.objects import Objects
from stamp_service.stores.packed.places import LocalPacks, Packs, S3Packs
from stamp_service.stores.packed.published import PublishedIndex
from stamp_service.stores.packed.publishing import Publisher
from stamp_service.stores.packed.sealing import ProcessArchives
from stamp_service.stores.packed.spool import Spool
from stamp_service.stores.protocol import PutOutcome
from stamp_service.surveys import Survey

PACK_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBuckets:
    """Where packs lie that are not kept in the local folder.

    Parameters
    ----------
    buckets : mapping of str to str
        Survey name to bucket.
    access : S3Access
        Where S3 is and how patiently it is asked.
    attempts : int
        How often a failing request is made in all.
    """

    buckets: Mapping[str, str]
    access: S3Access
    attempts: int


class PackedStore:
    """Packets in packs; see `Store` for what the methods promise.

    Any number of processes on one machine may read and write the same folder. On S3, several machines may read;
    one of them should write a survey, because two would not know of each other's spool.

    Parameters
    ----------
    folder : pathlib.Path
        Local folder of spool and index, and of the packs of surveys without a bucket. It must be on one file
        system, not a network's.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from; without it they are kept verbatim.
    max_packet_bytes : int
        The largest packet that is taken or handed out.
    codec : str
        How new packs are compressed.
    pack_bytes : int
        How large packs become, about.
    remote : PackedBuckets, optional
        Where packs of some surveys lie on S3.
    """

    name = "packed"
    writable = True

    def __init__(
        self,
        folder: Path,
        *,
        schemas: SchemaLookup | None,
        max_packet_bytes: int,
        codec: Codec = "zstandard",
        pack_bytes: int = PACK_BYTES,
        remote: PackedBuckets | None = None,
    ) -> None:
        self._folder = folder
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._codec: Codec = codec
        self._pack_bytes = pack_bytes
        self._remote = remote
        self._clients = PerProcess(lambda: open_clients(remote.access if remote else S3Access()))
        self._process = PerProcess(lambda: ProcessArchives(self._open))

    def _open(self, survey_name: str) -> SurveyArchive:
        folder = self._folder / "spool" / survey_name
        index = NightIndex(self._folder / "index" / survey_name)
        objects = self._objects(survey_name)
        packs: Packs = S3Packs(objects) if objects else LocalPacks(self._folder / "packs" / survey_name)
        holdings = Holdings(
            survey_name=survey_name,
            folder=folder,
            spool=Spool(folder, self._codec, self._pack_bytes),
            packs=packs,
            headers=Headers(packs),
            index=index,
            published=PublishedIndex(objects, index) if objects else None,
            publisher=Publisher(objects, index) if objects else None,
        )
        return SurveyArchive(holdings, self._schemas, self._max_packet_bytes)

    def _objects(self, survey_name: str) -> Objects | None:
        if self._remote is None or survey_name not in self._remote.buckets:
            return None
        return Objects(self._clients, self._remote.buckets[survey_name], survey_name, self._remote.attempts)

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
            The packet, byte for byte as it was put.

        Raises
        ------
        AlertNotFound
            If neither spool nor index has it.
        PacketCorrupt
            If what is stored is damaged.
        StoreUnavailable
            If spool, index or packs cannot be read.
        TooLarge
            If the packet exceeds the limit.
        """
        packet = self._process().archive(survey.name).get(alert_id)
        if packet is None:
            raise AlertNotFound(f"there is no {survey.name} alert {alert_id}")
        return packet

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:  # noqa: ARG002 - kept by alert id alone
        """Keep a packet unless it is there; `put_many` flushes the disk once for many.

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
            If it cannot be written.
        TooLarge
            If it exceeds the limit.
        """
        return self.put_many([PackedAlert(survey, alert_id, packet)]) == 1

    def put_many(self, alerts: Iterable[PackedAlert]) -> int:
        """Keep packets unless they are there; once this returns, all are on the disk.

        Parameters
        ----------
        alerts : iterable of PackedAlert
            What to keep. All are in memory at once, so an endless stream is put in portions.

        Returns
        -------
        int
            How many were not there.

        Raises
        ------
        PacketConflict
            If a different packet of one of them is there. All others are kept; `put_each` says which it is.
        PacketCorrupt
            If what is stored of one of them is damaged, likewise.
        TooLarge
            If one of them exceeds the limit, likewise.
        StoreUnavailable
            If they cannot be written. Some may be kept; putting them again is harmless.
        """
        outcomes = self.put_each(alerts)
        for outcome in outcomes:
            if not isinstance(outcome, bool):
                raise outcome
        return outcomes.count(True)

    def put_each(self, alerts: Iterable[PackedAlert]) -> list[PutOutcome]:
        """Keep packets unless they are there, and say of each what became of it.

        Parameters
        ----------
        alerts : iterable of PackedAlert
            What to keep, as for `put_many`.

        Returns
        -------
        list of (bool or StampServiceError)
            In the same order: whether it was not there, or why it was refused (`PacketConflict`, `PacketCorrupt`,
            `TooLarge`). All that were not refused are on the disk.

        Raises
        ------
        StoreUnavailable
            If they cannot be written. Some may be kept; putting them again is harmless.
        """
        alerts = list(alerts)
        by_survey: dict[str, list[int]] = {}
        for number, alert in enumerate(alerts):
            by_survey.setdefault(alert.survey.name, []).append(number)
        process = self._process()
        outcomes: list[PutOutcome] = [False] * len(alerts)
        for name, numbers in by_survey.items():
            try:
                put = process.archive(name).put_each([alerts[number] for number in numbers])
            finally:
                process.seal(name)
            for number, outcome in zip(numbers, put, strict=True):
                outcomes[number] = outcome
        return outcomes

    def flush(self, survey: Survey) -> None:
        """Take all packets of a survey out of the spool, into packs of whatever size.

        Parameters
        ----------
        survey : Survey
            The survey.

        Raises
        ------
        StoreUnavailable
            If it cannot be done. Nothing is lost: the packets stay in the spool.
        """
        upkeep = self._process().archive(survey.name).upkeep
        upkeep.close_packs()
        upkeep.seal(wait=True)

    def reindex(self, survey: Survey) -> int:
        """Bring the index of a survey in step with its packs, by scanning those that it lacks.

        Parameters
        ----------
        survey : Survey
            The survey.

        Returns
        -------
        int
            How many packs were scanned.

        Raises
        ------
        StoreUnavailable
            If packs cannot be read or the index not be written.
        """
        return self._process().archive(survey.name).upkeep.reindex()

    def alert_ids(self, survey: Survey) -> Iterator[str]:
        """Name the alerts that this machine packed.

        Parameters
        ----------
        survey : Survey
            The survey.

        Returns
        -------
        iterator of str
            Alert ids, in no particular order.
        """
        return self._process().archive(survey.name).alert_ids()

    def listed(self, survey: Survey) -> Iterator[tuple[str, str | None]]:
        """Name the alerts that were packed, by other machines too; see `ListedStore`.

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
            If spool, index or packs cannot be read.
        """
        self.reindex(survey)
        yield from ((alert_id, None) for alert_id in self.alert_ids(survey))

    def check(self) -> None:
        """Find out whether packs can be read now.

        Raises
        ------
        StoreUnavailable
            If they cannot.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable("the packed store could not be read") from error
        for name in self._remote.buckets if self._remote else ():
            self._process().archive(name).check()

    def close(self) -> None:
        """Finish what is being sealed, and close files and connections; packets stay in the spool."""
        process = self._process.take()
        if process is not None:
            process.close()
        clients = self._clients.take()
        if clients is not None:
            clients.boto.close()
