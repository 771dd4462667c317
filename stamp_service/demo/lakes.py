"""The synthetic alerts of a survey as a Parquet lake."""

from collections.abc import Iterator
from functools import partial

from stamp_service.demo.filling import DEFAULT_OBJECTS, demo_alerts
from stamp_service.demo.schemas import demo_schemas
from stamp_service.lake.files import Filesystem
from stamp_service.lake.writing import AlertRef, write_lake
from stamp_service.packets import Schema, assemble_schema, open_alert, rubin_namespace
from stamp_service.surveys import Survey


class _DemoSchemas:
    """The schemas of the synthetic wire-format packets, by number."""

    def __init__(self) -> None:
        self._known: dict[int, Schema] = {}

    def schema(self, schema_id: int) -> Schema:
        """Find a schema; the same object each time, as packets of one schema are told by it."""
        if schema_id not in self._known:
            parts = list(demo_schemas().values())
            self._known[schema_id] = assemble_schema(parts, f"{rubin_namespace(schema_id)}.alert")
        return self._known[schema_id]


def write_demo_lake(files: Filesystem, survey: Survey, objects: int = DEFAULT_OBJECTS) -> Iterator[str]:
    """Write the synthetic alerts of a survey into a lake; again, and nothing is added.

    Parameters
    ----------
    files : Filesystem
        The lake's files.
    survey : Survey
        One of `DEMO_SURVEYS`.
    objects : int
        How many objects; see `demo_alerts`.

    Yields
    ------
    path : str
        Each file that is new.

    Raises
    ------
    KeyError
        If there are no synthetic alerts of this survey.
    ConfigurationError
        If pyarrow is not installed.
    StoreUnavailable
        If the lake cannot be written to.
    """
    schemas = _DemoSchemas()
    alerts = [
        AlertRef.of(open_alert(survey, alert.alert_id, alert.packet, schemas), partial(bytes, alert.packet))
        for alert in demo_alerts(survey.name, objects=objects)
        # A user's own definition of the survey may name its alerts differently.
        if survey.alert_id.matches(alert.alert_id)
    ]
    yield from write_lake(files, alerts, survey, schemas=schemas)
