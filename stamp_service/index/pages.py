"""Pages of a search, and the token that says where the next one starts."""

import base64
import binascii
import math
import struct
from dataclasses import dataclass

from stamp_service.errors import RequestError
from stamp_service.index.entries import IndexedAlert

_TIME = struct.Struct(">d")
_LONGEST_TOKEN = 512
_FOREIGN = "after is not from an earlier page"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the alerts that were searched for.

    Parameters
    ----------
    alerts : list of IndexedAlert
        Oldest first, or newest; those of the same time by id.
    after : str or None
        What to search `after` for the next page; None if there is none.
    """

    alerts: list[IndexedAlert]
    after: str | None


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order in which alerts are listed.

    Parameters
    ----------
    time_mjd : float
        As it stands in the table.
    alert_id : str
        The alert's id.
    """

    time_mjd: float
    alert_id: str

    def token(self) -> str:
        """Write it as text that means nothing to others.

        Returns
        -------
        str
            URL-safe.
        """
        return base64.urlsafe_b64encode(_TIME.pack(self.time_mjd) + self.alert_id.encode()).decode().rstrip("=")


def position_of(alert: IndexedAlert) -> Position:
    """Say where an alert is in the order.

    Parameters
    ----------
    alert : IndexedAlert
        The alert.

    Returns
    -------
    Position
        Its place; `after` its token come those that follow.
    """
    return Position(-math.inf if alert.time_mjd is None else alert.time_mjd, alert.alert_id)


def read_token(token: str) -> Position:
    """Read a token that came back from outside.

    Parameters
    ----------
    token : str
        Any text.

    Returns
    -------
    Position
        The place it stands for.

    Raises
    ------
    RequestError
        If it was not written by `Position.token`.
    """
    try:
        raw = base64.b64decode(token[:_LONGEST_TOKEN] + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        (time_mjd,) = _TIME.unpack_from(raw)
        alert_id = raw[_TIME.size :].decode()
    except (ValueError, struct.error, binascii.Error):
        raise RequestError(_FOREIGN, "after") from None
    if math.isnan(time_mjd) or not alert_id.isprintable():
        raise RequestError(_FOREIGN, "after")
    return Position(time_mjd, alert_id)
