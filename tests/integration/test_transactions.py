"""Messages and offsets in one transaction, with a real broker: both or neither, and no more than once."""

import uuid
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, TopicPartition

from stamp_service.errors import StoreUnavailable
from stamp_service.settings import load_settings
from stamp_service.steps import Output
from stamp_service.steps.connecting import producer_options
from stamp_service.steps.transactions import Reached, TransactionalOutbox
from tests.integration.services.waiting import wait_until


@pytest.fixture
def outbox(kafka):
    settings = load_settings(consumer_server=kafka.server, consumer_group_id="group", consumer_topics=("alerts",))
    outbox = TransactionalOutbox(producer_options(settings, transactional=True))
    yield outbox
    outbox.close()


@contextmanager
def reading(kafka, topic):
    """Join a new group; gives its consumer, and how far it wants to come."""
    consumer = Consumer({"bootstrap.servers": kafka.server, "group.id": uuid.uuid4().hex, "log_level": 0})
    consumer.subscribe([topic])
    wait_until(lambda: consumer.poll(0.1) is None and consumer.assignment(), "it joins")
    offsets = [TopicPartition(topic, 0, 3)]

    def is_committed() -> bool:
        return consumer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset >= 3

    yield consumer, Reached(offsets, consumer.consumer_group_metadata(), is_committed)
    consumer.close()


def values_in(kafka, topic, **how) -> list[bytes | None]:
    return [message.value() for message in kafka.read(topic, **how)]


def test_messages_and_offsets_come_together(kafka, outbox):
    topic, results = kafka.create_topic(), kafka.create_topic("results")
    with reading(kafka, topic) as (_, reached):
        outbox.deliver([], reached)
        assert not reached.is_committed()
        outbox.deliver([Output(results, b"one"), Output(results, b"two")], reached)
        assert reached.is_committed()
    assert values_in(kafka, results) == [b"one", b"two"]


def test_of_an_attempt_that_fails_nothing_is_left(kafka, outbox):
    topic, results = kafka.create_topic(), kafka.create_topic("results")
    letters = kafka.create_topic("letters", max_message_bytes="1000")
    with reading(kafka, topic) as (_, reached):
        with pytest.raises(StoreUnavailable, match="takes no messages"):
            outbox.deliver([Output(results, b"one"), Output(letters, bytes(5000))], reached)
        assert not reached.is_committed()
        assert values_in(kafka, results) == []
        # A letter goes without its value; what else was in the transaction is sent again with it.
        outbox.deliver([Output(results, b"one"), Output(letters, bytes(5000), expendable_value=True)], reached)
        assert reached.is_committed()
    assert values_in(kafka, results) == [b"one"]
    assert values_in(kafka, letters) == [None]
    assert values_in(kafka, results, committed=False).count(b"one") > 1


def test_what_was_committed_although_it_looked_otherwise_is_not_sent_again(kafka, outbox):
    topic, results = kafka.create_topic(), kafka.create_topic("results", max_message_bytes="1000")
    with reading(kafka, topic) as (consumer, reached):
        with pytest.raises(StoreUnavailable):
            outbox.deliver([Output(results, bytes(5000))], reached)
        consumer.commit(offsets=reached.offsets, asynchronous=False)
        outbox.deliver([Output(results, b"one")], reached)
        assert values_in(kafka, results) == []
        outbox.deliver([Output(results, b"two")], reached)
    assert values_in(kafka, results) == [b"two"]


def test_who_is_no_longer_in_the_group_commits_nothing(kafka, outbox):
    topic, results = kafka.create_topic(), kafka.create_topic("results")
    with reading(kafka, topic) as (consumer, reached):
        consumer.unsubscribe()
        consumer.close()
        with pytest.raises(StoreUnavailable, match="the transaction failed"):
            outbox.deliver([Output(results, b"one")], reached)
    assert values_in(kafka, results) == []
