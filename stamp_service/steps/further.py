"""Where the archive step keeps alerts besides store and index, on request: packs, tables, lakes."""

from collections.abc import Callable, Sequence
from contextlib import closing

from stamp_service.alert_ingestion import TableTarget, Target, open_tables
from stamp_service.alert_ingestion.extras import extra
from stamp_service.alert_ingestion.lake_target import LakeTarget
from stamp_service.errors import PacketCorrupt, StoreUnavailable
from stamp_service.lake.lakes import lake_access
from stamp_service.lake.opening import open_filesystem
from stamp_service.packets import Alert
from stamp_service.settings import Settings
from stamp_service.step_settings import Besides
from stamp_service.steps.archive_sinks import Archived, StoreSink
from stamp_service.steps.messages import Item, Refusal
from stamp_service.steps.step import Sink
from stamp_service.stores import open_packed, open_schemas
from stamp_service.stores.outcomes import Outcome
from stamp_service.surveys import Surveys


class TargetSink:
    """Puts alerts into a target of `alert_ingestion`.

    Parameters
    ----------
    name : str
        What metrics and the log call it.
    target : Target
        Takes the alerts; closed with the sink.
    """

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self._target = target

    def write(self, items: Sequence[Item[Archived]]) -> Sequence[Refusal]:
        """Add alerts.

        Parameters
        ----------
        items : sequence of Item
            The alerts.

        Returns
        -------
        sequence of Refusal
            Alerts that the target cannot hold.

        Raises
        ------
        StoreUnavailable
            If the target cannot be written to, be it that what it holds is damaged.
        """
        try:
            outcomes = self._target.add([item.value.alert for item in items])
        except PacketCorrupt as error:
            # Not these alerts' fault: a file of a lake is damaged, and has to be seen to.
            raise StoreUnavailable(str(error)) from error
        return [
            Refusal(item.message, outcome.reason)
            for item, outcome in zip(items, outcomes, strict=True)
            if outcome.state == "refused"
        ]

    def close(self) -> None:
        """Close the target."""
        self._target.close()


class _OpenForABatch:
    """A target that is closed between batches: nobody else can read a DuckDB file while a process has it open."""

    def __init__(self, open_target: Callable[[], Target]) -> None:
        self._open_target = open_target

    def add(self, alerts: Sequence[Alert]) -> list[Outcome]:
        with closing(self._open_target()) as target:
            return target.add(alerts)

    def close(self) -> None:
        pass


def open_further(settings: Settings, surveys: Surveys) -> list[Sink[Archived]]:
    """Open what `STAMP_ARCHIVE_ALSO` names.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    list of Sink
        In the order in which they are named.

    Raises
    ------
    ConfigurationError
        If a package or a setting is missing.
    """
    return [_open(name, settings, surveys) for name in dict.fromkeys(settings.archive_also)]


def _open(name: Besides, settings: Settings, surveys: Surveys) -> Sink[Archived]:
    if name == "packed":
        # Those whose store it is anyway need not be put into it twice.
        packed = open_packed(settings, surveys)
        return StoreSink({one: packed for one in surveys if one not in settings.packed_surveys}, name)
    if name == "lake":
        extra("pyarrow")
        root = settings.archive_lake or str(settings.data_dir / "lake")
        access = lake_access(settings)
        open_filesystem(root, access).close()  # says at once if that is no address of a lake
        return TargetSink(name, LakeTarget(root, access, open_schemas(settings), settings.max_packet_bytes))
    if name == "bigquery":
        return TargetSink(name, TableTarget(open_tables(settings, name, "stream")))
    extra("duckdb")
    return TargetSink(name, _OpenForABatch(lambda: TableTarget(open_tables(settings, name))))
