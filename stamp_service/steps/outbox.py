"""Where a step's messages go to."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from stamp_service.errors import StoreUnavailable
from stamp_service.steps.connecting import Options, client_log
from stamp_service.steps.messages import Output

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

log = logging.getLogger(__name__)

# Longer than the client itself tries.
_FLUSH_S = 60.0


class Outbox:
    """Produces messages and waits until the broker has them.

    Parameters
    ----------
    options : dict
        Options of the producer.
    """

    def __init__(self, options: Options) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - an extra

        self._producer = Producer(dict(options), logger=client_log("producer"))

    def deliver(self, waiting: list[Output]) -> None:
        """Produce messages, and wait for what becomes of them.

        Parameters
        ----------
        waiting : list of Output
            The messages. Those that the broker has are taken out, so that the same list can be given again.

        Raises
        ------
        StoreUnavailable
            If the broker does not take them now.
        """
        while waiting:
            left: list[Output] = []
            smaller: list[Output] = []
            for output in waiting:
                self._produce(output, partial(self._settle, output, left, smaller))
            if self._producer.flush(_FLUSH_S):
                # The client gives each message up before this. What is on its way now may come twice.
                left = list(waiting)
            waiting[:] = left + smaller
            if left:
                raise StoreUnavailable(f"{left[0].topic} does not take messages")

    def _produce(self, output: Output, settle: "Callable[[KafkaError | None, object], None]") -> None:
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    output.value,
                    output.key,
                    headers=list(output.headers),
                    on_delivery=settle,
                )
            except BufferError:  # the client's own queue is full
                self._producer.poll(1.0)
            else:
                self._producer.poll(0)
                return

    def _settle(
        self, output: Output, left: list[Output], smaller: list[Output], error: "KafkaError | None", _: object
    ) -> None:
        from confluent_kafka import KafkaError  # noqa: PLC0415 - an extra

        if error is None:
            return
        log.warning("a message to %s was not taken: %s", output.topic, error.str())
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and output.expendable_value:
            smaller.append(replace(output, value=None, expendable_value=False))
        else:
            left.append(output)

    def close(self) -> None:
        """Wait a moment for what was not waited for."""
        self._producer.flush(1.0)
