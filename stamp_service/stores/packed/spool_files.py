"""What a process knows of one pack in the spool."""

import logging
from dataclasses import dataclass, field

from stamp_service.stores.packed.blocks import PackHeader, read_header
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.scanning import Place, scan

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SpoolFile:
    """A pack in the spool, as far as this process knows it.

    Parameters
    ----------
    name : PackName
        The pack.
    header : PackHeader
        Its header.
    end : int
        Offset after the last whole block that is known.
    suffix : str
        What stands behind its name: open or full.
    places : dict of str to Place
        Alert id to its block.
    synced : int
        How much is known to be on the disk.
    """

    name: PackName
    header: PackHeader
    end: int
    suffix: str
    places: dict[str, Place] = field(default_factory=dict)
    synced: int = 0

    @classmethod
    def begin(cls, name: PackName, suffix: str, data: bytes) -> "SpoolFile | None":
        """Read a file from its beginning.

        Parameters
        ----------
        name : PackName
            The pack.
        suffix : str
            What stands behind its name.
        data : bytes
            What the file holds so far.

        Returns
        -------
        SpoolFile or None
            The file; None if its header is not whole, or not the one that its packets were written with.
        """
        header = read_header(data)
        if header is None or header.marker != name.marker:
            return None
        file = cls(name, header, header.size_bytes, suffix)
        file.catch_up(data[header.size_bytes :])
        return file if file.places or file.end == header.size_bytes else None

    def catch_up(self, data: bytes) -> None:
        """Take note of what was appended.

        Parameters
        ----------
        data : bytes
            What stands behind the last whole block that is known.
        """
        seen = scan(data, self.header, self.end)
        if seen.damaged:
            log.error("pack %s in the spool holds %d damaged packets", self.name, seen.damaged)
        self.places.update((place.alert_id, place) for place in seen.places)
        self.end = seen.end
