"""What every classifier does: alerts in, probabilities out, one answer for each alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stamp_service.surveys import Kind, Survey


class ClassifiableAlert(Protocol):
    """What a classifier takes; alerts of packets and of lakes are such."""

    @property
    def survey(self) -> Survey:
        """The survey's definition."""
        ...

    @property
    def alert_id(self) -> str:
        """The alert's id."""
        ...

    @property
    def object_id(self) -> str | None:
        """The id of the object; None where the survey gave none."""
        ...

    def cutouts(self) -> Mapping[Kind, bytes]:
        """Read the cutouts.

        Returns
        -------
        mapping of str to bytes
            FITS files, gzipped or plain, of the kinds that the alert has.

        Raises
        ------
        PacketCorrupt
            If the alert is damaged.
        """
        ...

    def record(self) -> Mapping[str, Any]:
        """Read everything but the cutouts.

        Returns
        -------
        mapping
            Field names to values, nested as the survey nests them.

        Raises
        ------
        PacketCorrupt
            If the alert is damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Classification:
    """What a classifier says of one alert.

    Parameters
    ----------
    alert_id : str
        The alert.
    object_id : str or None
        Its object, as far as it is known.
    probabilities : mapping of str to float, or None
        Class to probability, in the order of the model's classes; None where there is a reason instead.
    reason : str or None
        Why there are no probabilities, in one sentence.
    rule : str or None
        The rule that decided (`asteroid`, `supernova`), whether it gave probabilities or took them away.
    """

    alert_id: str
    object_id: str | None
    probabilities: Mapping[str, float] | None
    reason: str | None = None
    rule: str | None = None

    def best(self) -> tuple[str, float] | None:
        """Find the most probable class.

        Returns
        -------
        tuple of str and float, or None
            The class and its probability; None without probabilities.
        """
        if self.probabilities is None:
            return None
        return max(self.probabilities.items(), key=lambda item: item[1])


class Classifier(Protocol):
    """A model that is ready to be asked."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def version(self) -> str:
        """The model's version."""
        ...

    @property
    def survey(self) -> str:
        """Name of the survey whose alerts it was made for."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the model's output."""
        ...

    def classify(self, alerts: Sequence[ClassifiableAlert], *, rules: bool = False) -> list[Classification]:
        """Classify alerts.

        Parameters
        ----------
        alerts : sequence of ClassifiableAlert
            Any number of them.
        rules : bool
            Whether to apply the rules around the model as well.

        Returns
        -------
        list of Classification
            One for each alert, in their order; an alert that cannot be classified has a reason, and changes
            nothing for the others.
        """
        ...
