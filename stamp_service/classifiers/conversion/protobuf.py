"""The little of Protocol Buffers' encoding that the index of a checkpoint needs.

See https://protobuf.dev/programming-guides/encoding.
"""

from stamp_service.errors import ConfigurationError

# Of a 64-bit number, seven bits to a byte.
_LONGEST_VARINT = 10
# By wire type.
_FIXED_BYTES = {1: 8, 5: 4}


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """Read a number of seven bits to a byte, the lowest first.

    Parameters
    ----------
    data : bytes
        What it stands in.
    start : int
        Where.

    Returns
    -------
    tuple of int
        The number, and where it ends.

    Raises
    ------
    ConfigurationError
        If it does not end, is longer than 64 bits, or could be shorter, which nobody writes.
    """
    value = 0
    for place, octet in enumerate(data[start : start + _LONGEST_VARINT]):
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            if value >> 64 or (place and not octet):
                break
            return value, start + place + 1
    raise ConfigurationError("The checkpoint's index is damaged: a number in it does not end")


def read_message(data: bytes) -> dict[int, list[int | bytes]]:
    """Read a message.

    Parameters
    ----------
    data : bytes
        All of it.

    Returns
    -------
    dict of int to list of (int or bytes)
        The values of each field, by its number: the little-endian bytes of what has a fixed size or a length.

    Raises
    ------
    ConfigurationError
        If it is not a message.
    """
    fields: dict[int, list[int | bytes]] = {}
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        value: int | bytes
        if key & 7 == 0:
            value, position = read_varint(data, position)
        elif key & 7 in _FIXED_BYTES or key & 7 == 2:
            size = _FIXED_BYTES.get(key & 7)
            if size is None:
                size, position = read_varint(data, position)
            value = data[position : position + size]
            if len(value) < size:
                raise ConfigurationError("The checkpoint's index is damaged: an entry of it ends too early")
            position += size
        else:
            raise ConfigurationError("The checkpoint's index is damaged: an entry of it is not a message")
        fields.setdefault(key >> 3, []).append(value)
    return fields
