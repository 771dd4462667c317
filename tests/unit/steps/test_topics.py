"""Which topics are read, at which time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from stamp_service.errors import ConfigurationError
from stamp_service.settings import load_settings
from stamp_service.steps import Topics, nightly_topics
from stamp_service.steps.topics import result_topic


def nightly(
    now: datetime, change_hour: int = 23, days: int = 1, formats: tuple[str, ...] = ("ztf_%s",)
) -> list[str]:
    return nightly_topics(formats, date_format="%Y%m%d", change_hour=change_hour, days=days, now=now)


@pytest.mark.parametrize(
    ("hour", "minute", "change_hour", "date"),
    [
        (22, 59, 23, "20260228"),
        (23, 0, 23, "20260301"),
        (0, 0, 23, "20260228"),
        (0, 0, 0, "20260301"),
        (11, 59, 12, "20260228"),
        (12, 0, 12, "20260301"),
    ],
)
def test_the_date_changes_at_its_hour(hour, minute, change_hour, date):
    assert nightly(datetime(2026, 2, 28, hour, minute, tzinfo=UTC), change_hour) == [f"ztf_{date}"]


def test_the_hour_is_utc_whatever_the_zone():
    in_chile = datetime(2026, 2, 28, 20, 30, tzinfo=timezone(timedelta(hours=-3)))
    assert nightly(in_chile) == ["ztf_20260301"]


def test_past_nights_are_read_too_so_that_a_wrong_clock_loses_none():
    right, late = datetime(2026, 1, 2, 1, tzinfo=UTC), datetime(2026, 1, 1, 20, tzinfo=UTC)
    assert nightly(right, days=3, formats=("a_%s", "b_%s")) == [
        "a_20251231", "b_20251231", "a_20260101", "b_20260101", "a_20260102", "b_20260102",
    ]  # fmt: skip
    assert set(nightly(right, days=3)) & set(nightly(late, days=3)) == {"ztf_20251231", "ztf_20260101"}


def test_fixed_topics_and_nights_are_read_together():
    settings = load_settings(consumer_topics=("atlas",), topic_strategy_format=("ztf_%s",), topic_retention_days=1)
    assert Topics(settings).at(datetime(2026, 1, 1, tzinfo=UTC)) == ["atlas", "ztf_20260101"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, None),
        ({"producer_topic": "results"}, "results"),
        ({"producer_topic": "results", "producer_topic_format": "night_%s"}, "night_20260301"),
        ({"producer_topic_format": "%s", "producer_date_format": "%d/%m", "producer_change_hour": 22}, "01/03"),
        ({"producer_topic_format": "%s", "producer_date_format": "%d", "producer_change_hour": 23}, "28"),
    ],
)
def test_results_go_to_one_topic(settings, name):
    now = datetime(2026, 2, 28, 22 if "producer_change_hour" in settings else 23, 30, tzinfo=UTC)
    assert result_topic(load_settings(**settings), now) == name


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "neither CONSUMER_TOPICS nor TOPIC_STRATEGY_FORMAT"),
        ({"topic_strategy_format": ("ztf",)}, "TOPIC_STRATEGY_FORMAT needs %s"),
        ({"consumer_topics": ("^(",)}, "has a pattern that is none"),
        ({"consumer_topics": ("a", "stamp-dead-letters")}, "must not read the topic that it writes to"),
        ({"consumer_topics": ("^stamp.*",)}, "must not read the topic that it writes to"),
        ({"consumer_topics": ("^.*",), "dead_letter_topic": "x"}, "must not read the topic that it writes to"),
        ({"consumer_topics": ("a",), "producer_topic": "a"}, "must not read the topic that it writes to"),
        ({"consumer_topics": ("a",), "scribe_topic": "a"}, "must not read the topic that it writes to"),
        (
            {"consumer_topics": ("^night.*",), "producer_topic_format": "night_%s"},
            "must not read the topic that it writes to",
        ),
    ],
)
def test_what_cannot_work_is_refused(settings, says):
    with pytest.raises(ConfigurationError, match=says):
        Topics(load_settings(**settings))
