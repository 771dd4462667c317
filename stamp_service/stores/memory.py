"""A store in memory, for tests and for trying things out."""

import threading

from stamp_service.errors import AlertNotFound, PacketConflict
from stamp_service.stores.protocol import check_packet_size
from stamp_service.surveys import Survey

DEFAULT_MAX_PACKET_BYTES = 32 * 1024 * 1024


class MemoryStore:
    """Packets in a dictionary; see `Store` for what the methods promise.

    Parameters
    ----------
    max_packet_bytes : int
        The largest packet that is taken.
    """

    name = "memory"
    writable = True

    def __init__(self, max_packet_bytes: int = DEFAULT_MAX_PACKET_BYTES) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._packets: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

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
            If it was never put.
        TooLarge
            If the packet exceeds the limit.
        """
        packet = self._packets.get((survey.name, alert_id))
        if packet is None:
            raise AlertNotFound(f"there is no {survey.name} alert {alert_id}")
        check_packet_size(alert_id, len(packet), self._max_packet_bytes)
        return packet

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:  # noqa: ARG002 - kept by alert id alone
        """Keep a packet unless it is there.

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
        TooLarge
            If the packet exceeds the limit.
        """
        check_packet_size(alert_id, len(packet), self._max_packet_bytes)
        with self._lock:
            there = self._packets.get((survey.name, alert_id))
            if there is None:
                self._packets[survey.name, alert_id] = bytes(packet)
                return True
        if there != packet:
            raise PacketConflict(f"a different packet of {survey.name} alert {alert_id} is stored already")
        return False

    def check(self) -> None:
        """Do nothing: memory can always be asked."""

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
