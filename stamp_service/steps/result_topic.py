"""The topic that results are written to: always the same, or another one for every night."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stamp_service.errors import ConfigurationError, StoreUnavailable
from stamp_service.settings import Settings
from stamp_service.steps.connecting import client_log, make_client
from stamp_service.steps.topics import result_topic

log = logging.getLogger(__name__)

_ADMIN_S = 10.0


class ResultTopic:
    """Where results go now.

    The topic of a night is made, if the brokers do not have it. It keeps messages for `PRODUCER_RETENTION_DAYS`,
    and has as many partitions and replicas as they give by default.

    Parameters
    ----------
    settings : Settings
        The topic's name or format.
    options : mapping
        Options of the producer.

    Raises
    ------
    ConfigurationError
        If there is neither, or the format has no place for the date.
    """

    def __init__(self, settings: Settings, options: Mapping[str, Any]) -> None:
        if settings.producer_topic is None and settings.producer_topic_format is None:
            raise ConfigurationError("neither PRODUCER_TOPIC_FORMAT nor PRODUCER_TOPIC names a topic")
        if settings.producer_topic_format is not None and "%s" not in settings.producer_topic_format:
            raise ConfigurationError("PRODUCER_TOPIC_FORMAT needs %s where the date stands")
        self._settings = settings
        self._options = dict(options)
        self._made: str | None = None

    def ready(self) -> str:
        """Name the topic of now, and see to it that it exists.

        Returns
        -------
        str
            The name.

        Raises
        ------
        StoreUnavailable
            If the brokers do not answer.
        """
        name = result_topic(self._settings, datetime.now(UTC))
        assert name is not None
        if self._settings.producer_topic_format is not None and name != self._made:
            self._make(name)
            self._made = name
        return name

    def _make(self, name: str) -> None:
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 - an extra
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - an extra
        from confluent_kafka.cimpl import NewTopic  # noqa: PLC0415 - an extra

        kept = timedelta(days=self._settings.producer_retention_days)
        config = {"retention.ms": str(int(kept.total_seconds() * 1000))}
        admin = make_client(lambda: AdminClient(self._options, logger=client_log("admin")))
        made = admin.create_topics([NewTopic(name, -1, -1, config=config)], request_timeout=_ADMIN_S)[name]
        try:
            made.result(2 * _ADMIN_S)
        except TimeoutError:
            raise StoreUnavailable(f"topic {name} could not be made: no answer") from None
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return
            if reason.retriable() or reason.code() < 0:
                raise StoreUnavailable(f"topic {name} could not be made: {reason.str()}") from None
            # Who may not make topics may have others make them.
            log.warning("topic %s could not be made, and is taken to exist: %s", name, reason.str())
        else:
            log.info("made topic %s", name)
