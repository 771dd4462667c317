"""Skipping values that nobody asked for.

Every type has an exact step, which checks all that it passes. Values that a regular expression can describe
are skipped by `re`, ten to twenty times as fast, and exactly where the expression does not match.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.binary import Reading, Step, close_block, open_block, read_length, read_long
from stamp_service.packets.nodes import MAX_DECIMAL_BYTES, Node
from stamp_service.packets.patterns import MAX_ALTERNATIVES, alternatives, compile_pattern, pattern_of

# Items matched by one call: saves a third of the time on histories of dozens of entries.
_ITEMS_AT_ONCE = 8


class Skipper:
    """Makes the steps that skip the values of one schema; each type's step is made once.

    Parameters
    ----------
    root : Node
        The schema's record.
    use_patterns : bool
        Whether to skip with regular expressions; without them everything is read exactly.
    """

    def __init__(self, root: Node, *, use_patterns: bool = True) -> None:
        self._use_patterns = use_patterns and alternatives(root) <= MAX_ALTERNATIVES
        self._steps: dict[Node, Step] = {}
        self._exact_steps: dict[Node, Step] = {}

    def step(self, node: Node) -> Step:
        """Make the fastest step over values of a type.

        Parameters
        ----------
        node : Node
            The type.

        Returns
        -------
        Step
            From the start of a value to its end.
        """
        step = self._steps.get(node)
        if step is None:
            pattern = self._pattern_of(node) if node.kind in {"record", "union"} else None
            step = self._exact(node) if pattern is None else self._match([node], pattern)
            self._steps[node] = step
        return step

    def steps(self, nodes: Sequence[Node]) -> list[Step]:
        """Make few steps over values that follow each other.

        Parameters
        ----------
        nodes : sequence of Node
            The types.

        Returns
        -------
        list of Step
            Neighbours that patterns describe share a step. Records keep their own: it is compiled once,
            however many plans skip the record.
        """
        made: list[Step] = []
        for joined, group in groupby(
            nodes, lambda node: node.kind != "record" and self._pattern_of(node) is not None
        ):
            run = list(group)
            if joined and len(run) > 1:
                made.append(self._match(run, b"".join(self._pattern_of(node) or b"" for node in run)))
            else:
                made.extend(self.step(node) for node in run)
        return made

    def _pattern_of(self, node: Node) -> bytes | None:
        # Past the end `re` matches nothing at all, at the end. That must not look like success, so what
        # takes no bytes has no pattern.
        return pattern_of(node) if self._use_patterns and node.least_bytes else None

    def _match(self, nodes: Sequence[Node], pattern: bytes) -> Step:
        match = None

        def skip(reading: Reading, position: int) -> int:
            nonlocal match
            if match is None:  # compiled when first needed: most steps of a schema never are
                match = compile_pattern(pattern).match
            found = match(reading.buffer, position, reading.end)
            if found is not None:
                return found.end()
            for node in nodes:
                position = self._exact(node)(reading, position)
            return position

        return skip

    def _exact(self, node: Node) -> Step:
        step = self._exact_steps.get(node)
        if step is None:
            step = self._exact_steps[node] = self._make_exact(node)
        return step

    def _make_exact(self, node: Node) -> Step:
        make: dict[str, Callable[[], Step]] = {
            "record": lambda: chain(self.steps([child for _, child in node.fields])),
            "union": lambda: choose([self.step(branch) for branch in node.branches]),
            "array": lambda: self._skip_array(node.item),
            "map": lambda: self._skip_map(node.item),
            "string": lambda: _skip_bytes,
            "bytes": lambda: _skip_decimal if node.logical else _skip_bytes,
            "int": lambda: _skip_integer,
            "long": lambda: _skip_integer,
            "enum": lambda: _skip_enum(len(node.symbols)),
        }
        return make.get(node.kind, lambda: _skip_width(node.least_bytes))()

    def _skip_array(self, item: Node) -> Step:
        one = self.step(item)
        pattern = self._pattern_of(item)
        match = None

        def skip(reading: Reading, position: int) -> int:
            nonlocal match
            while True:
                count, position, stop = open_block(reading, position, item.least_bytes, item.most_values)
                if count == 0:
                    return position
                if stop is not None and reading.jump:
                    position = stop
                    continue
                if item.least_bytes == 0:
                    count = 0
                if pattern is not None and count >= _ITEMS_AT_ONCE:
                    match = match or compile_pattern(pattern, _ITEMS_AT_ONCE).match
                    while count >= _ITEMS_AT_ONCE and (found := match(reading.buffer, position, reading.end)):
                        position = found.end()
                        count -= _ITEMS_AT_ONCE
                for _ in range(count):
                    position = one(reading, position)
                close_block(position, stop)

        return skip

    def _skip_map(self, item: Node) -> Step:
        value = self.step(item)

        def skip(reading: Reading, position: int) -> int:
            while True:
                count, position, stop = open_block(reading, position, 1 + item.least_bytes, 1 + item.most_values)
                if count == 0:
                    return position
                if stop is not None and reading.jump:
                    position = stop
                    continue
                for _ in range(count):
                    position = value(reading, _skip_bytes(reading, position))
                close_block(position, stop)

        return skip


def chain(steps: Sequence[Step]) -> Step:
    """Make one step of several.

    Parameters
    ----------
    steps : sequence of Step
        Steps over values that follow each other.

    Returns
    -------
    Step
        Over all of them.
    """
    if len(steps) == 1:
        return steps[0]

    def take_all(reading: Reading, position: int) -> int:
        for step in steps:
            position = step(reading, position)
        return position

    return take_all


def choose(branches: Sequence[Step]) -> Step:
    """Make the step over a union.

    Parameters
    ----------
    branches : sequence of Step
        The step over each branch.

    Returns
    -------
    Step
        Reads which branch it is, then steps over it.
    """

    def step(reading: Reading, position: int) -> int:
        index, position = read_long(reading.buffer, position)
        if not 0 <= index < len(branches):
            raise PacketCorrupt("the packet holds a union without such a branch")
        return branches[index](reading, position)

    return step


def _skip_width(width: int) -> Step:
    def skip(reading: Reading, position: int) -> int:  # noqa: ARG001 - every step is called alike
        return position + width

    return skip


def _skip_integer(reading: Reading, position: int) -> int:
    return read_long(reading.buffer, position)[1]


def _skip_bytes(reading: Reading, position: int) -> int:
    length, position = read_length(reading.buffer, position)
    return position + length


def _skip_decimal(reading: Reading, position: int) -> int:
    length, position = read_length(reading.buffer, position)
    if length > MAX_DECIMAL_BYTES:
        raise PacketCorrupt("the packet holds a decimal of impossible length")
    return position + length


def _skip_enum(symbols: int) -> Step:
    def skip(reading: Reading, position: int) -> int:
        index, position = read_long(reading.buffer, position)
        if not 0 <= index < symbols:
            raise PacketCorrupt("the packet holds an enum without such a symbol")
        return position

    return skip
