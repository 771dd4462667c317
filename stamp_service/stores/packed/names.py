"""What packs are called."""

import re
import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from stamp_service.packets.container import SYNC_BYTES

_NAME = re.compile(r"(\d{8})-([0-9a-f]{32})")


class PackName(NamedTuple):
    """The night (UTC date, `YYYYMMDD`) on which a pack was begun, and its sync marker."""

    night: str
    marker: bytes

    @classmethod
    def new(cls) -> "PackName":
        """Name a pack that begins now.

        Returns
        -------
        PackName
            A name that no other pack has.
        """
        return cls(tonight(), secrets.token_bytes(SYNC_BYTES))

    @classmethod
    def read(cls, text: str) -> "PackName | None":
        """Read a name.

        Parameters
        ----------
        text : str
            What `str` made of it.

        Returns
        -------
        PackName or None
            The name; None if it is none.
        """
        match = _NAME.fullmatch(text)
        return None if match is None else cls(match[1], bytes.fromhex(match[2]))

    def __str__(self) -> str:
        return f"{self.night}-{self.marker.hex()}"


def tonight() -> str:
    """Name the current night.

    Returns
    -------
    str
        The date of now in UTC, `YYYYMMDD`.
    """
    return datetime.now(UTC).strftime("%Y%m%d")
