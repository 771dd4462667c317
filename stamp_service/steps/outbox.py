"""Where a step's messages go to."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from stamp_service.errors import StoreUnavailable
from stamp_service.steps.connecting import Options, client_log, make_client
from stamp_service.steps.messages import Output

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

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

        self._producer = make_client(lambda: Producer(options, logger=client_log("producer")))

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
            fate = _Fate()
            for output in waiting:
                self._produce(output, partial(fate.settle, output))
            if self._producer.flush(_FLUSH_S):
                # The client gives each message up before this. What is on its way now may come twice.
                fate = _Fate(left=list(waiting), reason="no answer")
            waiting[:] = fate.left + fate.smaller
            if fate.left:
                raise StoreUnavailable(f"topic {fate.left[0].topic} takes no messages: {fate.reason}")

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

    def close(self) -> None:
        """Wait a moment for what was not waited for."""
        self._producer.flush(1.0)


@dataclass
class _Fate:
    """What became of messages that were not delivered."""

    left: list[Output] = field(default_factory=list)
    smaller: list[Output] = field(default_factory=list)
    reason: str = ""

    def settle(self, output: Output, error: "KafkaError | None", _: object) -> None:
        """Note what became of one; the client calls this."""
        from confluent_kafka import KafkaError  # noqa: PLC0415 - an extra

        if error is None:
            return
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and output.expendable_value:
            self.smaller.append(replace(output, value=None, expendable_value=False))
        else:
            self.left.append(output)
            self.reason = error.str()
