"""The stamp classifier step: alerts in, class probabilities of objects out, as ALeRCE's pipeline wants them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry

from stamp_service.errors import ConfigurationError
from stamp_service.packets import SchemaLookup
from stamp_service.settings import Settings
from stamp_service.steps.chosen_model import ChosenModel, open_chosen_model
from stamp_service.steps.classification_outputs import (
    Classified,
    TopicSink,
    Writer,
    write_commands,
    write_metrics,
    write_results,
)
from stamp_service.steps.classifier_metrics import ClassifierMetrics
from stamp_service.steps.connecting import check_client, producer_options, same_brokers
from stamp_service.steps.messages import Item, Message, Output, Processed, Refusal
from stamp_service.steps.outbox import Outbox
from stamp_service.steps.reading import read_each
from stamp_service.steps.result_topic import ResultTopic
from stamp_service.steps.step import Sink
from stamp_service.steps.stream_alerts import StreamAlert, read_alert
from stamp_service.stores import open_schemas
from stamp_service.surveys import Surveys


class StampClassifierStep:
    """Classifies the earliest alert of each object; a `Step`.

    What is an item and has no value is acknowledged and not sent on: a later alert of an object, one of another
    survey, or one that a rule takes out.

    Parameters
    ----------
    model : ChosenModel
        The model.
    surveys : Surveys
        The surveys that packets may be of.
    schemas : SchemaLookup, optional
        Where schemas of wire-format messages come from.
    max_packet_bytes : int
        Most bytes of a message, as it came and after each decompression.
    topic : ResultTopic
        Where results go to.
    writers : sequence of Writer
        What is sent to the same brokers besides.
    sinks : sequence of Sink
        What is sent to other brokers.
    metrics : ClassifierMetrics
        Who counts.
    """

    name = "stamp-classifier"

    def __init__(
        self,
        model: ChosenModel,
        surveys: Surveys,
        schemas: SchemaLookup | None,
        max_packet_bytes: int,
        *,
        topic: ResultTopic,
        writers: Sequence[Writer],
        sinks: Sequence[Sink[Classified | None]],
        metrics: ClassifierMetrics,
    ) -> None:
        self.sinks = sinks
        self._model = model
        self._surveys = surveys
        self._survey = surveys[model.classifier.survey]
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._topic = topic
        self._writers = writers
        self._metrics = metrics
        self._result_topic = ""

    def process(self, messages: Sequence[Message]) -> Processed[Classified | None]:
        """Classify the earliest alert of each object.

        Parameters
        ----------
        messages : sequence of Message
            Alerts: survey packets and messages of ALeRCE's pipeline.

        Returns
        -------
        Processed
            Objects with their probabilities, and what cannot be read or classified.

        Raises
        ------
        StoreUnavailable
            If a schema could not be looked up, or tonight's topic not be made.
        """
        received_at = datetime.now(UTC)
        self._result_topic = self._topic.ready()
        read = read_each(messages, self._alert_in)
        earliest = _earliest(read.items)
        answers = self._model.classifier.classify([alert.alert for _, alert in earliest], rules=True)
        objects: dict[int, Classified] = {}
        refused: dict[int, Refusal] = {}
        for (place, alert), answer in zip(earliest, answers, strict=True):
            if answer.probabilities is not None:
                objects[place] = Classified(alert.object_id, answer.alert_id, answer.probabilities, received_at)
            elif answer.rule is None:
                reason = answer.reason or "the model gives no probabilities"
                refused[place] = Refusal(read.items[place].message, reason)
        wanted = sum(item.value is not None for item in read.items)
        left_out = {
            "other_survey": len(read.items) - wanted,
            "later": wanted - len(earliest),
            "rule": len(earliest) - len(objects) - len(refused),
        }
        self._metrics.count((found.best for found in objects.values()), left_out)
        items = [
            Item(item.message, objects.get(place)) for place, item in enumerate(read.items) if place not in refused
        ]
        return Processed(items, [*read.refused, *refused.values()])

    def _alert_in(self, data: bytes) -> StreamAlert | None:
        return read_alert(self._surveys, self._survey, data, self._schemas, self._max_packet_bytes)

    def outputs(self, items: Sequence[Item[Classified | None]]) -> Iterable[Output]:
        """Write classifications, and what goes to the same brokers besides.

        Parameters
        ----------
        items : sequence of Item
            What became of alerts.

        Yields
        ------
        Output
            A message.
        """
        objects = [item.value for item in items if item.value is not None]
        yield from write_results(self._model, self._result_topic, objects)
        for writer in self._writers:
            yield from writer(objects)

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            sink.close()


def _earliest(items: Sequence[Item[StreamAlert | None]]) -> list[tuple[int, StreamAlert]]:
    """Find the earliest alert of each object, and its place; of two of the same time, the one that came first."""
    found: dict[str, tuple[int, StreamAlert]] = {}
    for place, item in enumerate(items):
        alert = item.value
        if alert is None:
            continue
        before = found.get(alert.object_id)
        if before is None or alert.time_mjd < before[1].time_mjd:
            found[alert.object_id] = place, alert
    return list(found.values())


def open_stamp_classifier_step(
    settings: Settings, surveys: Surveys, registry: CollectorRegistry | None = None
) -> StampClassifierStep:
    """Make the stamp classifier step.

    Parameters
    ----------
    settings : Settings
        Which model, and what is sent where.
    surveys : Surveys
        The surveys that packets may be of.
    registry : CollectorRegistry, optional
        Where its counters are shown.

    Returns
    -------
    StampClassifierStep
        The step.

    Raises
    ------
    ConfigurationError
        If no model or topic is named, the model cannot be used, or it is not one of the survey that
        `CLASSIFIER_STRATEGY` names.
    """
    check_client()
    model = open_chosen_model(settings)
    _check_survey(model, settings, surveys)
    home = settings.producer_server or settings.consumer_server
    name = StampClassifierStep.name
    further: list[tuple[str, str | None, Writer]] = []
    if settings.scribe_topic is not None:
        further.append(("scribe", settings.scribe_server, partial(write_commands, model, settings.scribe_topic)))
    if settings.metrics_topic is not None:
        further.append(("metrics", settings.metrics_server, partial(write_metrics, name, settings.metrics_topic)))
    writers, sinks = [], []
    for stage, server, writer in further:
        if server is None or same_brokers(server, home):
            writers.append(writer)
        else:
            sinks.append(TopicSink(stage, writer, Outbox(producer_options(settings, server))))
    return StampClassifierStep(
        model,
        surveys,
        open_schemas(settings),
        settings.max_packet_bytes,
        topic=ResultTopic(settings, producer_options(settings)),
        writers=writers,
        sinks=sinks,
        metrics=ClassifierMetrics(name, registry or CollectorRegistry()),
    )


def _check_survey(model: ChosenModel, settings: Settings, surveys: Surveys) -> None:
    survey, wanted = model.classifier.survey, settings.classifier_strategy
    if survey not in surveys:
        raise ConfigurationError(f"model {model.name} is for {survey}, which is no survey here")
    if wanted is not None and wanted.lower() != survey:
        raise ConfigurationError(f"CLASSIFIER_STRATEGY is {wanted}, and model {model.name} is for {survey}")
