"""The loop of every step: consume, process, sinks, produce, commit; in this order, so that nothing is lost.

Whatever is unavailable pauses the step: it stays in its group, reads nothing, and does the same again later.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import Generic, TypeVar

from stamp_service.errors import StoreUnavailable
from stamp_service.settings import Settings
from stamp_service.steps.connecting import (
    check_client,
    consumer_options,
    producer_options,
    writes_where_it_reads,
)
from stamp_service.steps.intake import Intake
from stamp_service.steps.messages import Item, Message, Output, Refusal, dead_letter
from stamp_service.steps.observing import Observer, StepMetrics
from stamp_service.steps.outbox import Outbox
from stamp_service.steps.step import Sink, Step
from stamp_service.steps.topics import Topics
from stamp_service.steps.transactions import TransactionalOutbox

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class _Stopped(Exception):
    """The step was told to stop while it waited for something."""


class _Loop(Generic[T]):
    """One step at work."""

    def __init__(
        self,
        step: Step[T],
        intake: Intake,
        outbox: Outbox | TransactionalOutbox,
        *,
        dead_letters: str,
        observer: Observer,
        stop: Event,
    ) -> None:
        self._step = step
        self._intake = intake
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._observer = observer
        self._stop = stop

    def run(self) -> None:
        """Work until told to stop; the batch under way is finished, unless it waits for something."""
        try:
            while not self._stop.is_set():
                with self._timed("consume"):
                    batch = self._intake.gather(self._stop.is_set)
                    self._observer.consumed(len(batch))
                if batch:
                    self._handle(batch)
                with self._timed("commit"):
                    self._intake.acknowledge(batch)
        except _Stopped:
            log.info("%s was stopped while it waited; the batch will come again", self._step.name)

    def _handle(self, batch: Sequence[Message]) -> None:
        processed = self._persist("process", lambda: self._step.process(self._held(batch)))
        self._count_refused("process", processed.refused)
        items, refused = list(processed.items), list(processed.refused)
        for sink in self._step.sinks:
            items, refused_here = self._keep(sink, items)
            self._count_refused(sink.name, refused_here)
            refused += refused_here
        self._produce(batch, items, refused)

    def _keep(self, sink: Sink[T], items: Sequence[Item[T]]) -> tuple[list[Item[T]], Sequence[Refusal]]:
        """Give items to a sink; gives those that it has, and those that it never will."""
        refused = self._persist(sink.name, lambda: sink.write(self._still(items)))
        lost = {id(refusal.message) for refusal in refused}
        return [item for item in self._still(items) if id(item.message) not in lost], refused

    def _produce(self, batch: Sequence[Message], items: Sequence[Item[T]], refused: Sequence[Refusal]) -> None:
        outbox = self._outbox
        if isinstance(outbox, TransactionalOutbox):
            # Nothing of an attempt that failed is left, so each is made of what is still ours.
            self._persist(
                "produce", lambda: outbox.deliver(self._waiting(items, refused), self._intake.reached(batch))
            )
        else:
            waiting = self._waiting(items, refused)
            self._persist("produce", lambda: outbox.deliver(waiting))

    def _waiting(self, items: Sequence[Item[T]], refused: Sequence[Refusal]) -> list[Output]:
        letters = [
            dead_letter(self._dead_letters, self._step.name, refusal)
            for refusal in refused
            if self._intake.holds(refusal.message)
        ]
        return [*self._step.outputs(self._still(items)), *letters]

    def _held(self, messages: Sequence[Message]) -> list[Message]:
        return [message for message in messages if self._intake.holds(message)]

    def _still(self, items: Sequence[Item[T]]) -> list[Item[T]]:
        """Leave out what was given to another member of the group meanwhile."""
        return [item for item in items if self._intake.holds(item.message)]

    def _count_refused(self, stage: str, refused: Sequence[Refusal]) -> None:
        if refused:
            self._observer.refused(stage, len(refused))
        for refusal in refused:
            message = refusal.message
            where = (message.topic, message.partition, message.offset)
            log.warning("refused %s, partition %d, offset %d: %s", *where, refusal.reason)

    def _persist(self, stage: str, call: Callable[[], R]) -> R:
        """Call until nothing is unavailable."""
        pause_s = _FIRST_PAUSE_S
        with self._timed(stage):
            while True:
                try:
                    done = call()
                except StoreUnavailable as error:
                    log.warning("%s waits %.1f s before it tries again: %s", stage, pause_s, error)
                    self._wait(stage, pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                else:
                    if pause_s > _FIRST_PAUSE_S:
                        self._observer.paused(None)
                        self._intake.resume()
                    return done

    def _wait(self, stage: str, seconds: float) -> None:
        self._observer.paused(stage)
        self._intake.idle(seconds, self._stop.is_set)
        if self._stop.is_set():
            raise _Stopped

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._observer.finished(stage, time.monotonic() - started)


def run_step(
    step: Step[T],
    settings: Settings,
    *,
    observer: Observer | None = None,
    stop: Event | None = None,
    transactional: bool = False,
) -> None:
    """Run a step until it is told to stop, and close it.

    Parameters
    ----------
    step : Step
        The step.
    settings : Settings
        Which broker, group and topics, and how large batches are.
    observer : Observer, optional
        Who is told what the step does.
    stop : threading.Event, optional
        Set it, and the step ends after the batch that it works on.
    transactional : bool
        Whether what it sends on and the offsets are written in one transaction, where the settings allow it and
        both are on the same brokers.

    Raises
    ------
    ConfigurationError
        If settings are missing or wrong, or Kafka's client is not installed.
    """
    with ExitStack() as stack:
        stack.callback(step.close)
        check_client()
        observer = observer or StepMetrics(step.name)
        outbox = _open_outbox(settings, transactional=transactional)
        stack.callback(outbox.close)
        intake = Intake(
            consumer_options(settings),
            Topics(settings),
            batch_messages=settings.consume_messages,
            batch_s=settings.consume_timeout_s,
            observer=observer,
        )
        stack.callback(intake.close)
        loop = _Loop(
            step,
            intake,
            outbox,
            dead_letters=settings.dead_letter_topic,
            observer=observer,
            stop=stop or Event(),
        )
        loop.run()


def _open_outbox(settings: Settings, *, transactional: bool) -> Outbox | TransactionalOutbox:
    if transactional and settings.transactions and writes_where_it_reads(settings):
        return TransactionalOutbox(producer_options(settings, transactional=True))
    return Outbox(producer_options(settings))
