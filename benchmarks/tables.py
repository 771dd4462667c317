"""Alerts into DuckDB tables: a stream of small transactions, and large batches; anew, and a second time.

Synthetic nights are real ZTF packets in turn, each under an id of its own. Decoding alone is measured as well: it
is what every way of ingesting has to do first. Each run is a file of its own.

    python -m benchmarks.tables [--alerts 5000] [--rounds 3] [--data ../shared/data]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

from stamp_service.alert_ingestion import Columns, SourcePacket, TableTarget, ingest
from stamp_service.alert_ingestion.duckdb_tables import DuckDbTables
from stamp_service.alert_ingestion.rows import RowReader
from stamp_service.packets import Packet, encode_body, frame_ocf, recognise
from stamp_service.surveys import load_surveys

ROOT = Path(__file__).resolve().parents[1]
WAYS = {"stream, 10 at a time": 10, "stream, 100 at a time": 100, "batch, 2000 at a time": 2000}


def make_packets(data: Path, alerts: int) -> list[bytes]:
    """Give real packets of one schema version new ids; without cutouts, which tables do not get."""
    files = sorted((data / "alerts/ztf").glob("2475*.avro"))
    packets = [Packet.parse(file.read_bytes()) for file in files]
    made = []
    for number, packet in enumerate(islice(cycle(packets), alerts)):
        record = packet.record() | {"candid": 10**17 + number}
        made.append(frame_ocf(packet.schema, encode_body(packet.schema, record)))
    return made


def named(packets: list[bytes]) -> Iterator[SourcePacket]:
    return (SourcePacket(packet, str(number)) for number, packet in enumerate(packets))


def decode(packets: list[bytes], columns: Columns) -> None:
    surveys, reader = load_surveys(), RowReader(columns)
    for start in range(0, len(packets), 2000):
        reader.read([recognise(surveys, packet) for packet in packets[start : start + 2000]])


def put(path: Path, packets: list[bytes], columns: Columns, size: int) -> None:
    with closing(TableTarget(DuckDbTables(path), columns)) as target:
        for _ in ingest(named(packets), target, load_surveys(), num_alerts=size):
            pass


def rate(count: int, run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    asked = parser.parse_args()
    packets = make_packets(asked.data, asked.alerts)
    for words, columns in (("without history", Columns(history=False)), ("with history", Columns(history=True))):
        rates: dict[str, list[float]] = {}
        for _ in range(asked.rounds):
            speed = rate(len(packets), lambda columns=columns: decode(packets, columns))
            rates.setdefault("decoding alone", []).append(speed)
            for way, size in WAYS.items():
                some = packets[: size * 100]
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "stamps.duckdb"
                    for label in (way, f"{way}, again"):
                        speed = rate(
                            len(some),
                            lambda path=path, some=some, columns=columns, size=size: put(
                                path, some, columns, size
                            ),
                        )
                        rates.setdefault(label, []).append(speed)
        print(f"{words}: alerts/s, median of {asked.rounds} ({min(len(packets), asked.alerts)} alerts)")
        for label, found in rates.items():
            print(f"  {label:32} {statistics.median(found):7.0f}")


if __name__ == "__main__":
    main()
