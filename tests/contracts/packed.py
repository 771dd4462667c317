"""Small packets, and a look at what a packed store keeps on disk."""

from collections import Counter

import fastavro

from stamp_service.errors import AlertNotFound
from stamp_service.packets import write_ocf
from stamp_service.stores.packed import PackedAlert

SCHEMA = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {"name": "x", "type": "bytes"},
    ],
}
FIRST_ID = 820128985515010000


def packet_of(number, size=300):
    """Make a packet that differs from all others; every third is none of AVRO's."""
    content = number.to_bytes(8, "big") * (size // 8)
    if number % 3 == 2:
        return b"verbatim" + content
    return write_ocf(SCHEMA, {"objectId": "ZTF18acuwwpp", "candid": FIRST_ID + number, "x": content})


def put_numbers(store, survey, numbers, size=300):
    """Put some of these packets, acknowledged together."""
    return store.put_many(
        PackedAlert(survey, str(FIRST_ID + number), packet_of(number, size)) for number in numbers
    )


def packs_of(folder):
    """List full packs."""
    return sorted((folder / "packs").rglob("*.avro"))


def spooled(folder):
    """List packs in the spool."""
    return sorted((folder / "spool").rglob("*.avro"))


def found_in(store, survey, numbers):
    """Fetch packets; gives the numbers of those that are there, all of them as they were put."""
    found = []
    for number in numbers:
        try:
            packet = store.get(survey, str(FIRST_ID + number))
        except AlertNotFound:
            continue
        assert packet == packet_of(number)
        found.append(number)
    return found


def stored_once(folder):
    """Count the copies of each alert in packs and spool, whatever any index says."""
    files = {file.name.partition(".")[0]: file for file in (*packs_of(folder), *spooled(folder))}
    counts = Counter()
    for file in files.values():
        with file.open("rb") as opened:
            counts.update(record["stamp_service"]["alert_id"] for record in fastavro.reader(opened))
    assert set(counts.values()) <= {1}
    return set(counts)
