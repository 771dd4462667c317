"""Decoders: all that is worked out once per schema and kept."""

import json
from io import BytesIO
from typing import Any, cast

import fastavro

from stamp_service.errors import PacketCorrupt
from stamp_service.packets.bounded import Bounded
from stamp_service.packets.nodes import build_tree, plain_schema
from stamp_service.packets.plans import Group, Plan, has_path
from stamp_service.packets.schema import MAX_SCHEMA_BYTES, Schema, record_of
from stamp_service.packets.skips import Skipper

# Questions come from survey definitions and callers' code: a few dozen per schema.
_MAX_PLANS = 64
_MAX_PATHS = 256
# Schemas come from outside. A survey has some ten that are met in one archive.
_MAX_DECODERS = 64


class Decoder:
    """Reads bodies that were written with one schema.

    Parameters
    ----------
    schema : dict
        The schema of a record, self-contained. It must not be changed afterwards.

    Raises
    ------
    PacketCorrupt
        If it is not a valid schema, is recursive, or larger than any survey's.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self._root = build_tree(schema)
        self._skipper = Skipper(self._root)
        self._plans: dict[tuple[tuple[Group, ...], bool], Plan] = {}
        self._paths: dict[str, bool] = {}
        self._parsed: Any = None

    def has(self, path: str) -> bool:
        """Say whether the schema has a field.

        Parameters
        ----------
        path : str
            The dotted path to it.

        Returns
        -------
        bool
            True if it has one of another type than null.
        """
        known = self._paths.get(path)
        if known is None:
            if len(self._paths) >= _MAX_PATHS:
                self._paths.clear()
            known = self._paths[path] = has_path(self._root, path)
        return known

    def plan(self, groups: tuple[Group, ...], *, whole: bool = False) -> Plan:
        """Find or make the plan to read some values.

        Parameters
        ----------
        groups : tuple of tuple of str
            For each value, the dotted paths where it may stand.
        whole : bool
            Whether all of a body is held against the schema.

        Returns
        -------
        Plan
            What reads them.
        """
        plan = self._plans.get((groups, whole))
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[groups, whole] = Plan(self._root, self._skipper, groups, whole=whole)
        return plan

    def check(self, buffer: bytes, start: int, end: int) -> None:
        """Hold a whole body against the schema, decoding nothing.

        Parameters
        ----------
        buffer : bytes
            The bytes that hold the body.
        start : int
            Where it starts.
        end : int
            Where it ends.

        Raises
        ------
        PacketCorrupt
            If it does not fit the schema, ends early or goes on after the record.
        TooLarge
            If it holds too many values.
        """
        self.plan((), whole=True).read(buffer, start, end)

    def record(self, buffer: bytes, start: int, end: int) -> dict[str, Any]:
        """Decode a whole body.

        Parameters
        ----------
        buffer : bytes
            The bytes that hold the body.
        start : int
            Where it starts.
        end : int
            Where it ends.

        Returns
        -------
        dict
            The record.

        Raises
        ------
        PacketCorrupt
            If it does not fit the schema.
        TooLarge
            If it holds too many values.
        """
        # fastavro believes every length and count, so it only ever sees what has been walked through.
        self.check(buffer, start, end)
        try:
            if self._parsed is None:
                self._parsed = fastavro.parse_schema(plain_schema(self._root))
            record = fastavro.schemaless_reader(BytesIO(buffer[start:end]), self._parsed, None)
        except UnicodeDecodeError:
            raise PacketCorrupt("the packet holds text that is not UTF-8") from None
        except Exception:  # whatever another package makes of values from outside: dates, decimals, UUIDs
            raise PacketCorrupt("the packet holds a value that cannot be decoded") from None
        return cast(dict[str, Any], record)


_by_text: Bounded[str, Decoder] = Bounded(_MAX_DECODERS)
# A lookup usually hands out the same object again; holding it keeps its id its own.
_by_identity: Bounded[int, tuple[Schema, Decoder]] = Bounded(_MAX_DECODERS)


def decoder_of(schema: Schema) -> Decoder:
    """Find or make the decoder of a schema that was looked up.

    Parameters
    ----------
    schema : Schema
        A record, or a list of named types with the record last. It must not be changed afterwards.

    Returns
    -------
    Decoder
        The decoder.

    Raises
    ------
    PacketCorrupt
        If it is not a valid schema of a record.
    """
    known = _by_identity.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError, RecursionError):
        raise PacketCorrupt("the schema is not JSON") from None
    if len(text) > MAX_SCHEMA_BYTES:
        raise PacketCorrupt(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")
    decoder = _by_text.get(text)
    if decoder is None:
        decoder = Decoder(record_of(schema))
        _by_text.put(text, decoder)
    _by_identity.put(id(schema), (schema, decoder))
    return decoder
