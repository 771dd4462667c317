"""What the stamp classifier sends on: classifications, commands to ALeRCE's scribe, and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import orjson

from stamp_service.packets import write_ocf
from stamp_service.steps.chosen_model import ChosenModel
from stamp_service.steps.messages import Item, Output, Refusal
from stamp_service.steps.outbox import Outbox

# The names of records and fields are those of ALeRCE's pipeline, whose readers resolve schemas by them.
RESULT_SCHEMA = {
    "type": "record",
    "name": "atlas_stamp_classification_schema",
    "doc": "Class probabilities of an object, from the stamps of its first alert",
    "fields": [
        {"name": "aid", "type": "string"},
        {
            "name": "classifications",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "classificationDict",
                    "fields": [
                        {"name": "class_name", "type": "string"},
                        {"name": "probability", "type": "double"},
                    ],
                },
            },
        },
        {"name": "classifier_name", "type": "string"},
        {"name": "classifier_version", "type": "string"},
        {
            "name": "brokerPublishTimestamp",
            "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
        },
    ],
}
SCRIBE_SCHEMA = {
    "type": "record",
    "name": "scribe_message",
    "fields": [{"name": "payload", "type": "string"}],
}


@dataclass(frozen=True, slots=True)
class Classified:
    """An object and its probabilities.

    Parameters
    ----------
    aid : str
        The object.
    candid : str
        The alert.
    probabilities : mapping of str to float
        Class to probability.
    received_at : datetime.datetime
        When its batch came.
    """

    aid: str
    candid: str
    probabilities: Mapping[str, float]
    received_at: datetime

    @property
    def best(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


class Writer(Protocol):
    """Writes messages about objects."""

    def __call__(self, objects: Sequence[Classified]) -> Iterable[Output]:
        """Write messages.

        Parameters
        ----------
        objects : sequence of Classified
            Those of a batch.

        Returns
        -------
        iterable of Output
            The messages.
        """
        ...


def write_results(model: ChosenModel, topic: str, objects: Sequence[Classified]) -> Iterable[Output]:
    """Write the classifications, one AVRO file each, with the object's id as the key.

    Parameters
    ----------
    model : ChosenModel
        Who classified.
    topic : str
        Where to.
    objects : sequence of Classified
        The objects.

    Yields
    ------
    Output
        A message.
    """
    now = datetime.now(UTC)
    for found in objects:
        record = {
            "aid": found.aid,
            "classifications": [
                {"class_name": name, "probability": probability}
                for name, probability in found.probabilities.items()
            ],
            "classifier_name": model.name,
            "classifier_version": model.version,
            "brokerPublishTimestamp": now,
        }
        yield Output(topic, write_ocf(RESULT_SCHEMA, record), found.aid.encode())


def write_commands(model: ChosenModel, topic: str, objects: Sequence[Classified]) -> Iterable[Output]:
    """Write the commands that have ALeRCE's scribe put probabilities into its database, once for each classifier.

    Parameters
    ----------
    model : ChosenModel
        Who classified.
    topic : str
        Where to.
    objects : sequence of Classified
        The objects.

    Yields
    ------
    Output
        A message.
    """
    for found in objects:
        command = {
            "collection": "object",
            "type": "update_probabilities",
            "criteria": {"_id": found.aid},
            "data": {
                "classifier_name": model.name,
                "classifier_version": model.version,
                **found.probabilities,
            },
            "options": {"upsert": True, "set_on_insert": True},
        }
        value = write_ocf(SCRIBE_SCHEMA, {"payload": orjson.dumps(command).decode()})
        yield Output(topic, value, found.aid.encode())


def write_metrics(step: str, topic: str, objects: Sequence[Classified]) -> Iterable[Output]:
    """Write the metrics of a batch, as JSON.

    Parameters
    ----------
    step : str
        Name of the step.
    topic : str
        Where to.
    objects : sequence of Classified
        The objects.

    Yields
    ------
    Output
        One message, if there are objects.
    """
    if not objects:
        return
    received, sent = min(found.received_at for found in objects), datetime.now(UTC)
    metrics = {
        "source": step,
        "timestamp_received": received,
        "timestamp_sent": sent,
        "execution_time": (sent - received).total_seconds(),
        "n_messages": len(objects),
        "candid": [found.candid for found in objects],
        "class": {found.aid: found.best for found in objects},
    }
    yield Output(topic, orjson.dumps(metrics))


class TopicSink:
    """Sends messages to brokers other than those that results are written to; a `Sink`.

    Parameters
    ----------
    name : str
        What metrics and the log call it.
    writer : Writer
        Writes the messages.
    outbox : Outbox
        Sends them.
    """

    def __init__(self, name: str, writer: Writer, outbox: Outbox) -> None:
        self.name = name
        self._writer = writer
        self._outbox = outbox

    def write(self, items: Sequence[Item[Classified | None]]) -> Sequence[Refusal]:
        """Send messages; what was sent may be sent again.

        Parameters
        ----------
        items : sequence of Item
            What became of alerts.

        Returns
        -------
        sequence of Refusal
            None of them.

        Raises
        ------
        StoreUnavailable
            If the brokers do not take them now.
        """
        self._outbox.deliver(list(self._writer([item.value for item in items if item.value is not None])))
        return ()

    def close(self) -> None:
        """Let go of the brokers."""
        self._outbox.close()
