"""The packed packets of one survey: finding them, and taking them in.

A packet is always in the spool or in a pack that the index knows, because a pack leaves the spool last of all. So
whoever asks first the spool and then the index finds it, without a lock.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from stamp_service.errors import PacketConflict, PacketCorrupt, StampServiceError, StoreUnavailable, TooLarge
from stamp_service.packets import SchemaLookup
from stamp_service.stores.packed.blocks import Kept, read_block
from stamp_service.stores.packed.holdings import Holdings
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.nights import Located
from stamp_service.stores.packed.sqlite_files import IndexTorn
from stamp_service.stores.packed.templates import Template, take_apart
from stamp_service.stores.packed.upkeep import Upkeep
from stamp_service.stores.protocol import check_packet_size

# Whether a packet is new, or why it was refused.
Outcome: TypeAlias = bool | StampServiceError


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
        place = self._locate(alert_id)
        if place is not None:
            return self._open(alert_id, self._holdings.packs.read(*place), place.pack.marker, place.pack)
        return self._get_published(alert_id)

    def _locate(self, alert_id: str) -> Located | None:
        """Ask the local index, which is made anew where it is damaged."""
        try:
            self._reconcile()
            return self._holdings.index.find(alert_id)
        except IndexTorn:
            self.upkeep.forget_torn()
            # On S3 the pieces that were published of a damaged file say the same.
            self._is_reconciled = self._holdings.published is not None
            self._reconcile()
            return self._holdings.index.find(alert_id)

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

    def put_each(self, alerts: Iterable[tuple[str, bytes]]) -> list[Outcome]:
        """Keep packets; once this returns, they are on the disk.

        Parameters
        ----------
        alerts : iterable of tuple of str and bytes
            Alert ids and packets.

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
                try:
                    return [self._outcome(alert_id, packet) for alert_id, packet in alerts]
                finally:
                    self._holdings.spool.commit()
        except OSError as error:
            raise StoreUnavailable("the spool could not be written to") from error

    def _outcome(self, alert_id: str, packet: bytes) -> Outcome:
        try:
            return self._put(alert_id, packet)
        except (PacketConflict, PacketCorrupt, TooLarge) as error:
            return error

    def _put(self, alert_id: str, packet: bytes) -> bool:
        check_packet_size(alert_id, len(packet), self._max_packet_bytes)
        there = self.get(alert_id)
        if there is None:
            self._holdings.spool.append(
                alert_id, packet, take_apart(packet, self._schemas, self._max_packet_bytes)
            )
        elif there != packet:
            raise PacketConflict(
                f"a different packet of {self._holdings.survey_name} alert {alert_id} is stored already"
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
