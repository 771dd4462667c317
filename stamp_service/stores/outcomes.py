"""What became of alerts that were to be stored, or to be put into tables and lakes."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from stamp_service.errors import PacketConflict, TooLarge
from stamp_service.stores.protocol import PutOutcome

State = Literal["added", "present", "earlier", "refused"]

DAMAGED = "it is no alert of these surveys, or damaged"
TOO_LARGE = "it is too large"
_CONFLICT = "a different packet is stored under its id"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one alert.

    Parameters
    ----------
    state : str
        `added`; `present` if it was there; `earlier` if an interrupted run had dealt with it; `refused`.
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


def outcome_of(put: PutOutcome, name: str = "") -> Outcome:
    """Say what became of a packet that was put into a store.

    Parameters
    ----------
    put : bool or StampServiceError
        Whether it was stored or was there, or why it was refused.
    name : str
        What the source calls it.

    Returns
    -------
    Outcome
        The outcome.
    """
    if isinstance(put, bool):
        return Outcome("added" if put else "present", name=name)
    kinds = {PacketConflict: _CONFLICT, TooLarge: TOO_LARGE}
    return Outcome("refused", str(put), kinds.get(type(put), DAMAGED), name)


class Report:
    """Counts what became of alerts, and why some were refused.

    Attributes
    ----------
    states : collections.Counter
        How many of each state.
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
        words: dict[State, str] = {"present": "were there already", "earlier": "were done by an earlier run"}
        parts = [f"added {self.states['added']}"]
        parts += [f"{self.states[state]} {word}" for state, word in words.items() if self.states[state]]
        if self.refusals:
            reasons = "; ".join(f"{count}: {kind}" for kind, count in self.refusals.most_common())
            parts.append(f"refused {self.states['refused']} ({reasons})")
        return ", ".join(parts)
