"""Where a step's messages come from: a member of a consumer group.

Messages are read one by one, because only so it is known of each whether it came before or after a rebalance.
Every time that a partition is assigned, a new tenure of it starts. A message of a past tenure is no longer ours:
whoever has the partition now reads it again, and an offset that we committed for it might skip what was read
between.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

import orjson

from stamp_service.errors import ConfigurationError
from stamp_service.steps.connecting import Options, Seldom, client_log, make_client
from stamp_service.steps.messages import Message
from stamp_service.steps.observing import Observer
from stamp_service.steps.topics import Topics
from stamp_service.steps.transactions import Reached

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    from confluent_kafka import Message as KafkaMessage

log = logging.getLogger(__name__)

Partition = tuple[str, int]
# How soon a request to stop is noticed.
_SLICE_S = 0.25
# A batch is full with so many bytes, however few messages they are.
_BATCH_BYTES = 128 * 1024 * 1024
_ANSWER_S = 10.0


class Intake:
    """Reads messages and commits their offsets.

    Parameters
    ----------
    options : dict
        Options of the consumer.
    topics : Topics
        What to read.
    batch_messages : int
        Most messages of a batch.
    batch_s : float
        Longest time to wait for a batch to fill.
    observer : Observer
        Who is told the lag.
    """

    def __init__(
        self, options: Options, topics: Topics, *, batch_messages: int, batch_s: float, observer: Observer
    ) -> None:
        from confluent_kafka import Consumer  # noqa: PLC0415 - an extra

        self._topics = topics
        self._batch_messages = batch_messages
        self._batch_s = batch_s
        self._observer = observer
        self._tenures: dict[Partition, int] = {}
        self._new_tenure = count(1)
        self._early: list[Message] = []
        self._done: dict[Partition, int] = {}
        self._is_paused = False
        self._has_joined = False
        self._subscribed: Sequence[str] = ()
        self._seldom = Seldom()
        own = {"error_cb": self._note, "stats_cb": self._tell_lags}
        self._consumer = make_client(lambda: Consumer(options | own, logger=client_log("consumer")))

    def gather(self, is_stopping: Callable[[], bool]) -> list[Message]:
        """Read a batch.

        Parameters
        ----------
        is_stopping : callable
            Says whether to return at once with what has come.

        Returns
        -------
        list of Message
            Messages, in each partition's order; none if none came in time.
        """
        self._subscribe()
        batch, self._early = self._early, []
        size = sum(len(message.value or b"") for message in batch)
        deadline = time.monotonic() + self._batch_s
        while len(batch) < self._batch_messages and size < _BATCH_BYTES and not is_stopping():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            message = self._poll(min(left_s, _SLICE_S))
            if message is not None:
                batch.append(message)
                size += len(message.value or b"")
        return [message for message in batch if self.holds(message)]

    def _subscribe(self) -> None:
        topics = self._topics.at(datetime.now(UTC))
        if topics == self._subscribed:
            return
        log.info("reading %s", ", ".join(topics))
        self._consumer.subscribe(list(topics), on_assign=self._take, on_revoke=self._give_up, on_lost=self._lose)
        self._subscribed = topics

    def _poll(self, timeout_s: float) -> Message | None:
        raw = self._consumer.poll(timeout_s)
        if raw is None:
            return None
        error = raw.error()
        if error is not None:
            self._note(error)
            return None
        return self._read(raw)

    def _read(self, raw: "KafkaMessage") -> Message:
        topic, partition, offset = raw.topic(), raw.partition(), raw.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        headers = raw.headers() or []
        pairs: Iterable[tuple[str, str | bytes | None]] = headers.items() if isinstance(headers, dict) else headers
        timestamp_type, timestamp_ms = raw.timestamp()
        return Message(
            topic=topic,
            partition=partition,
            offset=offset,
            value=raw.value(),
            key=raw.key(),
            headers=tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs),
            timestamp_ms=timestamp_ms if timestamp_type else None,
            tenure=self._tenures.get((topic, partition), 0),
        )

    def holds(self, message: Message) -> bool:
        """Find out whether a message is still ours.

        Parameters
        ----------
        message : Message
            A message that was read.

        Returns
        -------
        bool
            False once its partition was given up, even if it came back.
        """
        return self._tenures.get((message.topic, message.partition)) == message.tenure

    def idle(self, seconds: float, is_stopping: Callable[[], bool]) -> None:
        """Stay in the group and read nothing.

        Parameters
        ----------
        seconds : float
            How long.
        is_stopping : callable
            Says whether to return at once.
        """
        if not self._is_paused:
            self._is_paused = True
            self._consumer.pause(self._consumer.assignment())
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0 and not is_stopping():
            message = self._poll(min(left_s, _SLICE_S))
            if message is not None:  # it was on its way when reading was paused
                self._early.append(message)

    def resume(self) -> None:
        """Read on."""
        if self._is_paused:
            self._is_paused = False
            self._consumer.resume(self._consumer.assignment())

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Commit the offsets of messages that are dealt with.

        What cannot be committed now is tried again with the next batch; if that never comes, the messages do.

        Parameters
        ----------
        messages : iterable of Message
            Whole batches only.
        """
        for message in messages:
            if self.holds(message):
                self._done[message.topic, message.partition] = message.offset + 1
        self._commit()

    def reached(self, messages: Iterable[Message]) -> Reached:
        """Say what acknowledges messages, for somebody else to commit it.

        Parameters
        ----------
        messages : iterable of Message
            A whole batch.

        Returns
        -------
        Reached
            The offsets of those that are still ours, and who commits them.
        """
        from confluent_kafka import TopicPartition  # noqa: PLC0415 - an extra

        ends = {(one.topic, one.partition): one.offset + 1 for one in messages if self.holds(one)}
        offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]

        def is_committed() -> bool:
            found = self._consumer.committed(offsets, timeout=_ANSWER_S)
            return all(have.offset >= wanted.offset for have, wanted in zip(found, offsets, strict=True))

        return Reached(offsets, self._consumer.consumer_group_metadata(), is_committed)

    def _commit(self) -> None:
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 - an extra

        if not self._done:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._done.items()]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            log.warning("offsets could not be committed and will be with the next batch: %s", error)
            return
        for partition in committed:
            if partition.error is None:
                self._done.pop((partition.topic, partition.partition), None)
            else:
                log.warning("the offset of %s could not be committed: %s", partition.topic, partition.error)

    def _take(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        self._has_joined = True
        for partition in partitions:
            self._tenures[partition.topic, partition.partition] = next(self._new_tenure)
        consumer.assign(partitions)
        # The client remembers that a partition was paused in an earlier tenure.
        (consumer.pause if self._is_paused else consumer.resume)(partitions)
        log.info("has %d partitions", len(self._tenures))

    def _give_up(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
        self._commit()
        self._lose(consumer, partitions)

    def _lose(self, consumer: "Consumer", partitions: "list[TopicPartition]") -> None:  # noqa: ARG002 - as it is called
        for partition in partitions:
            self._tenures.pop((partition.topic, partition.partition), None)
            self._done.pop((partition.topic, partition.partition), None)

    def _note(self, error: "KafkaError") -> None:
        """Log what went wrong, not every time. The client itself tries again."""
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 - an extra

        if error.fatal():
            raise KafkaException(error)
        if error.code() == KafkaError._AUTHENTICATION and not self._has_joined:
            # Later on this may pass, such as while a broker starts. At the beginning it is the settings.
            raise ConfigurationError(
                "Kafka refuses who asks: see CONSUMER_USERNAME, CONSUMER_PASSWORD and CONSUMER_SASL_MECHANISM"
            )
        if self._seldom.allows(error.name()):
            log.warning("Kafka: %s", error.str())

    def _tell_lags(self, statistics: str) -> None:
        lags = {}
        for topic, found in orjson.loads(statistics)["topics"].items():
            for partition in self._tenures.keys() & {(topic, int(number)) for number in found["partitions"]}:
                state = found["partitions"][str(partition[1])]
                # Negative is unknown: what the group has never committed, it reads from the start.
                start = state["committed_offset"] if state["committed_offset"] >= 0 else state["lo_offset"]
                if state["hi_offset"] >= 0 and start >= 0:
                    lags[partition] = max(0, state["hi_offset"] - start)
        self._observer.lags(lags)

    def close(self) -> None:
        """Leave the group, after what is done was committed."""
        self._commit()
        self._consumer.close()
