"""The measurements of an object that an alert carries: its own, earlier ones, forced photometry, limits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stamp_service.packets.summary import band_name, mjd_of
from stamp_service.surveys import Series, Survey

# Forced photometry below this many times its error is a limit, as ZTF's guide to it has it.
_SIGNIFICANT = 3
# The limit itself, in errors.
_LIMIT_SIGMAS = 5
# Magnitudes per factor e.
_POGSON = 2.5 / math.log(10)
_NEGATIVE = {"f", "false", "0"}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement.

    Parameters
    ----------
    source : str
        `alert`: the alert's own; `detection`: an earlier one's; `forced`: forced photometry.
    time_mjd : float
        When, modified Julian date, in the survey's own time scale.
    band : str or None
        The band's name.
    value : float
        Magnitude, or flux in nJy.
    error : float or None
        Its standard deviation.
    unit : str
        `mag` or `nJy`.
    is_limit : bool
        Whether it was too faint to be seen, and `value` says how bright it would have had to be.
    is_negative : bool
        Whether it was fainter than in the template.
    alert_id : str or None
        The alert that was sent of it.
    """

    source: Literal["alert", "detection", "forced"]
    time_mjd: float
    band: str | None
    value: float
    error: float | None
    unit: Literal["mag", "nJy"]
    is_limit: bool = False
    is_negative: bool = False
    alert_id: str | None = None


def light_curve(survey: Survey, record: Mapping[str, Any]) -> list[Measurement]:
    """List the measurements of an alert's object.

    Parameters
    ----------
    survey : Survey
        The survey's definition.
    record : mapping
        The alert's record.

    Returns
    -------
    list of Measurement
        In the order of time. What is no finite number is left out.
    """
    found = [
        measurement
        for series in survey.light_curve
        for entry in _records(record, series.records)
        if (measurement := _measure(survey, series, entry)) is not None
    ]
    return sorted(found, key=lambda measurement: measurement.time_mjd)


def _records(record: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, Mapping):
            yield entry


def _measure(survey: Survey, series: Series, entry: Mapping[str, Any]) -> Measurement | None:
    time_mjd = mjd_of(survey, _first(entry, series.time))
    brightness = _brightness(series, entry)
    if time_mjd is None or brightness is None:
        return None
    value, error, is_limit, is_negative = brightness
    alert_id = entry.get(series.alert_id) if series.alert_id else None
    return Measurement(
        source=series.source,
        time_mjd=time_mjd,
        band=band_name(survey, _first(entry, series.band)),
        value=value,
        error=error,
        unit="nJy" if series.flux and series.zero_point is None else "mag",
        is_limit=is_limit,
        is_negative=is_negative,
        alert_id=None if alert_id is None or is_limit else str(alert_id),
    )


Brightness = tuple[float, float | None, bool, bool]


def _brightness(series: Series, entry: Mapping[str, Any]) -> Brightness | None:
    """Value, error, whether it is a limit, whether it is negative."""
    if series.flux:
        return _of_flux(series, entry)
    value = _number(entry.get(series.magnitude or ""))
    if value is not None:
        is_negative = str(entry.get(series.sign or "", "")).lower() in _NEGATIVE
        return value, _number(entry.get(series.error or "")), False, is_negative
    return _limit(entry, series)


def _of_flux(series: Series, entry: Mapping[str, Any]) -> Brightness | None:
    flux, error = _number(_first(entry, series.flux)), _number(_first(entry, series.flux_error))
    if flux is None:
        return None
    if series.zero_point is None:
        return flux, error, False, flux < 0
    zero_point = _number(entry.get(series.zero_point))
    if zero_point is None or error is None or error <= 0:
        return None
    if abs(flux) < _SIGNIFICANT * error:
        return zero_point - _POGSON * math.log(_LIMIT_SIGMAS * error), None, True, False
    return zero_point - _POGSON * math.log(abs(flux)), _POGSON * error / abs(flux), False, flux < 0


def _limit(entry: Mapping[str, Any], series: Series) -> Brightness | None:
    limit = _number(entry.get(series.limit or ""))
    return None if limit is None else (limit, None, True, False)


def _first(entry: Mapping[str, Any], names: Sequence[str]) -> object:
    return next((entry[name] for name in names if name in entry), None)


def _number(value: object) -> float | None:
    # -999 and the like stand for no value in ZTF's older records; no magnitude or flux error is that low.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return None if value in {-999.0, -99999.0} else float(value)
