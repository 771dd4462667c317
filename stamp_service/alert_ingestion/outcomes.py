"""What became of the alerts that were to be ingested."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

State = Literal["added", "present", "refused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert.

    Parameters
    ----------
    state : str
        `added`; `present` if it was there; `refused`.
    reason : str
        Why it was refused, in full.
    kind : str
        Why it was refused, in words that are the same for all of a kind.
    name : str
        What the source calls it: the name of a file, for instance.
    """

    state: State
    reason: str = ""
    kind: str = ""
    name: str = ""


ADDED = Outcome("added")
PRESENT = Outcome("present")


def refused(reason: str, kind: str) -> Outcome:
    """Say that an alert was refused.

    Parameters
    ----------
    reason : str
        Why, in full.
    kind : str
        Why, in words that are the same for all of a kind.

    Returns
    -------
    Outcome
        The outcome.
    """
    return Outcome("refused", reason, kind)


class IngestReport:
    """Counts what became of alerts, and why some were refused.

    Attributes
    ----------
    states : collections.Counter
        How many were added, were there, were refused.
    refusals : collections.Counter
        How many were refused, by the kind of reason.
    """

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.refusals: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All alerts that were dealt with."""
        return self.states.total()

    def count(self, outcome: Outcome) -> None:
        """Count one more.

        Parameters
        ----------
        outcome : Outcome
            What became of it.
        """
        self.states[outcome.state] += 1
        if outcome.state == "refused":
            self.refusals[outcome.kind] += 1

    def __str__(self) -> str:
        parts = [f"added {self.states['added']}"]
        if self.states["present"]:
            parts.append(f"{self.states['present']} were there already")
        if self.refusals:
            reasons = "; ".join(f"{count}: {kind}" for kind, count in self.refusals.most_common())
            parts.append(f"refused {self.states['refused']} ({reasons})")
        return ", ".join(parts)
