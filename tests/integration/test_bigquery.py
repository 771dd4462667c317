"""BigQuery through Google's own client against its REST calls: rows, partial failures, quotas, waits."""

import io
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fastavro
import pytest
from click.testing import CliRunner
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from stamp_service.alert_ingestion import Columns, TableTarget, batch_ingest_alerts, stream_ingest_alerts
from stamp_service.alert_ingestion.bigquery_tables import BigQueryPatience, BigQueryTables
from stamp_service.alert_ingestion.layouts import DEFAULT_COLUMNS
from stamp_service.cli import main
from stamp_service.errors import ConfigurationError, StoreTimeout, StoreUnavailable
from stamp_service.packets import recognise, write_ocf
from stamp_service.settings import Settings
from tests.integration.services.bigquery import DATASET, PROJECT, ApiError, BigQueryServer, running_bigquery

MODES = ("stream", "batch")
QUICK = BigQueryPatience(request_s=0.5, total_s=2.0, first_wait_s=0.02)


@pytest.fixture(scope="module")
def packets(shared_data: Path) -> list[bytes]:
    """All real alerts in container files."""
    return [file.read_bytes() for file in sorted((shared_data / "alerts").rglob("*.avro"))]


@pytest.fixture(scope="module")
def few(shared_data: Path) -> list[bytes]:
    """Half a dozen ZTF alerts of one schema."""
    return [file.read_bytes() for file in sorted((shared_data / "alerts/ztf").glob("2475433850315*.avro"))]


@pytest.fixture
def server() -> Iterator[BigQueryServer]:
    with running_bigquery() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def add(server: BigQueryServer, surveys) -> Callable[..., list[Any]]:
    """Put packets into the tables, as one batch."""

    def add(packets: list[bytes], mode="stream", columns: Columns = DEFAULT_COLUMNS, dataset=DATASET) -> list[Any]:
        client = bigquery.Client(
            project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url}
        )
        with closing(TableTarget(BigQueryTables(client, dataset, mode, QUICK), columns)) as target:
            return target.add([recognise(surveys, packet) for packet in packets])

    return add


def states(outcomes: list[Any]) -> dict[str, int]:
    return dict(Counter(outcome.state for outcome in outcomes))


def error(status: int, reason: str) -> ApiError:
    return ApiError(status, reason)


def same(value: Any, truth: Any) -> bool:
    """Compare as BigQuery keeps values: no list is null, and a table has what only other records have."""
    if isinstance(value, dict) and isinstance(truth, dict):
        return not truth.keys() - value.keys() and all(same(value[name], truth.get(name)) for name in value)
    if isinstance(value, list):
        return len(value) == len(truth or []) and all(map(same, value, truth or []))
    if isinstance(value, float) and math.isnan(value):
        return isinstance(truth, float) and math.isnan(truth)
    return value == truth


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_the_packets_records(mode, packets, surveys, server, add):
    outcomes = add(packets, mode, Columns(history=True, cutouts=True))
    assert states(outcomes) == {"added": len(packets)}
    for packet in packets:
        alert = recognise(surveys, packet)
        (truth,) = fastavro.reader(io.BytesIO(packet))
        key = int(alert.alert_id) if alert.survey.alert_id.type == "int64" else alert.alert_id
        assert same(server.rows(alert.survey.name)[key], truth | {"alert_id": key})
    assert set(server.tables) == {"ztf", "atlas", "lsst"}
    assert server.tables["ztf"].resource["clustering"] == {"fields": ["alert_id"]}


@pytest.mark.parametrize("mode", MODES)
def test_twice_is_once(mode, few, server, add):
    assert states(add(few[:3], mode)) == {"added": 3}
    assert states(add(few[2:] + few[:1] * 2, mode)) == {"added": len(few) - 3, "present": 3}
    assert len(server.rows("ztf")) == len(few)
    assert set(server.tables) == {"ztf"}


def test_loading_fills_in_history_and_cutouts(few, server, add):
    add(few, "batch", Columns(history=False))
    assert "prv_candidates" not in server.rows("ztf").popitem()[1]
    add(few, "batch", Columns(history=True, cutouts=True))
    rows = list(server.rows("ztf").values())
    assert all(row["cutoutScience"]["stampData"] for row in rows)
    assert any(row["prv_candidates"] for row in rows)


@pytest.mark.parametrize("mode", MODES)
def test_a_table_grows_with_its_surveys_schema(mode, shared_data, server, add):
    files = [shared_data / "alerts/ztf" / f"{name}.avro" for name in ("820128985515010010", "2695378462115010012")]
    old, new = (file.read_bytes() for file in files)
    add([old], mode)
    assert "fp_hists" not in {column["name"] for column in server.tables["ztf"].fields}
    # BigQuery goes on for a while without knowing the new column.
    server.unaware = 3 if mode == "stream" else 0
    assert states(add([new], mode)) == {"added": 1}
    assert server.calls["PATCH table"] == 1
    assert server.unaware == 0
    assert len(server.rows("ztf")[2695378462115010012]["fp_hists"]) > 0
    assert states(add([old], mode)) == {"present": 1}


def test_a_table_that_others_change_meanwhile_is_looked_at_again(shared_data, server, add):
    files = [shared_data / "alerts/ztf" / f"{name}.avro" for name in ("820128985515010010", "2695378462115010012")]
    old, new = (file.read_bytes() for file in files)
    add([old])

    def meddle(kind: str) -> None:
        if kind == "PATCH table" and server.calls[kind] == 1:
            server.tables["ztf"].version += 1

    server.before = meddle
    assert states(add([new])) == {"added": 1}
    assert server.calls["PATCH table"] == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "fault",
    [
        error(403, "rateLimitExceeded"),
        error(429, "rateLimitExceeded"),
        error(500, "internalError"),
        error(502, "badGateway"),
        error(503, "backendError"),
        "lost",
        "hang",
    ],
    ids=lambda fault: fault if isinstance(fault, str) else f"{fault.status}",
)
def test_what_passes_is_repeated_and_adds_nothing_twice(mode, fault, few, server, add):
    kinds = ["GET table", "POST table", "insertAll"]
    if mode == "batch":
        kinds = ["GET table", "POST table", "start", "upload", "GET job", "queries", "DELETE table"]
    server.faults = {kind: [fault] for kind in kinds}
    assert states(add(few, mode)) in ({"added": len(few)}, {"present": len(few)})
    assert len(server.rows("ztf")) == len(few)
    assert set(server.tables) == {"ztf"}
    assert server.faults == {kind: [] for kind in kinds}


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        (error(403, "rateLimitExceeded"), StoreUnavailable, "quota"),
        (error(429, "rateLimitExceeded"), StoreUnavailable, "quota"),
        (error(403, "quotaExceeded"), StoreUnavailable, "quota"),
        (error(503, "backendError"), StoreUnavailable, "refused a request"),
        (error(403, "accessDenied"), ConfigurationError, "credentials"),
        ("hang", StoreTimeout, "in time"),
        ("lost", StoreUnavailable, "reached"),
    ],
    ids=lambda value: f"{value.status}-{value}" if isinstance(value, ApiError) else None,
)
@pytest.mark.parametrize("kind", ["insertAll", "start"])
def test_what_does_not_pass_is_said(kind, fault, expected, words, few, server, add):
    server.faults = {kind: [fault] * 1000}
    with pytest.raises(expected, match=words) as caught:
        add(few, "stream" if kind == "insertAll" else "batch")
    assert server.url not in str(caught.value)
    assert set(server.tables) == {"ztf"}
    server.faults.clear()
    # The same again is right.
    add(few, "stream" if kind == "insertAll" else "batch")
    assert len(server.rows("ztf")) == len(few)


def test_rows_that_are_refused_stop_no_others(few, surveys, server, add):
    ids = [recognise(surveys, packet).alert_id for packet in few]
    server.row_errors = {ids[0]: ["invalid"], ids[1]: ["backendError", "timeout"], ids[2]: ["stopped"]}
    outcomes = add(few)
    assert [outcome.state for outcome in outcomes] == ["refused", *["added"] * (len(few) - 1)]
    assert outcomes[0].kind == "BigQuery: invalid: no"
    assert ids[0] in outcomes[0].reason
    assert set(server.rows("ztf")) == set(map(int, ids[1:]))


def test_rows_that_never_pass_are_unavailable(few, surveys, server, add):
    server.row_errors = {recognise(surveys, few[0]).alert_id: ["backendError"] * 1000}
    with pytest.raises(StoreUnavailable, match="did not take all rows"):
        add(few)
    server.row_errors.clear()
    assert states(add(few)) == {"added": 1, "present": len(few) - 1}


def test_a_row_that_no_job_loads_is_found_and_refused(few, surveys, server, add):
    ids = [int(recognise(surveys, packet).alert_id) for packet in few]
    server.poison = {ids[2]}
    outcomes = add(few, "batch")
    assert [outcome.state for outcome in outcomes].index("refused") == 2
    assert set(server.rows("ztf")) == set(ids) - {ids[2]}
    assert set(server.tables) == {"ztf"}


def test_a_job_that_fails_for_a_while_is_repeated(few, server, add):
    server.job_errors = ["backendError", "rateLimitExceeded"]
    assert states(add(few, "batch")) == {"added": len(few)}
    assert server.calls["upload"] == 3


def odd_packet(candid: int, kind: Any, value: Any, name: str = "odd") -> bytes:
    position = {"type": "record", "name": "p", "fields": [{"name": n, "type": "double"} for n in ("ra", "dec")]}
    fields = [("objectId", "string"), ("candid", "long"), ("candidate", position), (name, kind)]
    schema = {"type": "record", "name": "a", "fields": [{"name": n, "type": k} for n, k in fields]}
    record = {"objectId": "ZTF18aaaaaaa", "candid": candid, "candidate": {"ra": 1.0, "dec": math.nan}, name: value}
    return write_ocf(schema, record)


@pytest.mark.parametrize("mode", MODES)
def test_odd_numbers_stay_what_they_are(mode, server, add):
    largest = 2**63 - 1
    values = [math.nan, math.inf, -math.inf, 5e-324, None]
    packets = [odd_packet(largest - n, ["null", "double"], value) for n, value in enumerate(values)]
    assert states(add(packets, mode)) == {"added": len(values)}
    rows = server.rows("ztf")
    assert [repr(rows[largest - n]["odd"]) for n in range(len(values))] == [repr(value) for value in values]
    assert all(math.isnan(row["candidate"]["dec"]) and row["candid"] == key for key, row in rows.items())


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ({"type": "map", "values": "int"}, {"a": 1}, "odd"),
        ({"type": "array", "items": {"type": "array", "items": "int"}}, [[1]], "odd"),
        ("int", 1, "_PARTITIONTIME"),
        ("int", 1, "_table_x"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_columns_that_bigquery_has_not_are_refused(mode, kind, value, name, few, add):
    outcomes = add([odd_packet(1, kind, value, name)], mode)
    assert [(outcome.state, outcome.kind) for outcome in outcomes] == [
        ("refused", "a table cannot hold what its schema says")
    ]
    assert states(add(few, mode)) == {"added": len(few)}


def test_unlike_types_are_refused(few, add):
    add([odd_packet(1, "int", 1)])
    assert states(add([odd_packet(2, "string", "x")])) == {"refused": 1}
    assert states(add([odd_packet(3, {"type": "array", "items": "int"}, [1])])) == {"refused": 1}
    assert states(add([odd_packet(4, "long", 2**60)])) == {"added": 1}


def test_requests_are_as_large_as_bigquery_takes(few, server, add):
    many = [odd_packet(number + 1, "string", "x" * 900_000) for number in range(25)]
    assert states(add(many)) == {"added": 25}
    assert server.calls["insertAll"] == 3


@pytest.mark.parametrize("name", ["", "a.b", "a-b", "x`; DROP TABLE y", "../up", "a b", "ü", "x" * 1025])
def test_hostile_names_of_datasets_are_refused(name, few, server, add):
    with pytest.raises(ConfigurationError, match="dataset"):
        add(few, dataset=name)
    assert not server.calls


def test_a_dataset_that_is_not_there_is_said(few, add):
    with pytest.raises(ConfigurationError, match="BigQuery has no dataset elsewhere"):
        add(few, dataset="elsewhere")


def test_settings_lead_to_bigquery(few, server, tmp_path):
    settings = Settings(data_dir=tmp_path, bigquery_project=PROJECT, bigquery_url=server.url)
    assert str(stream_ingest_alerts(2, packets=few, settings=settings)) == f"added {len(few)}"
    assert str(batch_ingest_alerts(4, packets=few, settings=settings)) == f"added 0, {len(few)} were there already"
    assert not (tmp_path / "stamps.duckdb").exists()
    with pytest.raises(ConfigurationError, match="project"):
        stream_ingest_alerts(packets=few, settings=settings.model_copy(update={"bigquery_project": "x`y"}))


def test_the_command_leads_to_bigquery(shared_data, server, tmp_path):
    environment = {
        "STAMP_DATA_DIR": str(tmp_path),
        "STAMP_BIGQUERY_PROJECT": PROJECT,
        "STAMP_BIGQUERY_URL": server.url,
    }
    words = ["ingest", "--to", "bigquery", str(shared_data / "alerts/atlas")]
    for more, said in (([], "added 10; "), (["--stream"], "added 0, 10 were there already; ")):
        result = CliRunner().invoke(main, [*words, *more], env=environment)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(said)
