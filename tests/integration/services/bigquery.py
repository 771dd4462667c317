"""A server that answers BigQuery's REST calls: tables, `insertAll`, Parquet load jobs, and two statements.

What Google's API documents and this service relies on is as it is there: etags, row ids, errors by row, resumable
uploads. Values are held as what their column's type makes of the JSON that came.
"""

import base64
import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq

PROJECT = "tests-project"
DATASET = "stamps"
_MAX_INSERT_BYTES = 10_000_000
_TABLE = re.compile(rf"/bigquery/v2/projects/{PROJECT}/datasets/(\w+)/tables(?:/(\w+))?(/insertAll)?")
_MERGE = re.compile(
    r"MERGE `([^`]+)` AS old USING `([^`]+)` AS new ON old.alert_id = new.alert_id"
    r"(?: WHEN MATCHED AND .* THEN UPDATE SET (.*))? WHEN NOT MATCHED THEN INSERT \((.*)\) VALUES \((.*)\)"
)
_SELECT = re.compile(r"SELECT alert_id FROM `([^`]+)` WHERE alert_id IN UNNEST\(@ids\)")


class ApiError(Exception):
    """An answer that is an error, as the API writes it."""

    def __init__(self, status: int, reason: str, message: str = "no") -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {
                "code": status,
                "message": message,
                "errors": [{"reason": reason, "domain": "global", "message": message}],
            }
        }


@dataclass
class Table:
    """A table: its columns, and rows as Python's values."""

    resource: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    row_ids: set[str] = field(default_factory=set)
    version: int = 0

    @property
    def fields(self) -> list[dict[str, Any]]:
        return self.resource["schema"]["fields"]

    def shown(self) -> dict[str, Any]:
        return self.resource | {"etag": f'"{self.version}"'}


class BigQueryServer(ThreadingHTTPServer):
    """The API of a project with one dataset."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tables: dict[str, Table] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        # What happens to the next requests of a kind, before (or, if `lost`, after) they are done.
        self.faults: dict[str, list[ApiError | str]] = {}
        # What the next looks at a row say, by its id.
        self.row_errors: dict[str, list[str]] = {}
        self.job_errors: list[str] = []
        # Ids whose rows no load job takes.
        self.poison: set[object] = set()
        # How many more insertAll requests do not know of columns that were added to a table.
        self.unaware = 0
        self.complaints: list[str] = []
        self.lock = threading.RLock()
        self.before: Callable[[str], None] | None = None

    def rows(self, table: str) -> dict[object, dict[str, Any]]:
        """Rows by their ids; an id that is there twice is an error."""
        rows = self.tables[table].rows
        by_id = {row["alert_id"]: row for row in rows}
        assert len(by_id) == len(rows), "an alert is there twice"
        return by_id

    def named(self, name: str) -> Table:
        project, dataset, table = name.split(".")
        if project != PROJECT or dataset != DATASET or table not in self.tables:
            raise ApiError(404, "notFound", f"Not found: Table {name}")
        return self.tables[table]

    def insert(self, table: Table, request: dict[str, Any]) -> dict[str, Any]:
        errors = []
        known = table.fields[: -1 if self.unaware else None]
        self.unaware = max(0, self.unaware - 1)
        for index, item in enumerate(request["rows"]):
            scripted = self.row_errors.get(item["insertId"])
            try:
                if scripted:
                    raise ApiError(200, scripted.pop(0))
                row = typed_row(known, item["json"])
            except ApiError as error:
                (first,) = error.body["error"]["errors"]
                errors.append({"index": index, "errors": [first]})
                continue
            if item["insertId"] not in table.row_ids:
                table.row_ids.add(item["insertId"])
                table.rows.append(row)
        if errors and not request.get("skipInvalidRows"):
            raise AssertionError("one invalid row would stop the others")
        return {"insertErrors": errors} if errors else {}

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = {"jobComplete": True, "jobReference": {"projectId": PROJECT, "jobId": "query", "location": "US"}}
        if match := _SELECT.fullmatch(request["query"]):
            (parameter,) = request["queryParameters"]
            wanted = {item["value"] for item in parameter["parameterValue"]["arrayValues"]}
            found = [str(row["alert_id"]) for row in self.named(match[1]).rows if str(row["alert_id"]) in wanted]
            kind = parameter["parameterType"]["arrayType"]["type"]
            fields = [{"name": "alert_id", "type": "INTEGER" if kind == "INT64" else kind, "mode": "NULLABLE"}]
            rows = [{"f": [{"v": value}]} for value in found]
            return answer | {"schema": {"fields": fields}, "rows": rows, "totalRows": str(len(rows))}
        match = _MERGE.fullmatch(request["query"])
        if match is None:
            raise ApiError(400, "invalidQuery", "Syntax error")
        return answer | {"numDmlAffectedRows": str(self.merge(match)), "totalRows": "0"}

    def merge(self, match: re.Match[str]) -> int:
        target, source = self.named(match[1]), self.named(match[2])
        filled = re.findall(r"`(\w+)` = IF", match[3] or "")
        columns = re.findall(r"`(\w+)`", match[4])
        assert match[4] == match[5]
        assert set(columns) <= {column["name"] for column in target.fields}
        present = {row["alert_id"]: row for row in target.rows}
        changed = 0
        for new in source.rows:
            old = present.get(new["alert_id"])
            if old is None:
                target.rows.append({name: new.get(name) for name in columns})
                changed += 1
                continue
            lacking = [name for name in filled if not old.get(name) and new.get(name)]
            old.update({name: new[name] for name in lacking})
            changed += bool(lacking)
        return changed

    def load(self, upload: dict[str, Any], data: bytes) -> dict[str, Any]:
        config = upload["configuration"]["load"]
        assert config["sourceFormat"] == "PARQUET"
        assert config["parquetOptions"]["enableListInference"]
        assert config["writeDisposition"] == "WRITE_TRUNCATE"
        where = config["destinationTable"]
        table = self.named(f"{where['projectId']}.{where['datasetId']}.{where['tableId']}")
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        assert {name for row in rows for name in row} == {column["name"] for column in table.fields}
        status: dict[str, Any] = {"state": "DONE"}
        reason = "invalid" if {row["alert_id"] for row in rows} & self.poison else None
        if self.job_errors:
            reason = self.job_errors.pop(0)
        if reason:
            status["errorResult"] = {"reason": reason, "message": "no"}
            status["errors"] = [status["errorResult"]]
        else:
            table.rows = rows
        job = upload | {"status": status, "statistics": {}, "id": upload["jobReference"]["jobId"]}
        self.jobs[upload["jobReference"]["jobId"]] = job
        return job | {"status": {"state": "RUNNING"}}


def typed_row(fields: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """Make of a row's JSON what its columns' types make of it."""
    types = {column["name"]: column for column in fields}
    for name in row:
        if name not in types:
            raise ApiError(200, "invalid", f"no such field: {name}.")
    return {name: typed(column, row.get(name)) for name, column in types.items()}


def typed(column: dict[str, Any], value: Any) -> Any:
    if column.get("mode") == "REPEATED":
        return [typed(column | {"mode": "NULLABLE"}, item) for item in value or []]
    if value is None:
        return None
    kind = column["type"]
    if kind == "RECORD":
        return typed_row(column["fields"], value)
    if kind == "INTEGER":
        assert isinstance(value, int | str)
        assert isinstance(value, str) or abs(value) <= 2**53, "JSON's numbers are not that exact"
    try:
        makers = {
            "INTEGER": int,
            "FLOAT": float,
            "STRING": str,
            "BOOLEAN": bool,
            "BYTES": base64.b64decode,
            "TIMESTAMP": datetime.fromisoformat,
        }
        return makers[kind](value)
    except ValueError:
        raise ApiError(200, "invalid", f"Cannot convert value to {kind}") from None


def _no_constant(text: str) -> None:
    raise ApiError(400, "parseError", f"{text} is not JSON")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BigQueryServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self._kind()
        with self.server.lock:
            self.server.calls[kind] += 1
            faults = self.server.faults.get(kind)
            fault = faults.pop(0) if faults else None
        if self.server.before is not None:
            self.server.before(kind)
        try:
            if isinstance(fault, ApiError):
                raise fault
            if fault == "hang":
                time.sleep(1.0)
                self.close_connection = True
                return
            with self.server.lock:
                answer = self._do(kind, body)
            if fault == "lost":
                self.close_connection = True
                return
            self._send(200, answer)
        except ApiError as error:
            self._send(error.status, error.body)
        except AssertionError as error:
            # What Google's API would not take; the fixture fails the test.
            self.server.complaints.append(repr(error))
            self._send(400, ApiError(400, "invalid").body)

    def _kind(self) -> str:
        path = urlsplit(self.path).path
        if "/upload/" in path:
            return "upload" if self.command == "PUT" else "start"
        last = path.rpartition("/")[2]
        if last in {"insertAll", "queries"}:
            return last
        return f"{self.command} {'job' if '/jobs/' in path else 'table'}"

    def _do(self, kind: str, body: bytes) -> dict[str, Any]:
        server, parts = self.server, urlsplit(self.path)
        if kind == "insertAll" and len(body) > _MAX_INSERT_BYTES:
            raise ApiError(413, "uploadTooLarge")
        if kind == "start":
            upload = json.loads(body)
            server.uploads[upload["jobReference"]["jobId"]] = upload
            return {"Location": f"{server.url}{parts.path}?upload_id={upload['jobReference']['jobId']}"}
        if kind == "upload":
            assert self.headers["Content-Range"].startswith("bytes 0-")
            return server.load(server.uploads[parse_qs(parts.query)["upload_id"][0]], body)
        if kind == "GET job":
            return server.jobs[parts.path.rpartition("/")[2]]
        request = json.loads(body, parse_constant=_no_constant) if body else {}
        return server.query(request) if kind == "queries" else self._do_table(request)

    def _do_table(self, request: dict[str, Any]) -> dict[str, Any]:
        match = _TABLE.fullmatch(urlsplit(self.path).path)
        if match is None or match[1] != DATASET:
            raise ApiError(404, "notFound", "Not found: Dataset")
        tables, name = self.server.tables, match[2] or request["tableReference"]["tableId"]
        if self.command == "POST" and not match[3]:
            if name in tables:
                raise ApiError(409, "duplicate", "Already Exists")
            tables[name] = Table(request)
            return tables[name].shown()
        table = self.server.named(f"{PROJECT}.{DATASET}.{name}")
        if match[3]:
            return self.server.insert(table, request)
        if self.command == "PATCH":
            if self.headers.get("If-Match") not in {None, f'"{table.version}"'}:
                raise ApiError(412, "conditionNotMet")
            table.resource |= request
            table.version += 1
        if self.command == "DELETE":
            del tables[name]
        return table.shown()

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        if set(answer) == {"Location"}:
            self.send_header("Location", answer["Location"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running_bigquery() -> Iterator[BigQueryServer]:
    """Run the API."""
    with BigQueryServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
