"""What a step takes in and gives out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message of Kafka.

    Parameters
    ----------
    topic : str
        Its topic.
    partition : int
        Its partition.
    offset : int
        Its offset there.
    value : bytes or None
        What it says; None where nothing was sent.
    key : bytes or None
        Its key, if any.
    headers : tuple of pairs
        Names and values.
    timestamp_ms : int or None
        When it was produced, by the producer's or the broker's clock, in ms since 1970. Nothing depends on it.
    tenure : int
        Which of this step's tenures of the partition it was read in.
    """

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp_ms: int | None = None
    tenure: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Item(Generic[T_co]):
    """What a step made of a message.

    Parameters
    ----------
    message : Message
        The message.
    value : object
        What it was made into.
    """

    message: Message
    value: T_co


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """A message that goes to the dead letters.

    Parameters
    ----------
    message : Message
        The message.
    reason : str
        Why, in one sentence.
    """

    message: Message
    reason: str


@dataclass(frozen=True, slots=True)
class Processed(Generic[T_co]):
    """What a step made of a batch: every message is in one of the two.

    Parameters
    ----------
    items : sequence of Item
        What the sinks get.
    refused : sequence of Refusal
        What goes to the dead letters.
    """

    items: Sequence[Item[T_co]]
    refused: Sequence[Refusal]


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """A message to be produced.

    Parameters
    ----------
    topic : str
        Where to.
    value : bytes or None
        What it says.
    key : bytes, optional
        Its key.
    headers : tuple of pairs
        Names and values.
    expendable_value : bool
        Whether it goes without its value where the broker takes no message of that size.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    expendable_value: bool = False


def dead_letter(topic: str, step: str, refusal: Refusal) -> Output:
    """Write a dead letter: the message as it came, and why and whence in its headers.

    Parameters
    ----------
    topic : str
        The topic of dead letters.
    step : str
        Name of the step that refused it.
    refusal : Refusal
        What was refused.

    Returns
    -------
    Output
        The letter. Its headers `step`, `reason`, `topic`, `partition` and `offset` replace the message's own of
        these names.
    """
    message = refusal.message
    own = {
        "step": step,
        "reason": refusal.reason,
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
    }
    kept = tuple((name, value) for name, value in message.headers if name not in own)
    headers = (*kept, *((name, value.encode()) for name, value in own.items()))
    return Output(topic, message.value, message.key, headers, expendable_value=True)
