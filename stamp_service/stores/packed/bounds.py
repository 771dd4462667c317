"""Which alert ids may be in a part of an index, so that most parts need not be asked.

Ids mostly grow with time, but not always as a whole: ATLAS's begin with the telescope. So ids are grouped by their
first characters, and each group has a first and a last id.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

# ZTF's first three digits are 1 to 10 nights; ATLAS's are the telescope.
PREFIX_CHARACTERS = 3
# Ids that are no better than random would have very many groups, and not one would tell anything.
MAX_GROUPS = 16


class Bounds(NamedTuple):
    """First and last ids, by group; `Bounds.of` makes them."""

    ranges: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, alert_ids: Iterable[str]) -> "Bounds":
        """Find the bounds of some ids.

        Parameters
        ----------
        alert_ids : iterable of str
            The ids, in any order.

        Returns
        -------
        Bounds
            Their bounds.
        """
        groups: dict[str, tuple[str, str]] = {}
        for alert_id in alert_ids:
            first, last = groups.get(alert_id[:PREFIX_CHARACTERS], (alert_id, alert_id))
            groups[alert_id[:PREFIX_CHARACTERS]] = min(first, alert_id), max(last, alert_id)
        if len(groups) > MAX_GROUPS:
            firsts, lasts = zip(*groups.values(), strict=True)
            return cls(((min(firsts), max(lasts)),))
        return cls(tuple(sorted(groups.values())))


class BoundsTable(Generic[T]):
    """Many bounds at once, of which the few that allow for an id are found without looking at the others.

    Parameters
    ----------
    bounds : iterable of tuple of Bounds and object
        Bounds, and what they belong to.
    """

    def __init__(self, bounds: Iterable[tuple[Bounds, T]]) -> None:
        rows = [(first, last, what) for each, what in bounds for first, last in each.ranges]
        self._rows = sorted(rows, key=itemgetter(0))
        self._firsts = [first for first, _, _ in self._rows]
        # The last id of all ranges up to here: where it is smaller than an id, so are all before.
        self._furthest = list(accumulate((last for _, last, _ in self._rows), max))

    def find(self, alert_id: str) -> Iterator[T]:
        """Find what may hold an id.

        Parameters
        ----------
        alert_id : str
            The id.

        Yields
        ------
        object
            What the bounds belong to that allow for it, the largest ids first.
        """
        position = bisect_right(self._firsts, alert_id) - 1
        while position >= 0 and self._furthest[position] >= alert_id:
            _, last, what = self._rows[position]
            if last >= alert_id:
                yield what
            position -= 1
