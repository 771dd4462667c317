"""A synthetic alert, published."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoAlert:
    """A synthetic alert.

    Parameters
    ----------
    survey : str
        Name of the survey.
    alert_id : str
        Its alert id.
    object_id : str or None
        Its object id; None where the survey gives none.
    packet : bytes
        The packet, as the survey would publish it.
    """

    survey: str
    alert_id: str
    object_id: str | None
    packet: bytes
