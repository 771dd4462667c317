"""What is written into the tables, and read from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StepEntry:
    """Who writes: a row of `step`.

    Parameters
    ----------
    step_id : str
        Its key.
    name, version, comments : str
        What is said of it.
    date : datetime.datetime
        When it first started, with its zone.
    """

    step_id: str
    name: str
    version: str
    comments: str
    date: datetime


@dataclass(frozen=True, slots=True)
class NewObject:
    """What an alert says of its object, for a row of `object` where there is none.

    Parameters
    ----------
    oid : str
        Object id.
    ndethist, ncovhist : int
        How often it was detected, and how often its place was observed.
    mjdstarthist, mjdendhist : float or None
        First and last of these, MJD.
    firstmjd : float
        Time of the alert, MJD.
    meanra, meandec : float
        Position of the alert, ICRS, degrees.
    """

    oid: str
    ndethist: int
    ncovhist: int
    mjdstarthist: float | None
    mjdendhist: float | None
    firstmjd: float
    meanra: float
    meandec: float


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """How probable a class is.

    Parameters
    ----------
    class_name : str
        The class.
    probability : float
        0 to 1.
    ranking : int
        1 for the most probable class.
    """

    class_name: str
    probability: float
    ranking: int


@dataclass(frozen=True, slots=True)
class ObjectClassification:
    """What one classifier says of an object.

    Parameters
    ----------
    classifier_name, classifier_version : str
        The classifier.
    classes : tuple of ClassProbability
        Its classes, the most probable first.
    """

    classifier_name: str
    classifier_version: str
    classes: tuple[ClassProbability, ...]


def ranked(probabilities: Mapping[str, float]) -> tuple[ClassProbability, ...]:
    """Rank classes.

    Parameters
    ----------
    probabilities : mapping of str to float
        Probability of each class.

    Returns
    -------
    tuple of ClassProbability
        The most probable first; those of the same probability in the order they came.
    """
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return tuple(ClassProbability(name, float(value), rank) for rank, (name, value) in enumerate(ordered, start=1))
