"""Regular expressions that match AVRO values, to skip many fields with one call into C.

A value of fixed width, an integer, a text of up to 127 bytes, an enum, and unions and records of these have
encodings that a regular expression can describe; bytes, arrays and maps do not, for their lengths have no bound.
Every alternative is decided by its first byte and integers are matched possessively, so a match takes time
in proportion to its length. A pattern describes the usual encodings only: what it does not match is not wrong
for that, and `skips` then reads it value by value.

Nothing of a schema's text gets into a pattern, only its types.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from stamp_service.packets.nodes import Node

# Up to 63 bits; one more bit is rare and left to the slow way, which refuses more than 64.
_INTEGER = rb"[\x80-\xff]{0,8}+[\x00-\x7f]"
# ZTF's longest texts are file names of 95 bytes.
_LONGEST_TEXT = 127
_LONGEST_FIXED = 4096
# Branches and symbols whose index is one byte.
_MOST_INDICES = 64

# Patterns are compiled in Python, some 10 µs per alternative: refuse to spend seconds on a strange schema.
MAX_ALTERNATIVES = 10_000


def _byte(value: int) -> bytes:
    return b"\\x%02x" % value


def _any_bytes(count: int) -> bytes:
    return b".{%d}+" % count if count > 3 else b"." * count


@lru_cache(maxsize=1)
def _text() -> bytes:
    short = [_byte(2 * length) + _any_bytes(length) for length in range(64)]
    longer = [
        _byte(2 * length & 0x7F | 0x80) + rb"\x01" + _any_bytes(length) for length in range(64, _LONGEST_TEXT + 1)
    ]
    return b"(?:" + b"|".join(short + longer) + b")"


def alternatives(node: Node) -> int:
    """Estimate what compiling a node's pattern costs.

    Parameters
    ----------
    node : Node
        Any type.

    Returns
    -------
    int
        Number of alternatives, in all its fields and branches.
    """
    if node.kind == "string":
        return _LONGEST_TEXT
    inner = [child for _, child in node.fields] if node.kind == "record" else node.branches
    return 1 + sum(alternatives(child) for child in inner)


def pattern_of(node: Node) -> bytes | None:
    """Describe the values of a type.

    Parameters
    ----------
    node : Node
        Any type.

    Returns
    -------
    bytes or None
        A pattern for `re.DOTALL`; None for types that no pattern describes.
    """
    pattern: bytes | None = None
    if node.kind in {"int", "long"}:
        pattern = _INTEGER
    elif node.kind == "string":
        pattern = _text()
    elif node.kind in {"null", "boolean", "float", "double", "fixed"} and node.least_bytes <= _LONGEST_FIXED:
        pattern = _any_bytes(node.least_bytes)
    elif node.kind == "enum" and 0 < len(node.symbols) <= _MOST_INDICES:
        pattern = b"[" + b"".join(_byte(2 * index) for index in range(len(node.symbols))) + b"]"
    elif node.kind == "record":
        inner = _patterns_of([child for _, child in node.fields])
        pattern = None if inner is None else b"".join(inner)
    elif node.kind == "union" and len(node.branches) <= _MOST_INDICES:
        inner = _patterns_of(node.branches)
        pattern = None if inner is None else _pattern_of_union(inner)
    return pattern


def _patterns_of(nodes: Sequence[Node]) -> list[bytes] | None:
    patterns = [pattern for node in nodes if (pattern := pattern_of(node)) is not None]
    return patterns if len(patterns) == len(nodes) else None


def _pattern_of_union(branches: list[bytes]) -> bytes:
    return b"(?:" + b"|".join(_byte(2 * index) + branch for index, branch in enumerate(branches)) + b")"


def compile_pattern(pattern: bytes, times: int = 1) -> re.Pattern[bytes]:
    """Compile a pattern.

    Parameters
    ----------
    pattern : bytes
        From `pattern_of`, or several of them joined.
    times : int
        How many values in a row to match.

    Returns
    -------
    re.Pattern
        Matches at a position, or does not.
    """
    return re.compile(pattern if times == 1 else b"(?>" + pattern + b"){%d}" % times, re.DOTALL)
