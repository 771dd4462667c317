"""Reading what a model needs out of an alert."""

import math
from collections.abc import Mapping, Sequence

from stamp_service.classifiers.classifier import ClassifiableAlert
from stamp_service.packets import Alert

Group = tuple[str, ...]


class Unfit(Exception):
    """An alert that cannot be classified; the message says why, and is shown to readers."""


def read_values(alert: ClassifiableAlert, groups: Sequence[Group]) -> list[object]:
    """Read values of an alert; of a packet, nothing else is decoded.

    Parameters
    ----------
    alert : ClassifiableAlert
        The alert.
    groups : sequence of tuple of str
        For each value, the dotted paths where it may stand, in order of preference.

    Returns
    -------
    list
        For each group the first value that is not null; None where there is none.

    Raises
    ------
    PacketCorrupt
        If the alert is damaged.
    """
    if not groups:
        return []
    if isinstance(alert, Alert):
        return alert.values(*groups)
    record = alert.record()
    return [_first(record, group) for group in groups]


def _first(record: Mapping[str, object], group: Group) -> object:
    for path in group:
        value: object = record
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def number_of(value: object) -> float | None:
    """Take a value as a number.

    Parameters
    ----------
    value : object
        Anything that a record or a header may hold.

    Returns
    -------
    float or None
        The number; None if it is none, or not finite.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def word_of(value: object) -> str:
    """Write a value as categories name it.

    Parameters
    ----------
    value : object
        Anything that a record or a header may hold.

    Returns
    -------
    str
        A text without the spaces around it; a whole number without a point.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
