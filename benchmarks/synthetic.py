"""Any number of synthetic alerts, made of a few."""

from collections.abc import Iterator
from itertools import islice

from stamp_service.demo import demo_alerts


def varint(value: int) -> bytes:
    """Write a positive number as AVRO does."""
    value <<= 1
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def many_alerts(count: int) -> Iterator[tuple[int, bytes]]:
    """Give a hundred ZTF packets again and again, with other ids each time; they keep their length."""
    known = [(int(alert.alert_id), alert.packet) for alert in islice(demo_alerts("ztf", objects=40), 100)]
    for number in range(count):
        first_id, packet = known[number % len(known)]
        alert_id = first_id + 10**9 * (number // len(known))
        yield alert_id, packet.replace(varint(first_id), varint(alert_id))
