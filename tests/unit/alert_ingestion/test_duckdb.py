"""Every real alert in DuckDB: rows are the packets' records, whatever is repeated, widened or killed."""

import io
import json
import math
import threading
from collections import Counter
from typing import Any

import fastavro
import pytest

from stamp_service.alert_ingestion import Columns, TableTarget
from stamp_service.alert_ingestion.duckdb_tables import DuckDbTables
from stamp_service.errors import StoreUnavailable
from stamp_service.packets import Packet, frame_ocf, recognise, write_ocf
from tests.unit.alert_ingestion.conftest import differences, opened, rows_of

HISTORY = {"prv_candidates", "fp_hists", "prvDiaSources", "prvDiaForcedSources", "prvDiaNondetectionLimits"}


def truth_of(packet: bytes) -> dict[str, Any]:
    (record,) = fastavro.reader(io.BytesIO(packet))
    return record


def states(outcomes) -> Counter[str]:
    return Counter(outcome.state for outcome in outcomes)


def ztf_schema(*more: dict[str, Any], candid: Any = "long") -> dict[str, Any]:
    """The least that makes an alert one of ZTF's."""
    candidate = {
        "type": "record",
        "name": "candidate",
        "fields": [{"name": name, "type": kind} for name, kind in [("ra", "double"), ("dec", "double")]],
    }
    fields = [{"name": "objectId", "type": "string"}, {"name": "candid", "type": candid}]
    return {
        "type": "record",
        "name": "alert",
        "fields": [*fields, {"name": "candidate", "type": candidate}, *more],
    }


def ztf_packet(candid: int, *more: tuple[str, Any, Any]) -> bytes:
    record = {"objectId": "ZTF18aaaaaaa", "candid": candid, "candidate": {"ra": 1.0, "dec": 2.0}}
    schema = ztf_schema(*({"name": name, "type": kind} for name, kind, _ in more))
    return write_ocf(schema, record | {name: value for name, _, value in more})


def test_rows_are_the_packets_records(packets, surveys, ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    outcomes = ingest_all(path, packets, Columns(history=True, cutouts=True))
    assert states(outcomes) == {"added": len(packets)}
    tables = {name: rows_of(path, name) for name in ("ztf", "atlas", "lsst")}
    assert sum(map(len, tables.values())) == len(packets)
    for packet in packets:
        alert = recognise(surveys, packet)
        numeric = alert.survey.alert_id.type == "int64"
        row = tables[alert.survey.name][int(alert.alert_id) if numeric else alert.alert_id]
        row = {name: value for name, value in row.items() if name != "alert_id"}
        assert differences(row, truth_of(packet)) == []


def test_what_is_compared_can_differ(packets):
    truth = truth_of(packets[-1])
    assert differences({}, {"a": 1}) == [".a is missing"]
    assert differences({"a": 1, "b": 2}, {"a": 1}) == [".b: 2 is not None"]
    assert differences({"a": [1, 2]}, {"a": [1]}) != []
    assert differences(truth, truth) == []


def test_twice_is_once(some_packets, ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    ingest_all(path, some_packets)
    before = rows_of(path, "ztf")
    assert states(ingest_all(path, some_packets[::-1], size=40)) == {"present": len(some_packets)}
    assert repr(rows_of(path, "ztf")) == repr(before)


def test_an_alert_that_is_in_a_batch_twice_is_added_once(packets, ingest_all, tmp_path):
    outcomes = ingest_all(tmp_path / "stamps.duckdb", [packets[0], packets[1], packets[0]])
    assert [outcome.state for outcome in outcomes] == ["added", "added", "present"]


def test_history_and_cutouts_are_there_by_choice_and_are_filled_in_later(some_packets, ingest_all, tmp_path):
    path, packets = tmp_path / "stamps.duckdb", some_packets
    ingest_all(path, packets, Columns(history=False))
    columns = set(next(iter(rows_of(path, "ztf").values()))) | set(next(iter(rows_of(path, "lsst").values())))
    assert not columns & (HISTORY | {"cutoutScience", "cutoutDifference"})
    ingest_all(path, packets, Columns(history=True))
    assert any(row["prv_candidates"] for row in rows_of(path, "ztf").values())
    ingest_all(path, packets, Columns(history=False, cutouts=True))
    assert states(ingest_all(path, packets, Columns(history=False))) == {"present": len(packets)}
    whole = tmp_path / "whole.duckdb"
    ingest_all(whole, packets, Columns(history=True, cutouts=True))
    for survey in ("ztf", "atlas", "lsst"):
        expected = rows_of(whole, survey)
        assert [differences(row, expected[key]) for key, row in rows_of(path, survey).items()] == [[]] * len(
            expected
        )


def test_a_table_grows_with_its_surveys_schema(some_packets, surveys, ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    versions: dict[str, list[bytes]] = {}
    for packet in some_packets:
        alert = recognise(surveys, packet)
        if alert.survey.name == "ztf":
            versions.setdefault(str(alert.packet.get("schemavsn")), []).append(packet)
    assert {"3.2", "3.3", "4.01", "4.02"} <= set(versions)
    ingest_all(path, versions["3.2"])
    assert "fp_hists" not in next(iter(rows_of(path, "ztf").values()))
    ingest_all(path, versions["4.02"])
    ingest_all(path, versions["3.3"])
    rows = rows_of(path, "ztf")
    for packet in versions["3.2"] + versions["3.3"] + versions["4.02"]:
        alert_id = int(recognise(surveys, packet).alert_id)
        truth = {name: value for name, value in truth_of(packet).items() if not name.startswith("cutout")}
        assert differences(rows[alert_id], truth | {"alert_id": alert_id}) == []


def test_numbers_grow_wider_and_unlike_types_are_refused(ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    ingest_all(path, [ztf_packet(1, ("n", ["null", "int"], 7), ("f", "float", 0.5))])
    ingest_all(path, [ztf_packet(2, ("n", "long", 2**62), ("f", "double", 0.1))])
    ingest_all(path, [ztf_packet(3, ("n", "int", -1), ("f", "float", math.nan))])
    (odd,) = ingest_all(path, [ztf_packet(4, ("n", "string", "x"))])
    assert (odd.state, odd.kind) == ("refused", "a table cannot hold what its schema says")
    (lossy,) = ingest_all(path, [ztf_packet(5, ("n", "double", 0.5))])
    assert lossy.state == "refused"
    rows = rows_of(path, "ztf")
    assert [rows[key]["n"] for key in (1, 2, 3)] == [7, 2**62, -1]
    assert [rows[key]["f"] for key in (1, 2)] == [0.5, 0.1]
    assert math.isnan(rows[3]["f"])


def test_nan_null_infinity_and_large_integers_stay_what_they_are(ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    largest = 2**63 - 1
    kinds = ["null", "double"]
    values = [math.nan, None, math.inf, -math.inf, -0.0, 5e-324]
    ingest_all(path, [ztf_packet(largest - number, ("x", kinds, value)) for number, value in enumerate(values)])
    rows = rows_of(path, "ztf")
    assert [repr(rows[largest - number]["x"]) for number in range(len(values))] == [
        repr(value) for value in values
    ]
    assert [row["candid"] for row in rows.values()] == list(rows)


@pytest.mark.parametrize("name", ["select", "Order", "table", "rowid", "_PARTITIONTIME", "x" * 300])
def test_fields_may_be_called_as_statements_are(name, ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    nested = {"type": "record", "name": "r", "fields": [{"name": name, "type": "int"}]}
    ingest_all(path, [ztf_packet(1)])
    outcomes = ingest_all(path, [ztf_packet(2, (name, "int", 5), ("nested", nested, {name: 6}))])
    assert states(outcomes) == {"added": 1}
    row = rows_of(path, "ztf")[2]
    assert (row[name], row["nested"]) == (5, {name: 6})


@pytest.mark.parametrize(
    "names",
    [['x"; DROP TABLE ztf; --'], ["a.b"], [""], ["x" * 301], ["Ra", "RA"], ["objectid"], ["alert_id"], ["`x`"]],
)
def test_fields_that_no_table_can_have_are_refused(names, ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    ingest_all(path, [ztf_packet(1)])
    packet = ztf_packet(2, *((f"dummy{number}", "int", 5) for number in range(len(names))))
    for number, name in enumerate(names):
        packet = rename(packet, f"dummy{number}", name)
    (outcome,) = ingest_all(path, [packet])
    assert (outcome.state, outcome.kind) == ("refused", "a table cannot hold what its schema says")
    assert set(rows_of(path, "ztf")) == {1}


def rename(packet: bytes, old: str, new: str) -> bytes:
    """Rename a field in a container's schema, whose length the header says before it."""
    parsed = Packet.parse(packet)
    schema = json.loads(json.dumps(parsed.schema).replace(json.dumps(old), json.dumps(new)))
    return frame_ocf(schema, parsed.body())


def test_a_damaged_packet_is_refused_and_the_others_are_added(packets, surveys, ingest_all, tmp_path):
    good = [packet for packet in packets if recognise(surveys, packet).survey.name == "atlas"][:2]
    whole = recognise(surveys, good[0])
    damaged = frame_ocf(whole.packet.schema, whole.packet.body()[:-40])
    outcomes = ingest_all(tmp_path / "stamps.duckdb", [good[1], damaged])
    assert [outcome.state for outcome in outcomes] == ["added", "refused"]
    assert outcomes[1].kind == "it is no alert of these surveys, or damaged"


def test_rows_can_be_queried_while_more_are_added(packets, surveys, tmp_path):
    tables = DuckDbTables(tmp_path / "stamps.duckdb")
    target = TableTarget(tables)
    alerts = [recognise(surveys, packet) for packet in packets if b"ZTF" in packet[:20000]]
    for count, alert in enumerate(alerts[:3], 1):
        target.add([alert])
        assert tables.cursor().sql("SELECT count(*) FROM ztf").fetchall() == [(count,)]
    target.close()
    target.close()


def test_threads_share_the_tables(packets, surveys, tmp_path):
    tables = DuckDbTables(tmp_path / "stamps.duckdb")
    alerts = [recognise(surveys, packet) for packet in packets[:30]]
    outcomes: list[Any] = []

    def work() -> None:
        target = TableTarget(tables)
        for start in range(0, len(alerts), 10):
            outcomes.extend(target.add(alerts[start : start + 10]))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    tables.close()
    assert states(outcomes) == {"added": 30, "present": 60}


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / "stamps.duckdb").write_bytes(b"x" * 10000)
    with pytest.raises(StoreUnavailable) as caught:
        DuckDbTables(tmp_path / "stamps.duckdb")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(StoreUnavailable):
        DuckDbTables(tmp_path / "stamps.duckdb" / "below")


def test_the_readme_query_works(packets, ingest_all, tmp_path):
    path = tmp_path / "stamps.duckdb"
    ingest_all(path, packets[::4])
    with opened(path) as tables:
        bright = tables.sql(
            "SELECT objectId, candidate.magpsf, len(prv_candidates) FROM ztf WHERE candidate.magpsf < 18"
        ).fetchall()
        detections = tables.sql(
            "SELECT alert_id, p.jd, p.magpsf FROM (SELECT alert_id, unnest(prv_candidates) AS p FROM ztf) "
            "ORDER BY p.jd LIMIT 5"
        ).fetchall()
    assert bright
    assert len(detections) == 5
