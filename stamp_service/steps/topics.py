"""Which topics a step reads: fixed names, a pattern, or one for every night."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from stamp_service.errors import ConfigurationError
from stamp_service.settings import Settings

_PATTERN_SIGN = "^"


def nightly_topics(
    formats: Iterable[str], *, date_format: str, change_hour: int, days: int, now: datetime
) -> list[str]:
    """Name the topics of the last nights.

    Parameters
    ----------
    formats : iterable of str
        Names with `%s` where the date stands.
    date_format : str
        How the date is written, as `strftime` takes it.
    change_hour : int
        Hour (UTC) from which on the topic of the next day is read.
    days : int
        How many days are read, the last one included.
    now : datetime.datetime
        The time, with its zone.

    Returns
    -------
    list of str
        The names, oldest first.
    """
    last = now.astimezone(UTC) + timedelta(hours=24 - change_hour)
    dates = [(last - timedelta(days=ago)).strftime(date_format) for ago in reversed(range(days))]
    return [name.replace("%s", date) for date in dates for name in formats]


def result_topic(settings: Settings, now: datetime) -> str | None:
    """Name the topic that results are written to.

    Parameters
    ----------
    settings : Settings
        The settings.
    now : datetime.datetime
        The time, with its zone.

    Returns
    -------
    str or None
        The topic of the night where there is one for every night, and the only one otherwise, if there is any.
    """
    if settings.producer_topic_format is None:
        return settings.producer_topic
    (name,) = nightly_topics(
        [settings.producer_topic_format],
        date_format=settings.producer_date_format,
        change_hour=settings.producer_change_hour,
        days=1,
        now=now,
    )
    return name


class Topics:
    """What the settings say about topics.

    Parameters
    ----------
    settings : Settings
        The settings.

    Raises
    ------
    ConfigurationError
        If they name no topic, or a pattern that is none, or if dead letters would be read again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fixed = list(settings.consumer_topics)
        formats = settings.topic_strategy_format
        if not self._fixed and not formats:
            raise ConfigurationError("neither CONSUMER_TOPICS nor TOPIC_STRATEGY_FORMAT names a topic")
        if any("%s" not in name for name in formats):
            raise ConfigurationError("TOPIC_STRATEGY_FORMAT needs %s where the date stands")
        written = {
            settings.dead_letter_topic,
            settings.producer_topic,
            result_topic(settings, datetime.now(UTC)),
            settings.scribe_topic,
            settings.metrics_topic,
        } - {None}
        if any(_covers(self.at(datetime.now(UTC)), name) for name in written if name is not None):
            raise ConfigurationError("a step must not read the topic that it writes to")

    def at(self, now: datetime) -> Sequence[str]:
        """Name the topics to read.

        Parameters
        ----------
        now : datetime.datetime
            The time, with its zone.

        Returns
        -------
        sequence of str
            Names, and patterns that start with `^`.
        """
        settings = self._settings
        nightly = nightly_topics(
            settings.topic_strategy_format,
            date_format=settings.topic_date_format,
            change_hour=settings.topic_change_hour,
            days=settings.topic_retention_days,
            now=now,
        )
        return [*self._fixed, *nightly]


def _covers(topics: Iterable[str], name: str) -> bool:
    """Find out whether a topic is among names and patterns."""
    try:
        return any(
            re.match(topic, name) is not None if topic.startswith(_PATTERN_SIGN) else topic == name
            for topic in topics
        )
    except re.error:
        raise ConfigurationError("CONSUMER_TOPICS has a pattern that is none") from None
