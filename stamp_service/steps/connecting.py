"""What the settings mean to Kafka's client."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import SecretStr

from stamp_service.errors import ConfigurationError
from stamp_service.settings import Settings

Options = dict[str, object]
T = TypeVar("T")

# A batch may take as long as this, its sinks' time-outs included, before the group gives its partitions away.
_LONGEST_BATCH_MS = 600_000
# How often topics are looked for that did not exist.
_LOOK_FOR_TOPICS_MS = 10_000
_STATISTICS_MS = 5_000
_FETCHED_AHEAD_KIB = 64 * 1024
_DELIVERY_MS = 30_000
# What a step that was killed leaves open keeps readers, and its successor, waiting for so long.
_TRANSACTION_MS = 10_000
# What the loop relies on, whatever the settings say: offsets are committed once everything else is done and never
# by a clock, and a rebalance takes all partitions before it gives some.
_RELIED_ON: Options = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "group.protocol": "classic",
    "partition.assignment.strategy": "range,roundrobin",
}
# What is logged again and again is logged this often.
_REPEAT_S = 60.0
# The broker decides what is too large.
_ANY_SIZE_BYTES = 1_000_000_000


def check_client() -> None:
    """Find out whether Kafka's client is installed.

    Raises
    ------
    ConfigurationError
        If it is not.
    """
    try:
        import confluent_kafka  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("steps need confluent-kafka: install stamp-service[steps]") from None


def consumer_options(settings: Settings) -> Options:
    """Write the options of the consumer.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    dict
        Options as librdkafka names them.

    Raises
    ------
    ConfigurationError
        If the broker or the group is not named.
    """
    if settings.consumer_server is None:
        raise ConfigurationError("CONSUMER_SERVER is not set")
    if settings.consumer_group_id is None:
        raise ConfigurationError("CONSUMER_GROUP_ID is not set")
    return {
        "bootstrap.servers": settings.consumer_server,
        "group.id": settings.consumer_group_id,
        # What a group has not read yet is read from the start: replaying is harmless, skipping is not.
        "auto.offset.reset": "earliest",
        "max.poll.interval.ms": _LONGEST_BATCH_MS,
        "topic.metadata.refresh.interval.ms": _LOOK_FOR_TOPICS_MS,
        "statistics.interval.ms": _STATISTICS_MS,
        "queued.max.messages.kbytes": _FETCHED_AHEAD_KIB,
        "check.crcs": True,
        **_sasl(
            "CONSUMER",
            settings.consumer_username,
            settings.consumer_password,
            settings.consumer_security_protocol,
            settings.consumer_sasl_mechanism,
        ),
        **_revealed(settings.consumer_options),
        **_RELIED_ON,
    }


def producer_options(settings: Settings, server: str | None = None, *, transactional: bool = False) -> Options:
    """Write the options of a producer, by default for the brokers that are read from.

    Parameters
    ----------
    settings : Settings
        The settings.
    server : str, optional
        Other brokers, which are written to with the same user name and options.
    transactional : bool
        Whether it writes in transactions.

    Returns
    -------
    dict
        Options as librdkafka names them.
    """
    common: Options = {"acks": "all", "message.max.bytes": _ANY_SIZE_BYTES, "linger.ms": 5}
    if transactional:
        common |= {"transactional.id": f"stamp-{uuid.uuid4()}", "transaction.timeout.ms": _TRANSACTION_MS}
    else:
        common["message.timeout.ms"] = _DELIVERY_MS
    if settings.producer_server is None:
        reading = consumer_options(settings)
        connection = {
            name: value
            for name, value in reading.items()
            if name == "bootstrap.servers" or name.startswith(("security.", "sasl.", "ssl."))
        }
    else:
        connection = {"bootstrap.servers": settings.producer_server} | _sasl(
            "PRODUCER",
            settings.producer_username,
            settings.producer_password,
            settings.producer_security_protocol,
            settings.producer_sasl_mechanism,
        )
    elsewhere: Options = {} if server is None else {"bootstrap.servers": server}
    return common | connection | _revealed(settings.producer_options) | elsewhere


def same_brokers(server: str, other: str | None) -> bool:
    """Say whether two settings name the same brokers: one in common is enough.

    Parameters
    ----------
    server : str
        Brokers, `host:port`, separated by commas.
    other : str or None
        Brokers again, if any.

    Returns
    -------
    bool
        True if they do.
    """
    words, others = ({word.strip() for word in text.split(",")} for text in (server, other or ""))
    return bool(words & others)


def writes_where_it_reads(settings: Settings) -> bool:
    """Say whether results go to the brokers that alerts come from, without which no transaction covers both.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    bool
        True if they do.
    """
    return settings.producer_server is None or same_brokers(settings.producer_server, settings.consumer_server)


def _sasl(side: str, username: str | None, password: SecretStr | None, protocol: str, mechanism: str) -> Options:
    if username is None and password is None:
        return {}
    if username is None or password is None:
        raise ConfigurationError(f"of {side}_USERNAME and {side}_PASSWORD only one is set")
    return {
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "sasl.username": username,
        "sasl.password": password.get_secret_value(),
    }


def _revealed(options: Mapping[str, SecretStr]) -> Options:
    return {name: value.get_secret_value() for name, value in options.items()}


def make_client(make: Callable[[], T]) -> T:
    """Make a consumer or producer.

    Parameters
    ----------
    make : callable
        Makes it.

    Returns
    -------
    object
        The client; it connects on its own.

    Raises
    ------
    ConfigurationError
        If it refuses its options.
    """
    from confluent_kafka import KafkaException  # noqa: PLC0415 - an extra

    try:
        return make()
    except KafkaException as error:
        raise ConfigurationError(f"Kafka's client refuses its options: {error.args[0].str()}") from None


class Seldom(logging.Filter):
    """Lets a client's complaint pass once a minute: it repeats itself with every attempt to connect."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide about a line.

        Parameters
        ----------
        record : logging.LogRecord
            The line; its first word says what it is about.

        Returns
        -------
        bool
            Whether it passes.
        """
        return self.allows(record.getMessage().partition(" ")[0])

    def allows(self, subject: str) -> bool:
        """Decide about a subject.

        Parameters
        ----------
        subject : str
            What a line is about.

        Returns
        -------
        bool
            True, and then False for a minute.
        """
        now = time.monotonic()
        if now - self._passed_at.get(subject, -_REPEAT_S) < _REPEAT_S:
            return False
        self._passed_at[subject] = now
        return True


def client_log(name: str) -> logging.Logger:
    """Name the log that Kafka's client writes to.

    Parameters
    ----------
    name : str
        `consumer` or `producer`.

    Returns
    -------
    logging.Logger
        The log.
    """
    log = logging.getLogger(f"stamp_service.steps.{name}")
    if not log.filters:
        log.addFilter(Seldom())
    return log
