"""What operators see of the steps that classify, besides what they see of every step."""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter


class ClassifierMetrics:
    """What Prometheus sees of a classifying step, besides what it sees of every step.

    Parameters
    ----------
    step : str
        The step's name, a label of all of them.
    registry : CollectorRegistry
        Where they are shown.
    """

    def __init__(self, step: str, registry: CollectorRegistry) -> None:
        self._step = step
        classes = ["step", "class"]
        self._objects = Counter(
            "stamp_step_objects", "Objects, by their most probable class", classes, registry=registry
        )
        self._left_out = Counter(
            "stamp_step_left_out", "Alerts that nothing is sent on of", ["step", "reason"], registry=registry
        )

    def count(self, classes: Iterable[str], left_out: Mapping[str, int]) -> None:
        """Count what became of a batch.

        Parameters
        ----------
        classes : iterable of str
            The most probable class of each object that was classified.
        left_out : mapping of str to int
            Alerts that nothing is sent on of and that are no dead letters, by the reason.
        """
        for name, count in Tally(classes).items():
            self._objects.labels(self._step, name).inc(count)
        for reason, count in left_out.items():
            self._left_out.labels(self._step, reason).inc(count)
