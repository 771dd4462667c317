"""Messages and offsets in one transaction: a reader of committed messages sees a batch's results once, or not yet.

The brokers undo the transaction of a step that is killed, and its batch comes again. Results and offsets are on
the same brokers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stamp_service.errors import StoreUnavailable
from stamp_service.steps.connecting import Options, client_log, make_client
from stamp_service.steps.messages import Output
from stamp_service.steps.outbox import Fate, produce, shrink

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

# Each request; the brokers undo a transaction that takes longer.
_TRANSACTION_S = 10.0
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a batch brings its group.

    Parameters
    ----------
    offsets : list of TopicPartition
        The offsets that acknowledge it.
    group : object
        Who acknowledges: the group's metadata, as Kafka's client gives it.
    is_committed : callable
        Asks the brokers whether the group is there already.
    """

    offsets: "list[TopicPartition]"
    group: object
    is_committed: Callable[[], bool]


class TransactionalOutbox:
    """Produces messages and commits offsets, both or neither.

    Parameters
    ----------
    options : dict
        Options of the producer, `transactional.id` among them.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._failed = False
        self._renew()

    def _renew(self) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - an extra

        self._is_ready = False
        self._producer: Producer = make_client(lambda: Producer(self._options, logger=client_log("producer")))

    def deliver(self, outputs: Sequence[Output], reached: Reached) -> None:
        """Produce messages and commit offsets.

        Parameters
        ----------
        outputs : sequence of Output
            The messages; without any, nothing is done.
        reached : Reached
            The offsets.

        Raises
        ------
        StoreUnavailable
            If that cannot be done now; nothing is, then.
        """
        from confluent_kafka import KafkaException  # noqa: PLC0415 - an extra

        waiting = list(outputs)
        try:
            while waiting:
                fate = self._attempt(waiting, reached)
                if fate.left:
                    raise StoreUnavailable(f"topic {fate.left[0].topic} takes no messages: {fate.reason}")
                if not fate.too_large:
                    return
                waiting = shrink(waiting, fate.too_large)
        except KafkaException as error:
            self._abandon()
            raise StoreUnavailable(f"the transaction failed: {error.args[0].str()}") from None

    def _attempt(self, waiting: Sequence[Output], reached: Reached) -> Fate:
        if self._failed and reached.is_committed():
            # What looked like a failure was only an answer that got lost.
            self._failed = False
            return Fate()
        producer = self._producer
        if not self._is_ready:
            # Undoes what was left open under the same id.
            producer.init_transactions(_START_S)
            self._is_ready = True
        producer.begin_transaction()
        fate = Fate()
        for output in waiting:
            produce(producer, output, fate)
        producer.flush(_TRANSACTION_S)
        if fate.left or fate.too_large:
            self._abandon()
            return fate
        producer.send_offsets_to_transaction(reached.offsets, reached.group, _TRANSACTION_S)
        producer.commit_transaction(_TRANSACTION_S)
        self._failed = False
        return fate

    def _abandon(self) -> None:
        """Let go of the client: whatever state it is in, the next one starts from nothing."""
        self._failed = True
        self._producer.purge()
        self._renew()

    def close(self) -> None:
        """Let go of what was not committed."""
        self._producer.purge()
