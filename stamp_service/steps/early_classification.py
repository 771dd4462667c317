"""The early classification step: class probabilities of ZTF's objects from their first stamps, into a database."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from stamp_service import __version__
from stamp_service.classifiers import Classifier
from stamp_service.errors import ConfigurationError, PacketCorrupt
from stamp_service.packets import Alert, SchemaLookup, recognise
from stamp_service.probabilities import NewObject, StepEntry, open_probabilities
from stamp_service.settings import Settings
from stamp_service.steps.chosen_model import ChosenModel, open_chosen_model
from stamp_service.steps.classifier_metrics import ClassifierMetrics
from stamp_service.steps.connecting import check_client, producer_options
from stamp_service.steps.early_outputs import EarlyClassification, EarlyResults, ProbabilitySink
from stamp_service.steps.messages import Item, Message, Output, Processed, Refusal
from stamp_service.steps.reading import read_each
from stamp_service.steps.result_topic import ResultTopic
from stamp_service.stores import open_schemas
from stamp_service.surveys import Surveys
from stamp_service.times import MJD_EPOCH_JD

# Longest wait for the database; the batch is tried again after that.
_DATABASE_S = 30.0
_LARGEST_INTEGER = 2**31 - 1


class EarlyClassificationStep:
    """Classifies the alerts of a survey; a `Step`.

    Alerts of other surveys are passed over. Where a rule takes the probabilities away, nothing is stored; what the
    classifier cannot classify is refused.

    Parameters
    ----------
    surveys : Surveys
        The surveys that packets may be of.
    classifier : Classifier
        The model.
    sink : ProbabilitySink
        The database.
    results : EarlyResults, optional
        Writes the messages that are sent on, if any are.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    metrics : ClassifierMetrics
        Who counts.

    Attributes
    ----------
    sends_results : bool
        Whether anything is sent on.
    """

    name = "early-classification"

    def __init__(
        self,
        surveys: Surveys,
        classifier: Classifier,
        sink: ProbabilitySink,
        *,
        results: EarlyResults | None,
        schemas: SchemaLookup | None,
        max_packet_bytes: int,
        metrics: ClassifierMetrics,
    ) -> None:
        self.sinks = (sink,)
        self.sends_results = results is not None
        self._surveys = surveys
        self._classifier = classifier
        self._results = results
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._metrics = metrics

    def process(self, messages: Sequence[Message]) -> Processed[EarlyClassification]:
        """Classify alerts.

        Parameters
        ----------
        messages : sequence of Message
            Messages whose values are packets.

        Returns
        -------
        Processed
            What the classifier says of alerts, and those that cannot be decoded or classified.

        Raises
        ------
        StoreUnavailable
            If a schema could not be looked up, or the topic of results could not be made.
        """
        if self._results is not None:
            self._results.prepare()
        read = read_each(messages, self._read)
        alerts = [(item.message, *item.value) for item in read.items if item.value is not None]
        answers = self._classifier.classify([alert for _, alert, _ in alerts], rules=True)
        items: list[Item[EarlyClassification]] = []
        refused = list(read.refused)
        for (message, alert, found), answer in zip(alerts, answers, strict=True):
            if answer.probabilities is None and answer.rule is None:
                refused.append(Refusal(message, answer.reason or "the model gives no probabilities"))
            else:
                items.append(Item(message, EarlyClassification(int(alert.alert_id), found, answer)))
        best = [item.value.classification.best() for item in items]
        left_out = {"other_survey": len(read.items) - len(alerts), "rule": best.count(None)}
        self._metrics.count([name for name, _ in filter(None, best)], left_out)
        return Processed(items, refused)

    def _read(self, data: bytes) -> tuple[Alert, NewObject] | None:
        alert = recognise(self._surveys, data, self._schemas, self._max_packet_bytes)
        if alert.survey.name != self._classifier.survey:
            return None
        return alert, _object_of(alert)

    def outputs(self, items: Sequence[Item[EarlyClassification]]) -> Iterable[Output]:
        """Write the probabilities of each alert that has some.

        Parameters
        ----------
        items : sequence of Item
            What was found out.

        Yields
        ------
        Output
            A message, if anybody wants one.
        """
        if self._results is not None:
            for item in items:
                if item.value.classification.probabilities is not None:
                    yield self._results.write(item.value)

    def close(self) -> None:
        """Close the database."""
        for sink in self.sinks:
            sink.close()


def _object_of(alert: Alert) -> NewObject:
    """Read what an alert of ZTF says of its object, and refuse damaged packets and what no database takes."""
    names = ("ndethist", "ncovhist", "jdstarthist", "jdendhist", "jd", "ra", "dec")
    found = alert.packet.get_many([(f"candidate.{name}",) for name in names], whole=True)
    values = dict(zip(names, found, strict=True))

    def number(name: str) -> float:
        value = values[name]
        if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
            raise PacketCorrupt(f"alert {alert.alert_id}: {name} is not a number")
        return float(value)

    def count(name: str) -> int:
        value = values[name]
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST_INTEGER:
            raise PacketCorrupt(f"alert {alert.alert_id}: {name} is not a count")
        return value

    def mjd(name: str) -> float:
        return number(name) - MJD_EPOCH_JD

    if alert.object_id is None:
        raise PacketCorrupt(f"alert {alert.alert_id} is of no object")
    return NewObject(
        oid=alert.object_id,
        ndethist=count("ndethist"),
        ncovhist=count("ncovhist"),
        mjdstarthist=None if values["jdstarthist"] is None else mjd("jdstarthist"),
        mjdendhist=None if values["jdendhist"] is None else mjd("jdendhist"),
        firstmjd=mjd("jd"),
        meanra=number("ra"),
        meandec=number("dec"),
    )


def open_early_classification_step(
    settings: Settings, surveys: Surveys, registry: CollectorRegistry | None = None
) -> EarlyClassificationStep:
    """Make the early classification step.

    Parameters
    ----------
    settings : Settings
        Which model, which database, and where results are sent to.
    surveys : Surveys
        The surveys that packets may be of.
    registry : CollectorRegistry, optional
        Where its counters are shown.

    Returns
    -------
    EarlyClassificationStep
        The step.

    Raises
    ------
    ConfigurationError
        If no model is named, there is none of that name, it is another survey's, or the settings name no database.
    """
    check_client()
    tables = open_probabilities(settings, _DATABASE_S)
    model = open_chosen_model(settings)
    _check_survey(model, tables.survey)
    entry = StepEntry(
        step_id=settings.step_id,
        name=settings.step_name,
        version=settings.step_version or __version__,
        comments=settings.step_comments or "",
        date=datetime.now(UTC),
    )
    sink = ProbabilitySink(tables, model, entry)
    sink.start()
    return EarlyClassificationStep(
        surveys,
        model.classifier,
        sink,
        results=_open_results(settings, model.classifier),
        schemas=open_schemas(settings),
        max_packet_bytes=settings.max_packet_bytes,
        metrics=ClassifierMetrics(EarlyClassificationStep.name, registry or CollectorRegistry()),
    )


def _check_survey(model: ChosenModel, survey: str) -> None:
    found = model.classifier.survey
    if found != survey:
        raise ConfigurationError(f"model {model.name} is for {found} alerts, not for {survey}'s")


def _open_results(settings: Settings, classifier: Classifier) -> EarlyResults | None:
    if settings.producer_topic is None and settings.producer_topic_format is None:
        return None
    return EarlyResults(ResultTopic(settings, producer_options(settings)), classifier.classes)
