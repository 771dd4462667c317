"""Finding the packets in a pack, whole or torn: for the spool, and for indexes that were lost."""

from dataclasses import dataclass
from typing import NamedTuple

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.packets.container import SYNC_BYTES
from stamp_service.stores.packed.blocks import PackHeader, end_of_block, read_block

# Larger than any survey's packets; a damaged length must not ask for all memory.
_NO_LIMIT = 2**28


class Place(NamedTuple):
    """Where in a pack an alert's block lies, in bytes."""

    alert_id: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a stretch of a pack.

    Parameters
    ----------
    places : list of Place
        The packets, in the pack's order.
    end : int
        Offset after the last sync marker: what follows is torn, or still being written.
    damaged : int
        How many stretches between sync markers are no readable packet.
    """

    places: list[Place]
    end: int
    damaged: int


def scan(data: bytes, header: PackHeader, offset: int) -> Scan:
    """Find the packets in a stretch of a pack.

    Parameters
    ----------
    data : bytes
        The stretch, from the start of a block.
    header : PackHeader
        The pack's header.
    offset : int
        Where in the pack it starts.

    Returns
    -------
    Scan
        What it holds.
    """
    places: list[Place] = []
    position = damaged = 0
    digest = header.template.digest
    while position < len(data):
        end = end_of_block(data, position, header.marker)
        if end is None:
            # As readers of AVRO do: go on behind the next marker. Where there is none, the rest is torn.
            found = data.find(header.marker, position)
            if found < 0:
                break
            end = found + SYNC_BYTES
        alert_id = _alert_id_in(data[position:end], header, digest)
        if alert_id is None:
            damaged += 1
        else:
            places.append(Place(alert_id, offset + position, end - position))
        position = end
    return Scan(places, offset + position, damaged)


def _alert_id_in(block: bytes, header: PackHeader, digest: bytes) -> str | None:
    try:
        kept = read_block(block, header.marker, _NO_LIMIT)
        kept.packet(header.template)
    except (PacketCorrupt, TooLarge):
        return None
    return kept.alert_id if kept.digest == digest else None
