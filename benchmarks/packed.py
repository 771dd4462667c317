"""The packed store: alerts/s written, bytes per alert, time per lookup, and what a night of PUTs costs.

Packets are synthetic ones of `stamp_service.demo`, and beside them real ones of `../shared/data`, because how well
cutouts can be compressed is where the two differ most. A few dozen are written again and again, each time with an
alert id and, in files, a sync marker of its own. Only `put_many`, in portions of 500, is on the clock.

    python -m benchmarks.packed [--alerts 5000] [--nights 10 365] [--folder DIR]
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import orjson

from stamp_service.demo import demo_alerts, demo_schemas
from stamp_service.packets import Packet, encode_body, frame_ocf, frame_wire, recognise
from stamp_service.stores import FolderSchemas, PackedAlert, PackedStore
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.nights import NightIndex
from stamp_service.stores.packed.scanning import Place
from stamp_service.surveys import Survey, load_surveys

SURVEYS = load_surveys()
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "alerts"
PORTION, LOOKUPS = 500, 1000
# Amazon's price of a thousand PUTs, and what Rubin expects to publish in a night.
USD_PER_1000_PUTS, RUBIN_ALERTS = 0.005, 10_000_000
FIRST_ID = {"ztf": 820128985515010010, "atlas": 0, "lsst": 170055002004914000}


@dataclass(frozen=True)
class Kind:
    """Packets to multiply."""

    title: str
    survey: Survey
    packets: list[Packet]
    schemas: FolderSchemas


def with_id(survey: Survey, packet: Packet, number: int) -> tuple[str, bytes]:
    """Make another alert of a packet: same content, another id."""
    record = packet.record()
    alert_id = FIRST_ID[survey.name] + number
    field = survey.alert_id.fields[0].split(".")
    value: object = alert_id if survey.alert_id.type == "int64" else f"01a59897o0020c_{number:06d}"
    inner = record
    for name in field[:-1]:
        inner = inner[name]
    inner[field[-1]] = value
    body = encode_body(packet.schema, record)
    if packet.schema_id is not None:
        return str(value), frame_wire(packet.schema_id, body)
    dice = random.Random(number)
    return str(value), frame_ocf(packet.schema, body, sync_marker=dice.randbytes(16))


def night(kind: Kind, count: int) -> Iterator[PackedAlert]:
    for number in range(count):
        packet = kind.packets[number % len(kind.packets)]
        yield PackedAlert(kind.survey, *with_id(kind.survey, packet, number))


def kinds(folder: Path) -> Iterator[Kind]:
    for name, schema in demo_schemas().items():
        (folder / name).write_bytes(orjson.dumps(schema))
    schemas = FolderSchemas(folder)
    for name in ("ztf", "lsst"):
        packets = [Packet.parse(alert.packet, schemas) for alert in demo_alerts(name, objects=40)]
        yield Kind(f"{name}, synthetic", SURVEYS[name], packets, schemas)
    if SHARED.is_dir():
        real = FolderSchemas(SHARED / "lsst" / "schema")
        for name, pattern in (("ztf", "*.avro"), ("lsst", "*.wire")):
            found = [recognise(SURVEYS, file.read_bytes(), real).packet for file in (SHARED / name).glob(pattern)]
            yield Kind(f"{name}, real", SURVEYS[name], found, real)


def measure(kind: Kind, count: int, codec: str, folder: Path) -> None:
    store = PackedStore(folder, schemas=kind.schemas, max_packet_bytes=2**25, codec=codec)
    written_s, cpu_s, original, ids = 0.0, 0.0, 0, []
    alerts = night(kind, count)
    for _ in range(0, count, PORTION):
        portion = [alert for _, alert in zip(range(PORTION), alerts, strict=False)]
        started, cpu = time.perf_counter(), time.process_time()
        store.put_many(portion)
        written_s += time.perf_counter() - started
        cpu_s += time.process_time() - cpu
        original += sum(len(alert.packet) for alert in portion)
        ids += [alert.alert_id for alert in portion]
    store.flush(kind.survey)
    packs = [pack.stat().st_size for pack in (folder / "packs").rglob("*.avro")]
    asked = random.Random(3).choices(ids, k=LOOKUPS)
    times = []
    for _ in range(3):
        for alert_id in asked:
            started = time.perf_counter()
            store.get(kind.survey, alert_id)
            times.append(time.perf_counter() - started)
    store.close()
    kept = sum(packs) / len(ids)
    print(
        f"| {kind.title} | {codec} | {len(ids) / written_s:,.0f} | {len(ids) / cpu_s:,.0f} "
        f"| {original / len(ids):,.0f} | {kept:,.0f} | {statistics.median(times) * 1e3:.2f} |"
    )
    if kind.survey.name == "lsst":
        puts = RUBIN_ALERTS * kept / (64 * 2**20) * (2 + 1 / 64)
        print(
            f"{RUBIN_ALERTS:,} of these: {puts:,.0f} PUTs, {puts * USD_PER_1000_PUTS / 1000:.2f} $, "
            f"instead of {RUBIN_ALERTS * USD_PER_1000_PUTS / 1000:.0f} $"
        )


def measure_growth(nights: int, folder: Path) -> None:
    """Look ids up in an index of many nights: ids like ZTF's, like ATLAS's, and random ones."""
    first, dice = date(2019, 1, 1), random.Random(5)
    ids_of = {
        "ZTF": lambda night: [str(FIRST_ID["ztf"] + 10**15 * night + number) for number in range(400)],
        "ATLAS": lambda night: [f"0{number % 4 + 1}a{58000 + night}o{number:04d}c" for number in range(400)],
        "random": lambda _: [dice.randbytes(8).hex() for _ in range(400)],
    }
    for title, make in ids_of.items():
        index, ids, times = NightIndex(folder / title), [], []
        for number in range(nights):
            made = make(number)
            name = PackName((first + timedelta(days=number)).strftime("%Y%m%d"), bytes(16))
            index.add(name, [Place(alert_id, 1, 1) for alert_id in made])
            ids.append(made[number % 400])
        started = time.perf_counter()
        index.find(ids[0])
        opened_s = time.perf_counter() - started
        time.sleep(1.5)  # what changed within a second is looked at again
        index.find(ids[0])
        for alert_id in random.Random(4).choices(ids, k=300):
            started = time.perf_counter()
            if index.find(alert_id) is None:
                raise KeyError(alert_id)
            times.append(time.perf_counter() - started)
        index.close()
        median_ms = statistics.median(times) * 1e3
        print(f"{nights} nights, ids {title}: {median_ms:.3f} ms, {opened_s:.2f} s the first time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=5000)
    parser.add_argument("--nights", type=int, nargs="*", default=[10, 365, 1000])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print("| packets | codec | alerts/s | alerts/s of CPU | bytes | packed | ms per lookup |")
    print("|---|---|---|---|---|---|---|")
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        for kind in kinds(folder):
            for codec in ("zstandard", "deflate"):
                measure(kind, options.alerts, codec, folder / "packed")
                shutil.rmtree(folder / "packed")
        for nights in options.nights:
            measure_growth(nights, folder / f"{nights}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
