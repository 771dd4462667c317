"""Reading what a model needs out of an alert."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stamp_service.classifiers.classifier import ClassifiableAlert
from stamp_service.packets import Alert
from stamp_service.surveys import Kind

Group = tuple[str, ...]


class Unfit(Exception):
    """An alert that cannot be classified; the message says why, and is shown to readers."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read of an alert.

    Parameters
    ----------
    values : list
        For each group the first value that is not null; None where there is none.
    cutouts : mapping of str to bytes
        The cutouts that it has, of those that were asked for.
    """

    values: list[object]
    cutouts: Mapping[Kind, bytes]


def read_contents(alert: ClassifiableAlert, groups: Sequence[Group], kinds: Sequence[Kind]) -> Contents:
    """Read values and cutouts of an alert; of a packet, in one pass, and nothing else is decoded.

    Parameters
    ----------
    alert : ClassifiableAlert
        The alert.
    groups : sequence of tuple of str
        For each value, the dotted paths where it may stand, in order of preference.
    kinds : sequence of str
        The cutouts that are needed.

    Returns
    -------
    Contents
        What is there of them.

    Raises
    ------
    PacketCorrupt
        If the alert is damaged.
    """
    if isinstance(alert, Alert):
        published = [kind for kind in kinds if kind in alert.survey.cutouts]
        found = alert.values(*groups, *(alert.survey.cutouts[kind].fields for kind in published))
        cutouts = dict(zip(published, found[len(groups) :], strict=True))
        # Some writers fill in nothing for a cutout that there is not.
        return Contents(
            found[: len(groups)],
            {kind: data for kind, data in cutouts.items() if isinstance(data, bytes) and data},
        )
    record = alert.record() if groups else {}
    return Contents([_first(record, group) for group in groups], alert.cutouts())


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
    if type(value) is float:  # nearly every one is
        return value if math.isfinite(value) else None
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
