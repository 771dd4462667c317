"""AVRO's binary encoding: the few things that every reader of it needs.

Nothing here checks the end of the input at every step. A position only ever grows, so reading past the end
shows up as an IndexError, or as a final position beyond the end, which `plans` and `container` check once.
"""

from collections.abc import Callable

from stamp_service.errors import PacketCorrupt, TooLarge

# Bounds memory and time: an AVRO array of a million one-byte records takes 1 MB in a packet and 200 in Python.
# The longest history of a real alert has some ten thousand values.
MAX_VALUES = 1_000_000


class Reading:
    """One pass over an AVRO body.

    Parameters
    ----------
    buffer : bytes
        The bytes that hold the body.
    end : int
        Where the body ends in `buffer`.
    slots : int
        How many values the pass collects.
    jump : bool
        Whether blocks that state their size may be skipped without looking into them.
    """

    __slots__ = ("buffer", "end", "found", "jump", "values_left")

    def __init__(self, buffer: bytes, end: int, slots: int = 0, *, jump: bool = False) -> None:
        self.buffer = buffer
        self.end = end
        self.found: list[object] = [None] * slots
        self.jump = jump
        self.values_left = MAX_VALUES


# From the position of a value to the position after it.
Step = Callable[[Reading, int], int]


def read_long(buffer: bytes, position: int) -> tuple[int, int]:
    """Read a zigzag-encoded integer of variable length.

    Parameters
    ----------
    buffer : bytes
        Where to read.
    position : int
        Where the integer starts.

    Returns
    -------
    value : int
        The integer, signed, 64 bits.
    position : int
        Where the next value starts.

    Raises
    ------
    IndexError
        If the buffer ends early.
    PacketCorrupt
        If it has more than 64 bits.
    """
    byte = buffer[position]
    position += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), position
    value = byte & 0x7F
    shift = 7
    while byte >= 0x80:
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if value >> 64 or shift > 70:
            raise PacketCorrupt("the packet holds an integer of more than 64 bits")
    return (value >> 1) ^ -(value & 1), position


def read_length(buffer: bytes, position: int) -> tuple[int, int]:
    """Read the length of a text, of bytes or of a block.

    Parameters
    ----------
    buffer : bytes
        Where to read.
    position : int
        Where the length starts.

    Returns
    -------
    length : int
        The length in bytes, not negative.
    position : int
        Where the next value starts.

    Raises
    ------
    IndexError
        If the buffer ends early.
    PacketCorrupt
        If the length is negative.
    """
    length, position = read_long(buffer, position)
    if length < 0:
        raise PacketCorrupt("the packet holds a negative length")
    return length, position


def open_block(reading: Reading, position: int, item_bytes: int, item_values: int) -> tuple[int, int, int | None]:
    """Read the head of a block of an array or map, and refuse a count that cannot be true.

    Parameters
    ----------
    reading : Reading
        The pass; the block's values are charged to it.
    position : int
        Where the block starts.
    item_bytes : int
        Fewest bytes of an item.
    item_values : int
        Most values of an item.

    Returns
    -------
    count : int
        Number of items; 0 ends the array or map.
    position : int
        Where the first item starts.
    stop : int or None
        Where the block ends, if it says so.

    Raises
    ------
    IndexError
        If the buffer ends early.
    PacketCorrupt
        If the block cannot fit into the body.
    TooLarge
        If the body holds more than `MAX_VALUES` values.
    """
    count, position = read_long(reading.buffer, position)
    stop = None
    if count < 0:
        count = -count
        size, position = read_length(reading.buffer, position)
        stop = position + size
    if count * item_bytes > reading.end - position:
        raise PacketCorrupt("the packet ends early")
    reading.values_left -= count * item_values
    if reading.values_left < 0:
        raise TooLarge(f"the packet holds more than {MAX_VALUES} values")
    return count, position, stop


def close_block(position: int, stop: int | None) -> None:
    """Hold a block to the size that it stated.

    Parameters
    ----------
    position : int
        Where its last item ended.
    stop : int or None
        Where it said that it would end, if it did.

    Raises
    ------
    PacketCorrupt
        If the two differ.
    """
    if stop is not None and stop != position:
        raise PacketCorrupt("the packet holds a block whose size is wrong")
