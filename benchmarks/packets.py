"""One cutout out of a packet: this project's decoder against fastavro, on real alerts.

Each way starts from the packet's bytes. `reader` is `fastavro.reader`, which decodes everything and parses the
schema each time. `projected` is the best that fastavro does: the writer's schema and a reader's schema with
nothing but the cutout, both parsed once, and the body found by this project. `alert` compares the alert's id as
well. Outputs are compared first. Ways take turns, and the median of the rounds counts: the machine may be shared.

    python -m benchmarks.packets [--rounds 41] [--data ../shared/data]
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro

from stamp_service.packets import Alert, Packet, Schema, assemble_schema, open_alert, recognise
from stamp_service.surveys import Kind, load_surveys

ROOT = Path(__file__).resolve().parents[1]
KIND: Kind = "difference"
# From few to many entries of history, which stand before the cutouts (ZTF) or before and after (LSST).
PACKETS = {
    "ztf, 5 previous": "ztf/820128985515010010.avro",
    "ztf, 12 previous": "ztf/1105522281015015000.avro",
    "ztf, 67 previous": "ztf/1127561441415015002.avro",
    "ztf, 65 previous, 21 forced": "ztf/2475433850315015009.avro",
    "ztf, 11 previous, snappy": "ztf_snappy/000010510239033826.avro",
    "atlas, plain FITS": "atlas/02a59543o0040o_006230.avro",
    "atlas, gzipped FITS": "atlas/01a59897o0020c_000002.avro",
    "lsst, wire format": "lsst/7912941781254298.wire",
}
Way = Callable[[], object]


class SchemaFolder:
    """Rubin's schema, put together from its files once."""

    def __init__(self, folder: Path) -> None:
        parts = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.avsc"))]
        self._schema = assemble_schema(parts, "lsst.v9_0.alert")

    def schema(self, schema_id: int) -> Schema:  # noqa: ARG002 - the folder has one
        return self._schema


def projected(schema: dict[str, Any], root: str) -> Schema:
    """Cut a schema down to one top-level field."""
    fields = [field for field in fastavro.schema.expand_schema(schema)["fields"] if field["name"] == root]
    return fastavro.parse_schema({"type": "record", "name": schema["name"], "fields": fields})


def dig(record: dict[str, Any], path: str) -> object:
    """Walk a dotted path."""
    value: Any = record
    for name in path.split("."):
        value = None if value is None else value[name]
    return value


def ways(alert: Alert, schemas: SchemaFolder) -> dict[str, Way]:
    """List the ways to get at the cutout."""
    data, survey, alert_id = alert.packet.data, alert.survey, alert.alert_id
    (path,) = survey.cutouts[KIND].fields
    writer = fastavro.parse_schema(json.loads(json.dumps(alert.packet.schema)))
    reader = projected(json.loads(json.dumps(alert.packet.schema)), path.split(".")[0])
    wire = alert.packet.format == "wire"

    def read_all() -> object:
        file = io.BytesIO(data[5:] if wire else data)
        record = fastavro.schemaless_reader(file, writer, None) if wire else next(fastavro.reader(file))
        return dig(record, path)

    return {
        "get": lambda: Packet.parse(data, schemas).get(path),
        "alert": lambda: open_alert(survey, alert_id, data, schemas).cutout(KIND),
        "projected": lambda: dig(
            fastavro.schemaless_reader(io.BytesIO(Packet.parse(data, schemas).body()), writer, reader), path
        ),
        "reader": read_all,
    }


def measure(compared: dict[str, Way], rounds: int) -> dict[str, float]:
    """Time the ways in turn: the median over the rounds, in µs."""
    first, *others = (way() for way in compared.values())
    assert first
    assert all(other == first for other in others)
    times: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(rounds):
        for name, way in compared.items():
            repeats = 3 if name == "reader" else 20
            start = time.perf_counter()
            for _ in range(repeats):
                way()
            times[name].append((time.perf_counter() - start) / repeats * 1e6)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    surveys = load_surveys()
    alerts = options.data / "alerts"
    schemas = SchemaFolder(alerts / "lsst" / "schema")
    columns = ("get", "alert", "projected", "reader", "first get")
    print(f"{'one cutout, µs':28}" + "".join(f"{name:>11}" for name in columns) + "   ratios to get")
    for label, name in PACKETS.items():
        data = (alerts / name).read_bytes()
        alert = recognise(surveys, data, schemas)
        start = time.perf_counter()
        alert.packet.get(*alert.survey.cutouts[KIND].fields)
        once = (time.perf_counter() - start) * 1e6
        medians = measure(ways(alert, schemas), options.rounds)
        ratios = f"{medians['projected'] / medians['get']:8.1f} {medians['reader'] / medians['get']:8.1f}"
        print(f"{label:28}" + "".join(f"{value:11.1f}" for value in (*medians.values(), once)) + f"  {ratios}")
    print("ratios: projected / get, reader / get. first get: once per schema and process.")


if __name__ == "__main__":
    main()
