"""What every store promises; `tests/contracts/store.py` holds each one to it."""

from typing import Protocol, TypeAlias, runtime_checkable

from stamp_service.errors import StampServiceError, TooLarge
from stamp_service.surveys import Survey

# What became of one packet of many: whether it is new, or why it was refused.
PutOutcome: TypeAlias = bool | StampServiceError


@runtime_checkable
class Store(Protocol):
    """Something packets can be fetched from, and usually put into.

    A store keeps bytes and knows nothing of what is in them. It says *absent* only when it was asked and answered
    so; whatever keeps it from answering is *unavailable*. Every method may be called from many threads at
    once, and from processes that were forked after the store was made.

    Attributes
    ----------
    name : str
        The label of this store in metrics and messages, such as `local`, `s3` or `mars`.
    writable : bool
        Whether `put` is possible.
    """

    name: str
    writable: bool

    def get(self, survey: Survey, alert_id: str, object_id: str | None = None) -> bytes:
        """Fetch a packet.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        object_id : str, optional
            A checked object id, for stores that keep or know alerts by object.

        Returns
        -------
        bytes
            The packet, byte for byte as it was put.

        Raises
        ------
        AlertNotFound
            If the store does not have it.
        StoreUnavailable
            If the store could not be asked; `StoreTimeout` if it did not answer in time.
        TooLarge
            If the packet exceeds the limit.
        """
        ...

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:
        """Store a packet unless it is there; once this returns, it is kept for good.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        packet : bytes
            The packet as it came.
        object_id : str, optional
            A checked object id, for stores that keep alerts by object.

        Returns
        -------
        bool
            True if it was stored, False if the same bytes were there already.

        Raises
        ------
        PacketConflict
            If a different packet is stored under this id; it stays as it is.
        StoreUnavailable
            If the store could not be written to.
        TooLarge
            If the packet exceeds the limit.
        """
        ...

    def check(self) -> None:
        """Find out whether the store can be asked now.

        Raises
        ------
        StoreUnavailable
            If it cannot.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads; harmless when called again."""
        ...


def check_packet_size(alert_id: str, size_bytes: int, limit_bytes: int) -> None:
    """Refuse a packet that is larger than the settings allow.

    Parameters
    ----------
    alert_id : str
        Whose packet it is.
    size_bytes : int
        Its size.
    limit_bytes : int
        The largest size allowed.

    Raises
    ------
    TooLarge
        If it is larger.
    """
    if size_bytes > limit_bytes:
        raise TooLarge(f"the packet of alert {alert_id} is larger than {limit_bytes} bytes")
