"""Where a step's messages go to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from stamp_service.errors import StoreUnavailable
from stamp_service.steps.connecting import Options, client_log, make_client
from stamp_service.steps.messages import Output

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

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
            fate = Fate()
            for output in waiting:
                produce(self._producer, output, fate)
            if self._producer.flush(_FLUSH_S):
                # The client gives each message up before this. What is on its way now may come twice.
                fate = Fate(left=list(waiting), reason="no answer")
            waiting[:] = fate.left + shrink(fate.too_large, fate.too_large)
            if fate.left:
                raise StoreUnavailable(f"topic {fate.left[0].topic} takes no messages: {fate.reason}")

    def close(self) -> None:
        """Wait a moment for what was not waited for."""
        self._producer.flush(1.0)


@dataclass
class Fate:
    """What became of messages that were not delivered.

    Parameters
    ----------
    left : list of Output
        Those that the broker did not take.
    too_large : list of Output
        Those that were in a batch that is too large, and can do without their values.
    reason : str
        Why it did not take one of `left`.
    """

    left: list[Output] = field(default_factory=list)
    too_large: list[Output] = field(default_factory=list)
    reason: str = ""

    def settle(
        self,
        output: Output,
        error: "KafkaError | None",
        message: object,  # noqa: ARG002 - as it is called
    ) -> None:
        """Note what became of one; the client calls this.

        Parameters
        ----------
        output : Output
            The message.
        error : KafkaError or None
            Why it was not delivered, if it was not.
        message : object
            The client's form of the message.
        """
        from confluent_kafka import KafkaError  # noqa: PLC0415 - an extra

        if error is None:
            return
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and output.expendable_value:
            self.too_large.append(output)
        else:
            self.left.append(output)
            self.reason = error.str()


def produce(producer: "Producer", output: Output, fate: Fate) -> None:
    """Hand a message to the client.

    Parameters
    ----------
    producer : Producer
        The client.
    output : Output
        The message.
    fate : Fate
        Where it is noted what became of it.
    """
    while True:
        try:
            producer.produce(
                output.topic,
                output.value,
                output.key,
                headers=list(output.headers),
                on_delivery=partial(fate.settle, output),
            )
        except BufferError:  # the client's own queue is full
            producer.poll(1.0)
        else:
            producer.poll(0)
            return


def shrink(outputs: Sequence[Output], too_large: Sequence[Output]) -> list[Output]:
    """Take the values out of messages that are too large.

    The broker refuses messages by the batch, for its largest one. So only those lose their values that are at
    least half as large as the largest.

    Parameters
    ----------
    outputs : sequence of Output
        The messages.
    too_large : sequence of Output
        Those of them that were refused, and whose values are expendable.

    Returns
    -------
    list of Output
        The messages, some without their values.
    """
    half = max((len(output.value or b"") for output in too_large), default=0) / 2
    large = {id(output) for output in too_large if len(output.value or b"") >= half}
    return [
        replace(output, value=None, expendable_value=False) if id(output) in large else output
        for output in outputs
    ]
