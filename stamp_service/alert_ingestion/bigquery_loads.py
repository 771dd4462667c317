"""Loading rows into BigQuery as Parquet: into a table of its own, which is then merged.

Load jobs cost nothing but are allowed 1,500 times a day for a table; merging makes it safe to load alerts twice.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from stamp_service.alert_ingestion.bigquery_errors import reasons_of
from stamp_service.alert_ingestion.bigquery_schema import bigquery_schema
from stamp_service.alert_ingestion.extras import Untyped, extra
from stamp_service.alert_ingestion.layouts import KEY

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.bigquery import Client, Table

# What is left of a process that was killed goes away by itself.
_EXPIRES = timedelta(days=1)


class Loader:
    """Loads rows into tables.

    Parameters
    ----------
    client : google.cloud.bigquery.Client
        Asks BigQuery.
    retry : google.api_core.retry.Retry
        What is repeated, and for how long.
    request_s : float
        Longest wait for the answer to a request.
    total_s : float
        Longest wait for a job.
    """

    def __init__(self, client: "Client", retry: Untyped, request_s: float, total_s: float) -> None:
        self._bigquery = extra("google.cloud.bigquery", "bigquery")
        self._client = client
        self._retry = retry
        self._request_s = request_s
        self._total_s = total_s

    def load(self, target: "Table", rows: "pa.Table", chosen: Sequence[str]) -> dict[int | str, str]:
        """Put rows into a table unless it has them, and fill in what rows lack that it has.

        Parameters
        ----------
        target : google.cloud.bigquery.Table
            The table, which has all columns of the rows.
        rows : pyarrow.Table
            The rows, each id once.
        chosen : sequence of str
            Columns that are filled in.

        Returns
        -------
        dict
            Why rows were refused, by their id.

        Raises
        ------
        google.api_core.exceptions.GoogleAPICallError
            If BigQuery did not do it.
        """
        if rows.num_rows == 0:
            return {}
        api = extra("google.api_core.exceptions", "bigquery")
        try:
            self._load(target, rows, chosen)
        except api.BadRequest as error:
            # A value that BigQuery does not take: whose it is shows when each half is tried by itself.
            half = rows.num_rows // 2
            if not half:
                reason = ", ".join(reasons_of(error)) or "invalid"
                return {rows.column(KEY)[0].as_py(): f"BigQuery: {reason}"}
            return self.load(target, rows[:half], chosen) | self.load(target, rows[half:], chosen)
        return {}

    def _load(self, target: "Table", rows: "pa.Table", chosen: Sequence[str]) -> None:
        schema = bigquery_schema(rows.schema)
        name = f"{target.project}.{target.dataset_id}.{target.table_id}__{uuid.uuid4().hex}"
        staging = self._bigquery.Table(name, schema=schema)
        staging.expires = datetime.now(UTC) + _EXPIRES
        asking: dict[str, Any] = {"retry": self._retry, "timeout": self._request_s}
        self._client.create_table(staging, exists_ok=True, **asking)
        try:
            self._retry(lambda: self._upload(name, schema, rows))()
            self._client.query_and_wait(
                _merge(str(target.reference), name, schema, chosen),
                api_timeout=self._request_s,
                wait_timeout=self._total_s,
                retry=self._retry,
            )
        finally:
            self._client.delete_table(name, not_found_ok=True, **asking)

    def _upload(self, name: str, schema: Sequence[Untyped], rows: "pa.Table") -> None:
        bigquery = self._bigquery
        options = bigquery.ParquetOptions()
        # Without it, lists become records of lists of records.
        options.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            # What an earlier attempt left there goes away.
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            schema=schema,
        )
        config.parquet_options = options
        with TemporaryFile(prefix="stamp-load-") as file:
            extra("pyarrow.parquet").write_table(rows, file, compression="zstd", use_dictionary=False)
            job = self._client.load_table_from_file(
                file, name, rewind=True, num_retries=0, job_config=config, timeout=self._request_s
            )
        job.result(retry=self._retry, timeout=self._total_s)


def _merge(target: str, source: str, schema: Sequence[Untyped], chosen: Sequence[str]) -> str:
    """Write the statement; all names come from schemas, whose names are letters, digits and _."""
    names = [f"`{field.name}`" for field in schema]
    repeated = {field.name for field in schema if field.mode == "REPEATED"}
    lacks = {
        name: f"ARRAY_LENGTH(old.`{name}`) = 0 AND ARRAY_LENGTH(new.`{name}`) > 0"
        if name in repeated
        else f"old.`{name}` IS NULL AND new.`{name}` IS NOT NULL"
        for name in chosen
    }
    fill = ""
    if lacks:
        condition = " OR ".join(f"({lack})" for lack in lacks.values())
        values = ", ".join(f"`{name}` = IF({lack}, new.`{name}`, old.`{name}`)" for name, lack in lacks.items())
        fill = f" WHEN MATCHED AND ({condition}) THEN UPDATE SET {values}"
    columns = ", ".join(names)
    return (
        f"MERGE `{target}` AS old USING `{source}` AS new ON old.{KEY} = new.{KEY}{fill} "  # noqa: S608 - see above
        f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({columns})"
    )
