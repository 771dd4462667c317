"""Tables in a BigQuery dataset.

Rows are put in through the streaming interface (`insertAll`, with the alert's id as the row's, so that a repeated
request adds nothing), or by loading Parquet into a table of its own that is then merged. Ids that the table has
are asked for first, so running twice is safe either way. Where two processes stream the same alert at the same
time, only the row's id keeps it single, which BigQuery calls best effort.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from stamp_service.alert_ingestion.bigquery_errors import bigquery_asked
from stamp_service.alert_ingestion.bigquery_loads import Loader
from stamp_service.alert_ingestion.bigquery_schema import bigquery_schema, grow_fields, json_row
from stamp_service.alert_ingestion.extras import Untyped, extra
from stamp_service.alert_ingestion.layouts import KEY
from stamp_service.alert_ingestion.rows import Rows
from stamp_service.alert_ingestion.targets import Upserted
from stamp_service.errors import ConfigurationError, StoreUnavailable
from stamp_service.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.bigquery import Client, Table

Mode = Literal["stream", "batch"]
Id = int | str

# https://cloud.google.com/bigquery/quotas#streaming_inserts: 10 MB a request, and 500 rows are recommended
_MAX_REQUEST_ROWS = 500
_MAX_REQUEST_BYTES = 9_000_000
# A table that was just made or widened is not known to all that take rows: "no such field", "not found".
_SETTLING_S = 600.0
_PASSING = {"stopped", "timeout", "backendError", "internalError", "rateLimitExceeded"}
_ATTEMPTS_TO_WIDEN = 5
_MAX_REASON = 200

# https://cloud.google.com/bigquery/docs/datasets#dataset-naming, and of projects: they stand in statements.
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
_PROJECT = re.compile(r"([a-z0-9.-]{1,253}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BigQueryPatience:
    """How long BigQuery is waited for.

    Parameters
    ----------
    request_s : float
        Longest wait for the answer to a request.
    total_s : float
        Longest time for one thing with all its repetitions: quotas are refilled by the minute.
    first_wait_s : float
        The first wait before a repetition; each is twice the one before.
    """

    request_s: float = 60.0
    total_s: float = 300.0
    first_wait_s: float = 1.0


class BigQueryTables:
    """Tables in a BigQuery dataset; see `Tables` for what the methods promise.

    Parameters
    ----------
    client : google.cloud.bigquery.Client
        Asks BigQuery; closed with the tables.
    dataset : str
        The dataset, which has to exist.
    mode : {'stream', 'batch'}
        Through which interface rows are put in.
    patience : BigQueryPatience
        How long to wait.

    Raises
    ------
    ConfigurationError
        If the dataset's or the project's name is none, or a package is missing.
    """

    def __init__(
        self,
        client: "Client",
        dataset: str,
        mode: Mode = "stream",
        patience: BigQueryPatience = BigQueryPatience(),
    ) -> None:
        if _DATASET.fullmatch(dataset) is None:
            raise ConfigurationError("the name of the BigQuery dataset may have letters, digits and _ only")
        if _PROJECT.fullmatch(str(client.project)) is None:
            raise ConfigurationError("the name of the BigQuery project is not one of a project")
        self._bigquery = extra("google.cloud.bigquery", "bigquery")
        extra("pyarrow")
        self._client = client
        self._dataset = dataset
        self._mode = mode
        self._patience = patience
        retry = extra("google.cloud.bigquery.retry", "bigquery").DEFAULT_RETRY
        self._retry = retry.with_timeout(patience.total_s).with_delay(patience.first_wait_s, maximum=30.0)
        self._loader = Loader(client, self._retry, patience.request_s, patience.total_s)
        self._tables: dict[str, Table] = {}
        self._settled_at = 0.0

    @classmethod
    def from_settings(cls, settings: Settings, mode: Mode = "stream") -> "BigQueryTables":
        """Open the tables that the settings name.

        Parameters
        ----------
        settings : Settings
            The settings.
        mode : {'stream', 'batch'}
            Through which interface rows are put in.

        Returns
        -------
        BigQueryTables
            The tables.

        Raises
        ------
        ConfigurationError
            If no project is set, there are no credentials, or a package is missing.
        """
        if settings.bigquery_project is None:
            raise ConfigurationError("STAMP_BIGQUERY_PROJECT is not set")
        bigquery = extra("google.cloud.bigquery", "bigquery")
        options: dict[str, Any] = {}
        if settings.bigquery_url is not None:
            options["client_options"] = {"api_endpoint": settings.bigquery_url}
            options["credentials"] = extra("google.auth.credentials", "bigquery").AnonymousCredentials()
        with bigquery_asked(f"project {settings.bigquery_project}"):
            client = bigquery.Client(project=settings.bigquery_project, **options)
        return cls(client, settings.bigquery_dataset, mode)

    def upsert(self, rows: Rows) -> Upserted:
        """Put rows into the table of their survey.

        Parameters
        ----------
        rows : Rows
            The rows.

        Returns
        -------
        Upserted
            Which are new, and which BigQuery refused.

        Raises
        ------
        PacketCorrupt
            If the table has columns of the same names and unlike types, or BigQuery has no such columns.
        ConfigurationError
            If the dataset does not exist, or the credentials do not allow this.
        StoreUnavailable
            If BigQuery did not do it.
        """
        table = _first_of_each(rows)
        with bigquery_asked(f"dataset {self._dataset}"):
            target, is_new = self._shape(rows.survey.name, table.schema)
            ids = table.column(KEY).to_pylist()
            known: set[Id] = set() if is_new else self._known(target, ids)
            new = [number for number, alert_id in enumerate(ids) if alert_id not in known]
            if self._mode == "stream":
                refused = self._stream(target, _taken(table, new).to_pylist())
            else:
                # Rows that are there may lack history or cutouts, which merging fills in.
                wanted = table if rows.layout.chosen else _taken(table, new)
                refused = self._loader.load(target, wanted, rows.layout.chosen)
        return Upserted({ids[number] for number in new} - refused.keys(), refused)

    def _shape(self, name: str, schema: "pa.Schema") -> tuple["Table", bool]:
        """Make the table of a survey, or add the columns that it lacks; says also whether it was made."""
        fields = bigquery_schema(schema)
        api = extra("google.api_core.exceptions", "bigquery")
        table = self._tables.get(name)
        is_new = False
        for _ in range(_ATTEMPTS_TO_WIDEN):
            if table is None:
                table, is_new = self._get_or_make(name, fields)
            grown = grow_fields(table.schema, fields)
            if grown == list(table.schema):
                self._tables[name] = table
                return table, is_new
            table.schema = grown
            try:
                table = self._client.update_table(
                    table, ["schema"], retry=self._retry, timeout=self._patience.request_s
                )
                self._settled_at = time.monotonic() + _SETTLING_S
            except api.PreconditionFailed:
                # Somebody else changed it since it was looked at.
                table = None
        raise StoreUnavailable("the BigQuery table is being changed by others all the time")

    def _get_or_make(self, name: str, fields: Sequence[Untyped]) -> tuple["Table", bool]:
        api = extra("google.api_core.exceptions", "bigquery")
        where = f"{self._client.project}.{self._dataset}.{name}"
        asking: dict[str, Any] = {"retry": self._retry, "timeout": self._patience.request_s}
        try:
            return self._client.get_table(where, **asking), False
        except api.NotFound:
            table = self._bigquery.Table(where, schema=fields)
            table.clustering_fields = [KEY]
        try:
            made = self._client.create_table(table, **asking)
        except api.Conflict:
            # Made by somebody else, or by a request whose answer was lost.
            return self._client.get_table(where, **asking), False
        self._settled_at = time.monotonic() + _SETTLING_S
        return made, True

    def _known(self, table: "Table", ids: list[Id]) -> set[Id]:
        """Ask which of some ids a table has; rows that were streamed a moment ago count."""
        bigquery = self._bigquery
        kind = "INT64" if isinstance(ids[0], int) else "STRING"
        found = self._client.query_and_wait(
            f"SELECT {KEY} FROM `{table.reference}` WHERE {KEY} IN UNNEST(@ids)",  # noqa: S608 - names were checked
            job_config=bigquery.QueryJobConfig(query_parameters=[bigquery.ArrayQueryParameter("ids", kind, ids)]),
            api_timeout=self._patience.request_s,
            wait_timeout=self._patience.total_s,
            retry=self._retry,
        )
        return {row[0] for row in found}

    def _stream(self, table: "Table", rows: list[dict[str, Any]]) -> dict[Id, str]:
        refused: dict[Id, str] = {}
        for request in _requests(_json_rows(rows, refused)):
            refused |= self._insert(table, request)
        return refused

    def _insert(self, table: "Table", rows: dict[Id, dict[str, Any]]) -> dict[Id, str]:
        """Insert rows, and those again that were not looked at; gives the reasons for those that were refused."""
        refused: dict[Id, str] = {}
        wait_s, ends_at = self._patience.first_wait_s, time.monotonic() + self._patience.total_s
        api, waiting = extra("google.api_core.exceptions", "bigquery"), rows
        is_passing = extra("google.cloud.bigquery.retry", "bigquery")._should_retry  # what DEFAULT_RETRY asks
        retry = self._retry.with_predicate(lambda error: is_passing(error) or isinstance(error, api.NotFound))
        while True:
            ids = list(waiting)
            errors = self._client.insert_rows_json(
                table,
                list(waiting.values()),
                row_ids=[str(alert_id) for alert_id in ids],
                skip_invalid_rows=True,
                retry=retry,
                timeout=self._patience.request_s,
            )
            again = {}
            for error in errors:
                alert_id = ids[error["index"]]
                if self._will_pass(error["errors"]):
                    again[alert_id] = waiting[alert_id]
                else:
                    refused[alert_id] = _reason(error["errors"])
            if not again:
                return refused
            if time.monotonic() + wait_s > ends_at:
                raise StoreUnavailable("BigQuery did not take all rows")
            time.sleep(wait_s)
            waiting, wait_s = again, 2 * wait_s

    def _will_pass(self, errors: Sequence[dict[str, str]]) -> bool:
        settling = time.monotonic() < self._settled_at
        return all(
            error.get("reason") in _PASSING or (settling and "no such field" in error.get("message", "").lower())
            for error in errors
        )

    def close(self) -> None:
        """Close connections; harmless when called again."""
        self._client.close()  # type: ignore[no-untyped-call]  # the client declares no result


def _taken(table: "pa.Table", numbers: list[int]) -> "pa.Table":
    arrow = extra("pyarrow")
    return table.take(arrow.array(numbers, arrow.int64()))


def _first_of_each(rows: Rows) -> "pa.Table":
    """Drop rows whose id another row before has."""
    first: dict[Id, int] = {}
    for number, alert_id in enumerate(rows.ids()):
        first.setdefault(alert_id, number)
    return _taken(rows.table, list(first.values()))


def _json_rows(rows: Iterable[dict[str, Any]], refused: dict[Id, str]) -> Iterator[tuple[Id, dict[str, Any]]]:
    for row in rows:
        try:
            yield row[KEY], json_row(row)
        except ValueError as error:
            refused[row[KEY]] = str(error)


def _requests(rows: Iterable[tuple[Id, dict[str, Any]]]) -> Iterator[dict[Id, dict[str, Any]]]:
    """Divide rows into what one request may hold."""
    request: dict[Id, dict[str, Any]] = {}
    size_bytes = 0
    for alert_id, row in rows:
        row_bytes = len(orjson.dumps(row))
        if request and (len(request) == _MAX_REQUEST_ROWS or size_bytes + row_bytes > _MAX_REQUEST_BYTES):
            yield request
            request, size_bytes = {}, 0
        request[alert_id] = row
        size_bytes += row_bytes
    if request:
        yield request


def _reason(errors: Sequence[dict[str, str]]) -> str:
    error = errors[0] if errors else {}
    text = f"BigQuery: {error.get('reason', 'refused')}: {error.get('message', '')} {error.get('location', '')}"
    return text.strip(" :")[:_MAX_REASON]
