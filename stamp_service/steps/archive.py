"""The archive step: every alert of the stream to its survey's store and to the index."""

from collections.abc import Iterable, Mapping, Sequence

from stamp_service.errors import ConfigurationError
from stamp_service.index import entry_of, open_index
from stamp_service.packets import SchemaLookup, recognise
from stamp_service.settings import Settings
from stamp_service.steps.archive_sinks import Archived, IndexSink, StoreSink
from stamp_service.steps.further import open_further
from stamp_service.steps.messages import Item, Message, Output, Processed
from stamp_service.steps.reading import read_each
from stamp_service.steps.step import Sink
from stamp_service.stores import Store, open_schemas, open_stores
from stamp_service.surveys import Surveys


class ArchiveStep:
    """Archives alerts; a `Step`.

    Parameters
    ----------
    surveys : Surveys
        The surveys that packets may be of.
    stores : mapping of str to Store
        The store of each survey.
    sinks : sequence of Sink
        Where alerts are kept, in this order.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    """

    name = "archive"

    def __init__(
        self,
        surveys: Surveys,
        stores: Mapping[str, Store],
        sinks: Sequence[Sink[Archived]],
        schemas: SchemaLookup | None,
        max_packet_bytes: int,
    ) -> None:
        self.sinks = sinks
        self._surveys = surveys
        self._stores = stores
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes

    def process(self, messages: Sequence[Message]) -> Processed[Archived]:
        """Recognise packets.

        Parameters
        ----------
        messages : sequence of Message
            Messages whose values are packets.

        Returns
        -------
        Processed
            Alerts, and what cannot be decoded.

        Raises
        ------
        StoreUnavailable
            If a schema could not be looked up.
        """
        return read_each(messages, self._read)

    def _read(self, data: bytes) -> Archived:
        alert = recognise(self._surveys, data, self._schemas, self._max_packet_bytes)
        # This holds the packet against its schema as well.
        return Archived(alert, entry_of(alert, self._stores[alert.survey.name].name))

    def outputs(self, items: Sequence[Item[Archived]]) -> Iterable[Output]:  # noqa: ARG002 - a step's others do
        """Write nothing: nobody waits for this step.

        Parameters
        ----------
        items : sequence of Item
            The alerts.

        Returns
        -------
        iterable of Output
            None.
        """
        return ()

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            sink.close()


def open_archive_step(settings: Settings, surveys: Surveys, further: Sequence[Sink[Archived]] = ()) -> ArchiveStep:
    """Make the archive step.

    Parameters
    ----------
    settings : Settings
        Which stores, which index, and what else.
    surveys : Surveys
        The surveys that packets may be of.
    further : sequence of Sink
        Where alerts are kept after all these.

    Returns
    -------
    ArchiveStep
        The step.

    Raises
    ------
    ConfigurationError
        If a survey has no store that can be written to, or a package or setting is missing.
    """
    stores = {name: _writable(name, ordered) for name, ordered in open_stores(settings, surveys).items()}
    sinks: list[Sink[Archived]] = [StoreSink(stores), IndexSink(open_index(settings))]
    sinks += [*open_further(settings, surveys), *further]
    return ArchiveStep(surveys, stores, sinks, open_schemas(settings), settings.max_packet_bytes)


def _writable(survey: str, stores: Sequence[Store]) -> Store:
    for store in stores:
        if store.writable:
            return store
    raise ConfigurationError(f"no store of {survey} can be written to")
