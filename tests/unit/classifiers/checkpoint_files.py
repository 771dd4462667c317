"""Writes TensorFlow checkpoints, slowly and with nothing of ours: what the reader is tested with."""

import struct
from dataclasses import dataclass, field

import numpy as np

MAGIC = 0xDB4775248B80FB57
FLOAT, DOUBLE, STRING, INT64 = 1, 2, 7, 9
TYPES = {np.dtype("f4"): FLOAT, np.dtype("f8"): DOUBLE, np.dtype("i8"): INT64}


def _crc_table():
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    """One byte after the other."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = CRC_TABLE[(crc ^ octet) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def block(entries, *, kind=0, restart_every=16):
    """A block with its trailer; keys share their beginnings with the key before, except at restarts."""
    body, restarts, before = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % restart_every == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    body += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    body += bytes([kind])
    return body + struct.pack("<I", masked(body))


def table(entries, *, of_a_block=8, kind=0):
    """An index file."""
    some = [entries[start : start + of_a_block] for start in range(0, len(entries), of_a_block)]
    return assemble([(part[-1][0], block(part, kind=kind)) for part in some])


def assemble(blocks):
    """An index file of these blocks, each with its last key."""
    data, handles, footer = b"", [], b""
    for key, written in blocks:
        handles.append((key, varint(len(data)) + varint(len(written) - 5)))
        data += written
    for part in (block([]), block(handles, restart_every=1)):
        footer += varint(len(data)) + varint(len(part) - 5)
        data += part
    return data + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def message(*fields):
    """A message of numbers, of bytes, and of `struct` formats with a number, as `fixed32`."""
    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        elif isinstance(value, bytes):
            data += varint(number << 3 | 2) + varint(len(value)) + value
        else:
            data += varint(number << 3 | 5) + struct.pack("<I", value[0])
    return data


def shape_message(shape):
    return message(*((2, message((1, side))) for side in shape))


@dataclass
class Checkpoint:
    """What a checkpoint's files are made of; each thing may be spoilt before they are written."""

    tensors: dict
    header: dict = field(default_factory=lambda: {1: 1, 3: message((1, 1))})
    # By tensor: fields of its entry to replace, or to leave out where None.
    spoilt: dict = field(default_factory=dict)
    of_a_block: int = 8
    kind: int = 0

    def files(self):
        """Return index and data."""
        entries, data = [(b"", message(*self.header.items()))], b""
        for name in sorted(self.tensors):
            array = np.asarray(self.tensors[name])
            raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
            fields = {
                1: TYPES[array.dtype],
                2: shape_message(array.shape),
                4: len(data),
                5: len(raw),
                6: (masked(raw),),
            } | self.spoilt.get(name, {})
            entries.append((name.encode(), message(*((k, v) for k, v in fields.items() if v is not None))))
            data += raw
        return table(entries, of_a_block=self.of_a_block, kind=self.kind), data


def small_network(features=0, kernel_px=3, classes=5, seed=0):
    """The tensors of a stamp classifier of few channels, as TensorFlow names them."""
    rng = np.random.default_rng(seed)

    def layer(name, *shape):
        return {
            f"network/{name}/kernel": rng.normal(0, 0.3, shape).astype("f4"),
            f"network/{name}/bias": rng.normal(0, 0.3, shape[-1:]).astype("f4"),
        }

    k, first = kernel_px, 10 if features else 9
    tensors = layer("conv_1_1/conv2d", 4, 4, 3, 2)
    tensors |= layer("conv_2_2/conv2d", k, k, 2, 2) | layer("conv_3_4/conv2d", k, k, 2, 3)
    tensors |= layer("conv_4_5/conv2d", k, k, 3, 3) | layer("conv_5_6/conv2d", k, k, 3, 3)
    tensors |= layer(f"dense_1_{first}/dense_1_{first}", 108, 4)
    if features:
        tensors |= layer("dense_2_12/dense_2_12", 4 + features, 6) | layer("dense_3_13/dense_3_13", 6, 4)
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            tensors[f"network/batchnorm_features/{name}"] = rng.uniform(0.5, 1, features).astype("f4")
    else:
        tensors |= layer("dense_2_10/dense_2_10", 4, 4)
    tensors |= layer("output_logits", 4, classes)
    return tensors | {"optimizer/beta1_power": np.float32(0.9)}
