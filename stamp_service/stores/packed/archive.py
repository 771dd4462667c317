"""The packed packets of one survey: finding them, and taking them in.

A packet is always in the spool or in a pack that the index knows, because a pack leaves the spool last of all. So
whoever asks first the spool and then the index finds it, without a lock.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from stamp_service.errors import PacketConflict, PacketCorrupt, StoreUnavailable, TooLarge
from stamp_service.packets import Packet, SchemaLookup
from stamp_service.stores.packed.blocks import Kept, read_block
from stamp_service.stores.packed.holdings import Holdings
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.nights import NightIndex
from stamp_service.stores.packed.sqlite_files import IndexTorn
from stamp_service.stores.packed.templates import Template, take_apart
from stamp_service.stores.packed.upkeep import Upkeep
from stamp_service.stores.protocol import PutOutcome, check_packet_size
from stamp_service.surveys import Survey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PackedAlert:
    """A packet to be kept.

    Parameters
    ----------
    survey : Survey
        Its survey.
    alert_id : str
        Its checked alert id.
    packet : bytes
        The packet as it came.
    parsed : Packet, optional
        The same, if it was parsed already.
    """

    survey: Survey
    alert_id: str
    packet: bytes
    parsed: Packet | None = None


class SurveyArchive:
    """The packed packets of a survey; for one process, and any number of its threads.

    Parameters
    ----------
    holdings : Holdings
        What they consist of.
    schemas : SchemaLookup or None
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        The largest packet that is taken or handed out.
    """

    def __init__(self, holdings: Holdings, schemas: SchemaLookup | None, max_packet_bytes: int) -> None:
        self.upkeep = Upkeep(holdings)
        self._holdings = holdings
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._reconciling = threading.Lock()
        # On S3 this would mean to list all packs there are.
        self._is_reconciled = holdings.published is not None

    def get(self, alert_id: str) -> bytes | None:
        """Fetch a packet.

        Parameters
        ----------
        alert_id : str
            The alert.

        Returns
        -------
        bytes or None
            The packet; None if it is not here.

        Raises
        ------
        PacketCorrupt
            If the stored bytes are damaged.
        StoreUnavailable
            If spool, index or packs cannot be read.
        TooLarge
            If the packet exceeds the limit.
        """
        try:
            spooled = self._holdings.spool.read(alert_id)
        except OSError as error:
            raise StoreUnavailable("the spool could not be read") from error
        if spooled is not None:
            return self._open(alert_id, spooled.block, spooled.header.marker, spooled.header.template)
        place = self._ask_index(lambda index: index.find(alert_id))
        if place is not None:
            return self._open(alert_id, self._holdings.packs.read(*place), place.pack.marker, place.pack)
        return self._get_published(alert_id)

    def _ask_index(self, question: Callable[[NightIndex], T]) -> T:
        """Ask the local index, which is made anew where it is damaged."""
        try:
            self._reconcile()
            return question(self._holdings.index)
        except IndexTorn:
            self.upkeep.forget_torn()
            # On S3 the pieces that were published of a damaged file say the same.
            self._is_reconciled = self._holdings.published is not None
            self._reconcile()
            return question(self._holdings.index)

    def _reconcile(self) -> None:
        """Hold the index against the packs, once."""
        if not self._is_reconciled:
            with self._reconciling:
                if not self._is_reconciled:
                    self.upkeep.reconcile()
                    self._is_reconciled = True

    def _get_published(self, alert_id: str) -> bytes | None:
        if self._holdings.published is None:
            return None
        for place in self._holdings.published.find(alert_id):
            block = self._holdings.packs.read(*place)
            if self._read(alert_id, block, place.pack.marker).alert_id == alert_id:
                return self._open(alert_id, block, place.pack.marker, place.pack)
        return None

    def _open(self, alert_id: str, block: bytes, marker: bytes, source: Template | PackName) -> bytes:
        """Take the packet out of a block, and make sure that it is this alert's."""
        kept = self._read(alert_id, block, marker)
        try:
            headers = self._holdings.headers
            template = source if isinstance(source, Template) else headers.template(source, kept.digest)
            packet = kept.packet(template)
        except PacketCorrupt as error:
            raise self._corrupt(alert_id, str(error)) from None
        if kept.alert_id != alert_id:
            raise self._corrupt(alert_id, "the stored packet is of another alert")
        check_packet_size(alert_id, len(packet), self._max_packet_bytes)
        return packet

    def _read(self, alert_id: str, block: bytes, marker: bytes) -> Kept:
        try:
            return read_block(block, marker, self._max_packet_bytes)
        except PacketCorrupt as error:
            raise self._corrupt(alert_id, str(error)) from None
        except TooLarge as error:
            raise TooLarge(f"{self._holdings.survey_name} alert {alert_id}: {error}") from None

    def _corrupt(self, alert_id: str, reason: str) -> PacketCorrupt:
        return PacketCorrupt(f"{self._holdings.survey_name} alert {alert_id}: {reason}")

    def put_each(self, alerts: Sequence[PackedAlert]) -> list[PutOutcome]:
        """Keep packets; once this returns, they are on the disk.

        Parameters
        ----------
        alerts : sequence of PackedAlert
            Packets of this survey.

        Returns
        -------
        list of (bool or StampServiceError)
            For each: whether it is new, or why it was refused (`PacketConflict`, `PacketCorrupt`, `TooLarge`).

        Raises
        ------
        StoreUnavailable
            If they cannot be written, or it cannot be found out whether they are here. Those before may be kept.
        """
        try:
            with self._holdings.spool.writing():
                self._holdings.spool.close_packs(only_past=True)
                absent = self._absent({alert.alert_id for alert in alerts})
                try:
                    return [self._outcome(alert, absent) for alert in alerts]
                finally:
                    self._holdings.spool.commit()
        except OSError as error:
            raise StoreUnavailable("the spool could not be written to") from error

    def _absent(self, alert_ids: set[str]) -> set[str]:
        """Find those that are not here; while the spool is being written to, nobody else adds one."""
        absent = alert_ids - self._holdings.spool.holding(alert_ids)
        absent -= self._ask_index(lambda index: index.holding(absent))
        published = self._holdings.published
        if published is not None:
            absent = {alert_id for alert_id in absent if next(published.find(alert_id), None) is None}
        return absent

    def _outcome(self, alert: PackedAlert, absent: set[str]) -> PutOutcome:
        try:
            return self._put(alert, absent)
        except (PacketConflict, PacketCorrupt, TooLarge) as error:
            return error

    def _put(self, alert: PackedAlert, absent: set[str]) -> bool:
        check_packet_size(alert.alert_id, len(alert.packet), self._max_packet_bytes)
        # One that is not absent may have come earlier in this portion, or be another whose hash is the same.
        there = None if alert.alert_id in absent else self.get(alert.alert_id)
        if there is None:
            parts = take_apart(alert.packet, self._schemas, self._max_packet_bytes, alert.parsed)
            self._holdings.spool.append(alert.alert_id, alert.packet, parts)
            absent.discard(alert.alert_id)
        elif there != alert.packet:
            raise PacketConflict(
                f"a different packet of {self._holdings.survey_name} alert {alert.alert_id} is stored already"
            )
        return there is None

    def alert_ids(self) -> Iterator[str]:
        """Name all alerts of spool and local index, each once.

        Yields
        ------
        str
            Alert ids.

        Raises
        ------
        StoreUnavailable
            If spool or index cannot be read.
        """
        self._reconcile()
        # The spool first: what moves to the index meanwhile comes twice rather than never.
        try:
            spooled = set(self._holdings.spool.alert_ids())
        except OSError as error:
            raise StoreUnavailable("the spool could not be read") from error
        yield from spooled
        yield from (alert_id for alert_id in self._holdings.index.alert_ids() if alert_id not in spooled)

    def check(self) -> None:
        """Find out whether packets can be read.

        Raises
        ------
        StoreUnavailable
            If they cannot.
        """
        self._holdings.packs.check()

    def close(self) -> None:
        """Close files."""
        self._holdings.index.close()
