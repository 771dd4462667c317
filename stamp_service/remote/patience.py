"""Connections to PostgreSQL that give up on a server that says nothing.

The server itself ends statements that take too long. That does not help against one that hangs, nor against a
network that swallows what is sent.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.errors import QueryCanceled

T = TypeVar("T")


class PatientConnection(Connection[Any]):
    """A connection of psycopg with a limit of its own; it is closed when that is reached."""

    silence_s: float | None = None
    """Longest time in which nothing comes, in seconds; none for as long as it takes."""

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - as psycopg's has them
        """Wait for an answer, as psycopg does.

        Parameters
        ----------
        gen : generator
            What psycopg waits for: says what it needs, and is told every tenth of a second whether that is there.
        *args, **kwargs : object
            As psycopg has them.

        Returns
        -------
        object
            The answer.

        Raises
        ------
        psycopg.errors.QueryCanceled
            If nothing came for too long.
        """
        try:
            return super().wait(_limited(gen, self.silence_s), *args, **kwargs)
        except TimeoutError:
            # What it would say later is no answer to what is asked next.
            self.pgconn.finish()
            raise QueryCanceled("the server says nothing") from None


def _limited(gen: PQGen[T], silence_s: float | None) -> Generator[Any, Any, T]:
    """Pass on what a generator and its driver tell each other, until there is nothing for too long."""
    heard_s = time.monotonic()
    try:
        needed = next(gen)
        while True:
            ready = yield needed
            if ready:
                heard_s = time.monotonic()
            elif silence_s is not None and time.monotonic() - heard_s > silence_s:
                raise TimeoutError
            needed = gen.send(ready)
    except StopIteration as end:
        answer: T = end.value
        return answer
