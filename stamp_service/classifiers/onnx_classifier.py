"""A model directory as a classifier, on ONNX Runtime."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.classifier import ClassifiableAlert, Classification
from stamp_service.classifiers.definition import ModelDefinition, read_model
from stamp_service.classifiers.preparing import Preparation, Sample
from stamp_service.classifiers.reading import Unfit
from stamp_service.classifiers.sessions import open_graph
from stamp_service.errors import NotFound, PacketCorrupt, TooLarge
from stamp_service.remote.processes import PerProcess

CPU = ("CPUExecutionProvider",)
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Running:
    """How models are run.

    Parameters
    ----------
    threads : int
        How many batches run at a time.
    batch : int
        Most alerts of a batch.
    providers : tuple of str
        ONNX Runtime's execution providers, in order of preference.
    max_cutout_bytes : int
        Most bytes of a cutout once it is decompressed.
    max_stamp_px : int
        Most pixels of a stamp.
    """

    threads: int = 1
    batch: int = 32
    providers: tuple[str, ...] = CPU
    max_cutout_bytes: int = 32 * _MIB
    max_stamp_px: int = 4096 * 4096


class OnnxClassifier:
    """A model directory; threads may share it, and so may processes that are forked from its maker.

    Parameters
    ----------
    definition : ModelDefinition
        What the model is.
    graph : bytes
        `model.onnx`.
    running : Running
        How it is run.
    """

    def __init__(self, definition: ModelDefinition, graph: bytes, running: Running) -> None:
        self.definition = definition
        self._running = running
        self._preparation = Preparation(definition, running.max_cutout_bytes, running.max_stamp_px)
        self._graph = PerProcess(lambda: open_graph(graph, definition, running.providers))
        self._pool = PerProcess(lambda: ThreadPoolExecutor(running.threads, "classifier"))

    @property
    def name(self) -> str:
        """The model's name."""
        return self.definition.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.definition.version

    @property
    def survey(self) -> str:
        """Name of the survey whose alerts it was made for."""
        return self.definition.survey

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the model's output."""
        return self.definition.classes

    def check(self) -> None:
        """Open the graph now and hold it against its definition.

        Raises
        ------
        ConfigurationError
            If ONNX Runtime is not installed, or the graph is not what the definition says.
        """
        self._graph()

    def classify(self, alerts: Sequence[ClassifiableAlert], *, rules: bool = False) -> list[Classification]:
        """Classify alerts.

        Parameters
        ----------
        alerts : sequence of ClassifiableAlert
            Any number of them.
        rules : bool
            Whether to apply the rules around the model as well.

        Returns
        -------
        list of Classification
            One for each alert, in their order; an alert that cannot be classified has a reason, and changes
            nothing for the others.

        Raises
        ------
        ConfigurationError
            If the graph cannot be opened.
        StoreUnavailable
            If an alert's store could not be asked.
        """
        batches = list(self._batches(alerts))
        if len(batches) < 2 or self._running.threads < 2:
            found = [self._classify(batch, rules) for batch in batches]
        else:
            found = list(self._pool().map(lambda batch: self._classify(batch, rules), batches))
        return [classification for batch in found for classification in batch]

    def _batches(self, alerts: Sequence[ClassifiableAlert]) -> Iterator[Sequence[ClassifiableAlert]]:
        """Cut alerts into batches: as many as there are threads, or more if these were too large."""
        share = -(-len(alerts) // self._running.threads)
        size = max(1, min(self._running.batch, share))
        return (alerts[start : start + size] for start in range(0, len(alerts), size))

    def _classify(self, alerts: Sequence[ClassifiableAlert], rules: bool) -> list[Classification]:
        found: list[Classification | None] = []
        samples: list[Sample] = []
        for alert in alerts:
            made = self._prepare(alert, rules)
            if isinstance(made, Sample):
                samples.append(made)
            found.append(made if isinstance(made, Classification) else None)
        table = iter(self._ask(samples).tolist() if samples else ())
        waiting = iter(samples)
        return [
            self._answer(alert, next(waiting), next(table), rules) if one is None else one
            for alert, one in zip(alerts, found, strict=True)
        ]

    def _prepare(self, alert: ClassifiableAlert, rules: bool) -> Sample | Classification:
        """Prepare an alert for the model, or answer at once."""
        object_id = None
        try:
            object_id = alert.object_id
            contents = self._preparation.read(alert)
            if rules and self._preparation.is_ruled(contents):
                return self._asteroid(alert, object_id)
            return self._preparation.take(contents)
        except (Unfit, PacketCorrupt, TooLarge, NotFound) as error:
            return Classification(alert.alert_id, object_id, None, str(error))

    def _asteroid(self, alert: ClassifiableAlert, object_id: str | None) -> Classification:
        rule = self.definition.rules.asteroid
        assert rule is not None
        probabilities = {name: float(name == rule.class_name) for name in self.classes}
        return Classification(alert.alert_id, object_id, probabilities, rule="asteroid")

    def _ask(self, samples: list[Sample]) -> NDArray[np.float64]:
        """Run the graph; gives probabilities, (samples, classes)."""
        graph = self._graph()
        output = self.definition.output
        size = graph.rows or len(samples)
        parts = []
        for start in range(0, len(samples), size):
            some = samples[start : start + size]
            # A graph that takes one number of alerts only gets the last one again and again.
            filled = some + some[-1:] * (size - len(some))
            parts.append(graph.run(self._preparation.feed(filled), output.name)[: len(some)])
        found = np.concatenate(parts)
        if output.holds == "score":
            return np.hstack([found, 1 - found])
        if output.holds == "logits":
            found = np.exp(found - found.max(axis=1, keepdims=True))
            found /= found.sum(axis=1, keepdims=True)
        return found

    def _answer(self, alert: ClassifiableAlert, sample: Sample, row: list[float], rules: bool) -> Classification:
        if not all(map(isfinite, row)):
            return Classification(
                alert.alert_id, alert.object_id, None, "the model gives no number for this alert"
            )
        probabilities = dict(zip(self.classes, row, strict=True))
        dropped = self._preparation.why_dropped(sample, probabilities) if rules else None
        if dropped is not None:
            return Classification(alert.alert_id, alert.object_id, None, dropped, rule="supernova")
        return Classification(alert.alert_id, alert.object_id, probabilities)


def open_model(folder: Path, running: Running | None = None) -> OnnxClassifier:
    """Open a model directory.

    Parameters
    ----------
    folder : pathlib.Path
        The directory of `model.toml` and `model.onnx`.
    running : Running, optional
        How to run it; in one thread by default.

    Returns
    -------
    OnnxClassifier
        The classifier, whose graph was opened and tried out.

    Raises
    ------
    ConfigurationError
        If a file is missing or changed, the graph is not what `model.toml` says, or ONNX Runtime is not installed.
    """
    definition, graph = read_model(folder)
    classifier = OnnxClassifier(definition, graph, running or Running())
    classifier.check()
    return classifier
