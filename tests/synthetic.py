"""The synthetic alerts that a new installation has, made once for all tests."""

from functools import cache

from stamp_service.demo import DemoAlert, demo_alerts


@cache
def synthetic(survey_name: str) -> tuple[DemoAlert, ...]:
    """Make all of a survey's."""
    return tuple(demo_alerts(survey_name))
