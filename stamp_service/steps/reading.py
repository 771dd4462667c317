"""Reading messages one by one, so that none keeps the others of its batch from being read."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from stamp_service.errors import StampServiceError, StoreUnavailable
from stamp_service.steps.messages import Item, Message, Processed, Refusal

log = logging.getLogger(__name__)

T = TypeVar("T")


def read_each(messages: Sequence[Message], read: Callable[[bytes], T]) -> Processed[T]:
    """Read messages.

    Parameters
    ----------
    messages : sequence of Message
        A batch.
    read : callable
        Makes something of what a message says.

    Returns
    -------
    Processed
        What was made of each, and those that cannot be read.

    Raises
    ------
    StoreUnavailable
        If something that is needed cannot be had now.
    """
    items: list[Item[T]] = []
    refused: list[Refusal] = []
    for message in messages:
        try:
            items.append(Item(message, read(message.value or b"")))
        except StoreUnavailable:
            raise
        except StampServiceError as error:
            refused.append(Refusal(message, str(error)))
        except Exception as error:
            # A fault of ours. One message must not keep all others from being read.
            log.exception("a message could not be read")
            refused.append(Refusal(message, f"reading the message failed with {type(error).__name__}"))
    return Processed(items, refused)
