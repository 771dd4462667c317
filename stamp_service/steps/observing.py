"""What operators see of a step: counters, timings and the lag, for Prometheus."""

from collections.abc import Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Observer(Protocol):
    """Somebody who is told what a step does."""

    def consumed(self, count: int) -> None:
        """Note that messages came.

        Parameters
        ----------
        count : int
            How many.
        """

    def finished(self, stage: str, seconds: float) -> None:
        """Note that a stage is done with a batch.

        Parameters
        ----------
        stage : str
            `consume`, `process`, a sink's name, `produce` or `commit`.
        seconds : float
            How long it took, waiting included.
        """

    def refused(self, stage: str, count: int) -> None:
        """Note that messages go to the dead letters.

        Parameters
        ----------
        stage : str
            Who refused them: `process` or a sink's name.
        count : int
            How many.
        """

    def paused(self, stage: str | None) -> None:
        """Note that the step waits, or goes on.

        Parameters
        ----------
        stage : str or None
            What it waits for; None once it goes on.
        """

    def lags(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Note how far behind the step is.

        Parameters
        ----------
        lags : mapping of tuple to int
            Messages that are not acknowledged, by topic and partition; of all partitions that the step has.
        """


class StepMetrics:
    """The metrics of one step; an `Observer`.

    Parameters
    ----------
    step : str
        The step's name, a label of all of them.
    """

    def __init__(self, step: str) -> None:
        self.registry = CollectorRegistry()
        self._step = step
        self._consumed = self._counter("stamp_step_messages", "Messages consumed").labels(step)
        self._refused = self._counter("stamp_step_refused", "Messages sent to the dead letters", "stage")
        self._pauses = self._counter("stamp_step_pauses", "Waits for something that is unavailable", "stage")
        self._stages = Histogram(
            "stamp_step_stage_seconds",
            "Time of a stage per batch, waiting included",
            ["step", "stage"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._paused = Gauge(
            "stamp_step_paused", "1 while the step waits", ["step"], registry=self.registry
        ).labels(step)
        self._lag = Gauge(
            "stamp_step_lag_messages",
            "Messages not yet acknowledged",
            ["step", "topic", "partition"],
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ["step", *labels], registry=self.registry)

    def serve(self, port: int, address: str) -> None:
        """Answer Prometheus on a port, for as long as the process lives.

        Parameters
        ----------
        port : int
            The port.
        address : str
            The address to listen on.

        Raises
        ------
        OSError
            If the port is taken.
        """
        start_http_server(port, addr=address, registry=self.registry)

    def consumed(self, count: int) -> None:
        """Count messages.

        Parameters
        ----------
        count : int
            How many came.
        """
        self._consumed.inc(count)

    def finished(self, stage: str, seconds: float) -> None:
        """Count a stage's time.

        Parameters
        ----------
        stage : str
            Which.
        seconds : float
            How long it took.
        """
        self._stages.labels(self._step, stage).observe(seconds)

    def refused(self, stage: str, count: int) -> None:
        """Count dead letters.

        Parameters
        ----------
        stage : str
            Who refused them.
        count : int
            How many.
        """
        self._refused.labels(self._step, stage).inc(count)

    def paused(self, stage: str | None) -> None:
        """Show whether the step waits.

        Parameters
        ----------
        stage : str or None
            What it waits for, if it does.
        """
        self._paused.set(stage is not None)
        if stage is not None:
            self._pauses.labels(self._step, stage).inc()

    def lags(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Show the lag.

        Parameters
        ----------
        lags : mapping of tuple to int
            Messages by topic and partition; partitions that are not in it are no longer shown.
        """
        self._lag.clear()
        for (topic, partition), lag in lags.items():
            self._lag.labels(self._step, topic, str(partition)).set(lag)
