"""What a step is, and what a sink promises."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from stamp_service.steps.messages import Item, Message, Output, Processed, Refusal

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """Something that keeps what a step made.

    A step may be killed at any time, and then does its last batch again. So a sink is idempotent: being given
    the same once more changes nothing.

    Attributes
    ----------
    name : str
        What metrics and the log call it.
    """

    name: str

    def write(self, items: Sequence[Item[T_contra]]) -> Sequence[Refusal]:
        """Keep items; once this returns, they are kept for good.

        Parameters
        ----------
        items : sequence of Item
            What to keep.

        Returns
        -------
        sequence of Refusal
            Those that cannot be kept, ever. They go to the dead letters, and to no further sink.

        Raises
        ------
        StoreUnavailable
            If it cannot be written to now. All are given again later.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Step(Protocol[T]):
    """A job on a stream: what is made of messages, where that is kept, and what is sent on.

    Attributes
    ----------
    name : str
        What metrics, dead letters and the log call it.
    """

    name: str

    @property
    def sinks(self) -> Sequence[Sink[T]]:
        """Where items are kept, in this order."""
        ...

    def process(self, messages: Sequence[Message]) -> Processed[T]:
        """Make something of messages.

        Parameters
        ----------
        messages : sequence of Message
            A batch.

        Returns
        -------
        Processed
            Every message either as an item or as a refusal.

        Raises
        ------
        StoreUnavailable
            If something that is needed cannot be had now. The same messages are given again later.
        """
        ...

    def outputs(self, items: Sequence[Item[T]]) -> Iterable[Output]:
        """Write what is sent on, once the items are kept.

        Parameters
        ----------
        items : sequence of Item
            Those that no sink refused.

        Returns
        -------
        iterable of Output
            Messages.
        """
        ...

    def close(self) -> None:
        """Close the sinks."""
        ...
