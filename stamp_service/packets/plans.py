"""Plans: which fields to read and what to skip, worked out once per schema and question.

A plan is a list of steps from the start of a body to the last value that was asked for. What comes after that
is never looked at, and what comes before is skipped (see `skips`).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.binary import Reading, Step
from stamp_service.packets.nodes import Node
from stamp_service.packets.skips import Skipper, chain, choose
from stamp_service.packets.values import value_reader

Group = tuple[str, ...]


@dataclass(slots=True)
class _Wants:
    """What is wanted of a value: the slots that it goes into, and what is wanted of its fields."""

    slots: list[int] = field(default_factory=list)
    fields: dict[str, "_Wants"] = field(default_factory=dict)

    def add(self, path: Sequence[str], slot: int) -> None:
        if path:
            self.fields.setdefault(path[0], _Wants()).add(path[1:], slot)
        else:
            self.slots.append(slot)


class Plan:
    """How to read some values of one schema.

    Parameters
    ----------
    root : Node
        The schema's record.
    skipper : Skipper
        What skips the rest.
    groups : tuple of tuple of str
        For each value, the dotted paths where it may stand, in order of preference.
    whole : bool
        Whether to hold all of a body against the schema, what comes after the last value included.
    """

    def __init__(self, root: Node, skipper: Skipper, groups: tuple[Group, ...], *, whole: bool = False) -> None:
        self._skipper = skipper
        self._whole = whole
        self._most_values = root.most_values
        self._slots: list[range] = []
        wants = _Wants()
        count = 0
        for group in groups:
            paths = _useful_paths(root, group)
            self._slots.append(range(count, count + len(paths)))
            for path in paths:
                wants.add(path, count)
                count += 1
        self._count = count
        self._step = chain(self._join(self._walk(root, wants), to_the_end=whole))

    def read(self, buffer: bytes, start: int, end: int) -> list[object]:
        """Read the values.

        Parameters
        ----------
        buffer : bytes
            The bytes that hold the body.
        start : int
            Where the body starts.
        end : int
            Where it ends.

        Returns
        -------
        list
            For each group the first value that is not null; None where there is none.

        Raises
        ------
        PacketCorrupt
            If the body does not fit the schema, up to the last value or as a whole.
        TooLarge
            If it holds too many values.
        """
        reading = Reading(buffer, end, self._count, jump=not self._whole)
        if self._whole:
            reading.values_left -= self._most_values
        position = run_step(self._step, reading, start)
        if self._whole and position != end:
            raise PacketCorrupt("the packet goes on after its record")
        found = reading.found
        return [next((found[slot] for slot in slots if found[slot] is not None), None) for slots in self._slots]

    def _walk(self, node: Node, wants: _Wants) -> list[Node | Step]:
        """List what to do with a value: nodes are to be skipped."""
        if node.kind == "union" and wants.fields:
            branches = [chain(self._join(self._walk(branch, wants))) for branch in node.branches]
            return [choose(branches)]
        parts: list[Node | Step] = []
        if wants.slots:
            parts.append(_take(node, wants.slots, advance=not wants.fields or node.kind != "record"))
        if node.kind == "record" and wants.fields:
            for name, child in node.fields:
                wanted = wants.fields.get(name)
                parts.extend([child] if wanted is None else self._walk(child, wanted))
        return parts or [node]

    def _join(self, parts: Sequence[Node | Step], *, to_the_end: bool = True) -> list[Step]:
        """Make steps of parts; the last skips are left out where nothing after them matters."""
        steps: list[Step] = []
        skipped: list[Node] = []
        for part in parts:
            if isinstance(part, Node):
                skipped.append(part)
            else:
                steps += [*self._skipper.steps(skipped), part]
                skipped = []
        return steps + self._skipper.steps(skipped) if to_the_end else steps


def run_step(step: Step, reading: Reading, start: int) -> int:
    """Run a step over bytes from outside.

    Parameters
    ----------
    step : Step
        The step.
    reading : Reading
        The pass.
    start : int
        Where to start.

    Returns
    -------
    int
        Where the step ended, at most at the body's end.

    Raises
    ------
    PacketCorrupt
        If the bytes end early or do not fit.
    TooLarge
        If there are too many values.
    """
    try:
        position = step(reading, start)
    except (IndexError, struct.error):
        raise PacketCorrupt("the packet ends early") from None
    except UnicodeDecodeError:
        raise PacketCorrupt("the packet holds text that is not UTF-8") from None
    if position > reading.end:
        raise PacketCorrupt("the packet ends early")
    return position


def _take(node: Node, slots: Sequence[int], *, advance: bool) -> Step:
    read = value_reader(node)

    def take(reading: Reading, position: int) -> int:
        value, after = read(reading, position)
        for slot in slots:
            reading.found[slot] = value
        return after if advance else position

    return take


def _useful_paths(root: Node, group: Group) -> list[tuple[str, ...]]:
    """Leave out the paths that the schema lacks, and all after one whose value is never null."""
    useful: list[tuple[str, ...]] = []
    for dotted in group:
        path = tuple(dotted.split("."))
        values = [target is not None and target.kind != "null" for target in root.targets(path)]
        if any(values):
            useful.append(path)
        if all(values):
            break
    return useful


def has_path(root: Node, dotted: str) -> bool:
    """Say whether a schema has a field.

    Parameters
    ----------
    root : Node
        The schema's record.
    dotted : str
        The dotted path to it.

    Returns
    -------
    bool
        True if there is one of another type than null.
    """
    return any(target is not None and target.kind != "null" for target in root.targets(tuple(dotted.split("."))))
