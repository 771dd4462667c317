"""A packet: the bytes of one alert as its survey published them, and what they say."""

from collections.abc import Collection, Sequence
from typing import Any, Literal, Protocol

from stamp_service.errors import NotFound, PacketCorrupt, TooLarge
from stamp_service.packets.compression import GZIP_MAGIC, gunzip
from stamp_service.packets.container import MAGIC, Contents, open_container
from stamp_service.packets.decoder import Decoder, decoder_of
from stamp_service.packets.schema import Schema

MAX_PACKET_BYTES = 32 * 1024 * 1024
# Confluent wire format: a zero byte, the schema's id as 4 bytes big-endian, the AVRO body.
WIRE_MAGIC = b"\x00"
WIRE_HEADER_BYTES = 5


class SchemaLookup(Protocol):
    """Where the schemas of wire-format packets come from."""

    def schema(self, schema_id: int) -> Schema:
        """Find a schema.

        Parameters
        ----------
        schema_id : int
            The id that a packet starts with.

        Returns
        -------
        Schema
            A record, or a list of named types with the record last.

        Raises
        ------
        NotFound
            If no schema has this id.
        StoreUnavailable
            If it could not be looked up.
        """
        ...


class Packet:
    """A parsed packet; make one with `Packet.parse`.

    Parameters
    ----------
    data : bytes
        The packet exactly as it came.
    contents : Contents
        Its record, still encoded.
    schema_id : int, optional
        The schema's id in wire format.
    """

    __slots__ = ("_buffer", "_decoder", "_end", "_is_checked", "_start", "codec", "data", "schema_id")

    def __init__(self, data: bytes, contents: Contents, schema_id: int | None = None) -> None:
        self.data = data
        self.codec = contents.codec
        self.schema_id = schema_id
        self._decoder = contents.decoder
        self._buffer = contents.buffer
        self._start = contents.start
        self._end = contents.end
        self._is_checked = False

    @classmethod
    def parse(
        cls, data: bytes, schemas: SchemaLookup | None = None, max_bytes: int = MAX_PACKET_BYTES
    ) -> "Packet":
        """Recognise a packet by its first bytes and find the record in it.

        Parameters
        ----------
        data : bytes
            An object container file or wire format, possibly gzipped.
        schemas : SchemaLookup, optional
            Where schemas of wire-format packets come from; without it they are refused.
        max_bytes : int
            Most bytes of the packet, as it came and after each decompression.

        Returns
        -------
        Packet
            The packet, nothing of its record decoded.

        Raises
        ------
        PacketCorrupt
            If it is neither, damaged, or written with a schema that is invalid or unknown.
        TooLarge
            If it is larger than `max_bytes`.
        StoreUnavailable
            If its schema could not be looked up.
        """
        if len(data) > max_bytes:
            raise TooLarge(f"the packet is larger than {max_bytes} bytes")
        plain = gunzip(data, max_bytes) if data.startswith(GZIP_MAGIC) else data
        if plain.startswith(MAGIC):
            return cls(data, open_container(plain, max_bytes))
        if plain.startswith(WIRE_MAGIC) and len(plain) >= WIRE_HEADER_BYTES:
            schema_id = int.from_bytes(plain[1:WIRE_HEADER_BYTES], "big")
            contents = Contents(_look_up(schema_id, schemas), plain, WIRE_HEADER_BYTES, len(plain))
            return cls(data, contents, schema_id)
        raise PacketCorrupt("the packet is neither an AVRO object container file nor in wire format")

    @property
    def format(self) -> Literal["ocf", "wire"]:
        """Object container file or Confluent wire format, gzipped or not."""
        return "ocf" if self.schema_id is None else "wire"

    @property
    def schema(self) -> dict[str, Any]:
        """The schema that the packet was written with, self-contained; not to be changed."""
        return self._decoder.schema

    def has(self, *paths: str) -> bool:
        """Say whether the schema has a field.

        Parameters
        ----------
        *paths : str
            Dotted paths where it may stand.

        Returns
        -------
        bool
            True if it has one of them.
        """
        return any(self._decoder.has(path) for path in paths)

    def get(self, *paths: str) -> object:
        """Read one value and decode nothing else.

        Parameters
        ----------
        *paths : str
            Dotted paths where it may stand, in order of preference.

        Returns
        -------
        object
            The first that the schema has and that is not null; None where there is none.

        Raises
        ------
        PacketCorrupt
            If the body does not fit its schema, up to the value.
        TooLarge
            If it holds too many values.
        """
        return self._decoder.plan((paths,)).read(self._buffer, self._start, self._end)[0]

    def get_many(self, groups: Sequence[Sequence[str]], *, whole: bool = False) -> list[object]:
        """Read several values in one pass and decode nothing else.

        Parameters
        ----------
        groups : sequence of sequence of str
            For each value, the dotted paths where it may stand, in order of preference.
        whole : bool
            Whether to do in the same pass what `check` does.

        Returns
        -------
        list
            For each group the first value that the schema has and that is not null; None where there is none.

        Raises
        ------
        PacketCorrupt
            If the body does not fit its schema, up to the last value or as a whole.
        TooLarge
            If it holds too many values.
        """
        plan = self._decoder.plan(tuple(map(tuple, groups)), whole=whole)
        values = plan.read(self._buffer, self._start, self._end)
        self._is_checked = self._is_checked or whole
        return values

    def record(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Decode the whole record.

        Parameters
        ----------
        without : collection of str
            Top-level fields to leave out.

        Returns
        -------
        dict
            Field names to values.

        Raises
        ------
        PacketCorrupt
            If the body does not fit its schema.
        TooLarge
            If it holds too many values.
        """
        record = self._decoder.record(self._buffer, self._start, self._end)
        for name in without:
            record.pop(name, None)
        return record

    def check(self) -> None:
        """Hold the whole body against its schema, once, at a fraction of what `record` costs.

        Raises
        ------
        PacketCorrupt
            If it does not fit, ends early or goes on after the record.
        TooLarge
            If it holds too many values.
        """
        if not self._is_checked:
            self.get_many((), whole=True)

    def body(self) -> bytes:
        """Cut the AVRO body out.

        Returns
        -------
        bytes
            One record, decompressed, without any header.
        """
        return self._buffer[self._start : self._end]


def _look_up(schema_id: int, schemas: SchemaLookup | None) -> Decoder:
    if schemas is None:
        raise PacketCorrupt(f"the packet is in wire format, and nothing knows its schema {schema_id}")
    try:
        schema = schemas.schema(schema_id)
    except NotFound:
        raise PacketCorrupt(f"the packet's schema {schema_id} is not known") from None
    return decoder_of(schema)
