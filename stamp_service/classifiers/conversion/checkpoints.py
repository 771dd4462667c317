"""TensorFlow's V2 checkpoints, read with numpy alone.

An index (a table of tensor names and where they are) and the raw tensors. What the messages in it mean is in
tensorflow/core/protobuf/tensor_bundle.proto.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.conversion.crc32c import masked_crc32c
from stamp_service.classifiers.conversion.protobuf import read_message
from stamp_service.classifiers.conversion.tables import read_table
from stamp_service.errors import ConfigurationError

# TensorFlow's numbers of types; a checkpoint of a network may hold counters besides.
_TYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
}
_MAX_DIMENSIONS = 8

# Of any of these types.
Tensor = NDArray[Any]
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a tensor is."""

    name: str
    type: int
    shape: tuple[int, ...]
    start: int
    size: int
    crc: bytes


def read_checkpoint(index: bytes, data: bytes) -> Tensors:
    """Read the tensors of a checkpoint.

    Parameters
    ----------
    index : bytes
        The file that ends in `.index`.
    data : bytes
        The file that ends in `.data-00000-of-00001`.

    Returns
    -------
    dict of str to numpy.ndarray
        The tensors by name.

    Raises
    ------
    ConfigurationError
        If either file is damaged, they do not belong together, or it is a kind of checkpoint that is not read: of
        several data files, big-endian, or with tensors in slices or of odd types.
    """
    table = read_table(index)
    header = read_message(table.pop(b"", b""))
    if _number(header, 1) != 1:
        raise ConfigurationError("The checkpoint is not of one data file")
    if _number(header, 2):
        raise ConfigurationError("The checkpoint is big-endian")
    entries = [_read_entry(name, value) for name, value in table.items()]
    if not entries:
        raise ConfigurationError("The checkpoint is empty")
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.size)):
        if entry.start != end:
            raise ConfigurationError("The checkpoint's index is damaged: its tensors do not follow each other")
        end += entry.size
    if end != len(data):
        raise ConfigurationError("The checkpoint's data is truncated, or is another checkpoint's")
    return {entry.name: _read_tensor(entry, data) for entry in entries}


def _number(message: Mapping[int, list[int | bytes]], field: int) -> int:
    value = message.get(field, [0])[-1]
    if not isinstance(value, int):
        raise ConfigurationError("The checkpoint's index is damaged: an entry of it is of another kind")
    return value


def _texts(message: Mapping[int, list[int | bytes]], field: int) -> list[bytes]:
    values = message.get(field, [])
    if any(isinstance(value, int) for value in values):
        raise ConfigurationError("The checkpoint's index is damaged: an entry of it is of another kind")
    return [value for value in values if isinstance(value, bytes)]


def _read_entry(name: bytes, value: bytes) -> _Entry:
    message = read_message(value)
    shape = tuple(
        _number(read_message(dimension), 1)
        for part in _texts(message, 2)
        for dimension in _texts(read_message(part), 2)
    )
    crc = _texts(message, 6)
    if 7 in message or _number(message, 3):
        raise ConfigurationError("The checkpoint has tensors in slices or in several data files")
    if len(shape) > _MAX_DIMENSIONS or 0 in shape or len(crc) != 1:
        raise ConfigurationError("The checkpoint's index is damaged: an entry of it is not a tensor's")
    return _Entry(
        name.decode("utf-8", "replace"),
        _number(message, 1),
        shape,
        _number(message, 4),
        _number(message, 5),
        crc[0],
    )


def _read_tensor(entry: _Entry, data: bytes) -> Tensor:
    kind = _TYPES.get(entry.type)
    if kind is None:
        raise ConfigurationError(f"The checkpoint's tensor {entry.name} is not of numbers")
    # Python's integers, so that no size is too large to be compared.
    if entry.size != math.prod(entry.shape) * kind.itemsize:
        raise ConfigurationError(f"The checkpoint's tensor {entry.name} is not as large as its shape says")
    raw = memoryview(data)[entry.start : entry.start + entry.size]
    if masked_crc32c(raw) != int.from_bytes(entry.crc, "little"):
        raise ConfigurationError(f"The checkpoint's tensor {entry.name} is damaged: its checksum is wrong")
    return np.frombuffer(raw, kind).reshape(entry.shape)
