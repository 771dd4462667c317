"""What operators scrape: requests, store lookups, decode and draw times, caches, write-backs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal, get_args

from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_flask_exporter import PrometheusMetrics

from stamp_service.index import IndexOutcome
from stamp_service.lake.side_index import Tier
from stamp_service.observer import LookupOutcome
from stamp_service.stores.write_backs import WriteBackOutcome

_LOOKUP_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
# A fragment takes a fraction of a millisecond, a file read whole may take seconds.
_LAKE_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 5)
Stage = Literal["decode", "draw"]


def _outcomes(name: str, what: str, outcomes: object, registry: CollectorRegistry) -> Counter:
    """Make a counter that starts with zeros, so that the first failure is a step up, which alarms see."""
    counter = Counter(f"stamp_{name}", what, ["outcome"], registry=registry)
    for outcome in get_args(outcomes):
        counter.labels(outcome)
    return counter


class Metrics:
    """The counters and histograms of one application; also what the resolver reports to.

    Parameters
    ----------
    app : flask.Flask
        The application; gets `/metrics`, which adds up all workers where they share a folder.
    """

    def __init__(self, app: Flask) -> None:
        registry = CollectorRegistry()
        # The exporter's own request metrics cost a fifth of a request that is answered from memory: its hooks look
        # up labels by name, five times. These have its names and labels, and `exchange` counts into them.
        PrometheusMetrics(app, path="/metrics", export_defaults=False, registry=registry)
        requests = Histogram(
            "flask_http_request_duration_seconds",
            "Flask HTTP request duration in seconds",
            ["method", "url_rule", "status"],
            registry=registry,
        )
        requests_total = Counter(
            "flask_http_request", "Total number of HTTP requests", ["method", "status"], registry=registry
        )
        # Few: methods, routes and statuses. Finding them by their labels each time would cost more than counting.
        self._of_request = cache(
            lambda method, url_rule, status: (
                requests.labels(method, url_rule, status),
                requests_total.labels(method, status),
            )
        )

        def times(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"stamp_{name}_seconds", what, labels, buckets=buckets, registry=registry)

        self._lookups = times(
            "store_lookup", "Time to ask a store for a packet", _LOOKUP_BUCKETS_S, "store", "outcome"
        )
        self._lake_reads = times("lake_read", "Time to read cutouts out of a lake", _LAKE_BUCKETS_S, "tier")
        self._stages = {
            stage: times(stage, f"Time to {stage} a stamp", _STAGE_BUCKETS_S) for stage in ("decode", "draw")
        }
        self._cache = Counter("stamp_cache_requests", "Cache lookups", ["cache", "outcome"], registry=registry)
        self._write_backs = _outcomes("write_backs", "Packets written back", WriteBackOutcome, registry)
        self._indexed = _outcomes("index_alerts", "Alerts entered into the index", IndexOutcome, registry)
        for tier in get_args(Tier):
            self._lake_reads.labels(tier)

    def request_answered(self, method: str, url_rule: str, status: int, seconds: float) -> None:
        """Note that a request was answered.

        Parameters
        ----------
        method : str
            HTTP method.
        url_rule : str
            The route; never the path, whose values would be endless.
        status : int
            HTTP status.
        seconds : float
            How long that took.
        """
        duration, total = self._of_request(method, url_rule, status)
        duration.observe(seconds)
        total.inc()

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure a stage of making a picture.

        Parameters
        ----------
        stage : str
            `decode` or `draw`.

        Yields
        ------
        None
            While the stage runs.
        """
        started_s = time.perf_counter()
        yield
        self._stages[stage].observe(time.perf_counter() - started_s)

    def store_asked(self, store: str, outcome: LookupOutcome, seconds: float) -> None:
        """Note that a store was asked; see `observer.Observer`.

        Parameters
        ----------
        store : str
            The store's name.
        outcome : str
            What it said.
        seconds : float
            How long that took.
        """
        self._lookups.labels(store, outcome).observe(seconds)

    def lake_read(self, tier: Tier, seconds: float) -> None:
        """Note that cutouts were read out of a lake.

        Parameters
        ----------
        tier : str
            How: `fragment`, `page` or `pyarrow`.
        seconds : float
            How long that took, from the ids to the cutouts.
        """
        self._lake_reads.labels(tier).observe(seconds)

    def cache_asked(self, *, hit: bool) -> None:
        """Note that the cache of packets was asked; see `observer.Observer`.

        Parameters
        ----------
        hit : bool
            Whether it had the packet.
        """
        self._count("packets", hit=hit)

    def picture_asked(self, *, hit: bool) -> None:
        """Note that the cache of drawn pictures was asked.

        Parameters
        ----------
        hit : bool
            Whether it had the picture.
        """
        self._count("pictures", hit=hit)

    def written_back(self, outcome: WriteBackOutcome) -> None:
        """Note that a packet was written back, or not; see `observer.Observer`.

        Parameters
        ----------
        outcome : str
            How it ended.
        """
        self._write_backs.labels(outcome).inc()

    def indexed(self, outcome: IndexOutcome, alerts: int) -> None:
        """Note that alerts were entered into the index, or not; see `observer.Observer`.

        Parameters
        ----------
        outcome : str
            How it ended.
        alerts : int
            How many.
        """
        self._indexed.labels(outcome).inc(alerts)

    def _count(self, cache: str, *, hit: bool) -> None:
        self._cache.labels(cache, "hit" if hit else "miss").inc()
