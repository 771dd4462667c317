"""Parquet's data pages: their headers, through thriftpy2, and where in a page each value is.

The format is described at https://parquet.apache.org/docs/file-format/data-pages/.
"""

from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cramjam
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.columns import Chunk, Column
from stamp_service.lake.extras import Untyped, extra
from stamp_service.lake.snappy import SnappyCorrupt, decompress

# Spark's pages have 1.3 to 2 MB, one gigantic value apart.
MAX_PAGE_BYTES = 1 << 28
# Statistics in a header may hold values of some kB.
HEADER_BYTES = 1 << 16
_DATA_PAGE, _DATA_PAGE_V2 = 0, 3
_PLAIN, _RLE = 0, 3
_IDL = Path(__file__).with_name("parquet.thrift")
_DAMAGED = "a page of the Parquet file is damaged"


class PageHeader(NamedTuple):
    """What stands before a page.

    Parameters
    ----------
    length : int
        Bytes of the header itself.
    compressed, uncompressed : int
        Bytes of the page after it, as stored and as it was.
    rows : int
        Values in it, nulls included; 0 for a dictionary.
    plain : bool
        Whether it is a data page v1 with plain values.
    checksum : int, optional
        CRC-32 of the page as stored, if the writer gave it.
    """

    length: int
    compressed: int
    uncompressed: int
    rows: int
    plain: bool
    checksum: int | None = None

    def check(self, body: memoryview) -> None:
        """Compare a page with its checksum.

        Parameters
        ----------
        body : memoryview
            The page as stored.

        Raises
        ------
        PacketCorrupt
            If there is a checksum and the page has another.
        """
        if self.checksum is not None and isal_zlib.crc32(body) != self.checksum & 0xFFFFFFFF:
            raise PacketCorrupt(_DAMAGED)


class Page(NamedTuple):
    """A page of a column chunk.

    Parameters
    ----------
    start : int
        Offset of its header in the file.
    first_row : int
        The file's row that it starts with.
    header : PageHeader
        Its header.
    """

    start: int
    first_row: int
    header: PageHeader

    @property
    def body(self) -> int:
        """Offset in the file of what follows the header."""
        return self.start + self.header.length


@cache
def _idl() -> Untyped:
    return extra("thriftpy2").load(str(_IDL), module_name="stamp_service_parquet_thrift")


def parse_struct(name: str, data: bytes) -> tuple[Any, int]:
    """Parse one of the structs of `parquet.thrift` in Thrift's compact protocol.

    Parameters
    ----------
    name : str
        Which struct.
    data : bytes
        Where it starts; what follows it is left alone.

    Returns
    -------
    struct : object
        The struct; absent fields are None.
    length : int
        Bytes that it takes.

    Raises
    ------
    PacketCorrupt
        If these bytes are no such struct.
    """
    protocol = extra("thriftpy2.protocol.compact").TCompactProtocol
    source = BytesIO(data)
    struct = getattr(_idl(), name)()
    try:
        protocol(source).read_struct(struct)
    # On garbage the parser raises whatever its struct module, dicts, loops or recursion come upon.
    except Exception:
        raise PacketCorrupt(_DAMAGED) from None
    return struct, source.tell()


def parse_header(data: bytes) -> PageHeader:
    """Parse a page header.

    Parameters
    ----------
    data : bytes
        Where it starts.

    Returns
    -------
    PageHeader
        The header.

    Raises
    ------
    PacketCorrupt
        If it is none, or speaks of sizes that no page has.
    """
    found, length = parse_struct("PageHeader", data)
    compressed, uncompressed = found.compressed_page_size, found.uncompressed_page_size
    data_page = {_DATA_PAGE: found.data_page_header, _DATA_PAGE_V2: found.data_page_header_v2}.get(found.type)
    rows = data_page.num_values if data_page is not None else 0
    for number in (compressed, uncompressed, rows):
        if not isinstance(number, int) or not 0 <= number <= MAX_PAGE_BYTES:
            raise PacketCorrupt(_DAMAGED)
    plain = (
        found.type == _DATA_PAGE
        and data_page is not None
        and data_page.encoding == _PLAIN
        and data_page.definition_level_encoding == _RLE
    )
    return PageHeader(length, compressed, uncompressed, rows, plain, found.crc)


def walk_pages(
    read: Callable[[int, int], memoryview], chunk: Chunk, header_bytes: int = HEADER_BYTES
) -> Iterator[Page]:
    """Go from page to page of a column chunk.

    Parameters
    ----------
    read : callable
        Takes an offset in the file and a length, and returns those bytes.
    chunk : Chunk
        Which.
    header_bytes : int
        How much to read for a header; one that is longer is read again.

    Yields
    ------
    Page
        Each data page, in the order of their rows; dictionaries are stepped over.

    Raises
    ------
    PacketCorrupt
        If the pages are damaged, or do not hold the chunk's rows.
    """
    at, row = chunk.start, chunk.first_row
    end, end_row = at + chunk.length, row + chunk.rows
    while row < end_row:
        try:
            header = parse_header(bytes(read(at, min(header_bytes, end - at))))
        except PacketCorrupt:
            header = parse_header(bytes(read(at, min(HEADER_BYTES, end - at))))
        page = Page(at, row, header)
        at = page.body + header.compressed
        row += header.rows
        if at > end or row > end_row:
            raise PacketCorrupt(_DAMAGED)
        if header.rows:
            yield page


def unpack(codec: str, body: bytes | memoryview, size: int) -> memoryview:
    """Decompress a page.

    Parameters
    ----------
    codec : str
        How it is compressed: one of `CODECS`.
    body : bytes-like
        The page as stored.
    size : int
        Bytes that it must have.

    Returns
    -------
    memoryview
        The page.

    Raises
    ------
    PacketCorrupt
        If it is damaged, or of another size.
    """
    try:
        page = CODECS[codec](body, size)
    except (cramjam.DecompressionError, SnappyCorrupt, isal_zlib.IsalError):  # type: ignore[misc]  # its stub gives an instance
        raise PacketCorrupt(_DAMAGED) from None
    if len(page) != size:
        raise PacketCorrupt(_DAMAGED)
    return page


def _plain(body: bytes | memoryview, _size: int) -> memoryview:
    return memoryview(body)


def _gunzip(body: bytes | memoryview, size: int) -> memoryview:
    return memoryview(isal_zlib.decompressobj(31).decompress(body, size + 1))


def _unzstd(body: bytes | memoryview, size: int) -> memoryview:
    page = bytearray(size)
    return memoryview(page)[: cramjam.zstd.decompress_into(body, page)]


def _unbrotli(body: bytes | memoryview, size: int) -> memoryview:
    page = bytearray(size)
    return memoryview(page)[: cramjam.brotli.decompress_into(body, page)]


# LZ4 is missing because one name stands for two formats.
CODECS: dict[str, Callable[[bytes | memoryview, int], memoryview]] = {
    "UNCOMPRESSED": _plain,
    "SNAPPY": decompress,
    "GZIP": _gunzip,
    "ZSTD": _unzstd,
    "BROTLI": _unbrotli,
}


def readable_by_page(column: Column) -> bool:
    """Say whether a column's pages may be read here, as far as the footer tells.

    Parameters
    ----------
    column : Column
        Which.

    Returns
    -------
    bool
        False if pyarrow has to.
    """
    plain = column.physical_type == "BYTE_ARRAY" and not any(chunk.dictionary for chunk in column.chunks)
    return plain and (column.codec in CODECS or not column.chunks)


class Values(NamedTuple):
    """Where the values of a page are.

    Parameters
    ----------
    start : int
        Offset of the first in the uncompressed page.
    ends : list of int
        Offset of each one's end, nulls included; a null ends where the one before it does.
    """

    start: int
    ends: list[int]


def find_values(page: memoryview, rows: int, max_level: int) -> Values:
    """Find the byte arrays in a plain data page v1.

    Each is its length, 4 bytes little-endian, and its bytes.

    Parameters
    ----------
    page : memoryview
        The uncompressed page.
    rows : int
        How many values it has, nulls included.
    max_level : int
        The definition level of those that are not null.

    Returns
    -------
    Values
        Where they are.

    Raises
    ------
    PacketCorrupt
        If they do not fill the page.
    """
    start, present = 0, np.ones(rows, bool)
    if max_level:
        start = 4 + int.from_bytes(page[:4], "little")
        present = _levels(page[4:start], rows, max_level.bit_length()) == max_level
    at, size, ends = start, len(page), []
    for is_there in present.tolist():
        if is_there:
            at += 4 + int.from_bytes(page[at : at + 4], "little")
            if at > size:
                raise PacketCorrupt(_DAMAGED)
        ends.append(at)
    if at != size:
        raise PacketCorrupt(_DAMAGED)
    return Values(start, ends)


def _levels(data: memoryview, count: int, width: int) -> npt.NDArray[np.uint8]:
    """Decode the hybrid of run lengths and bit packing, for levels of up to 8 bits."""
    levels = np.empty(count, np.uint8)
    filled = at = 0
    while filled < count:
        header, at = _varint(data, at)
        if header & 1:
            packed = data[at : at + (header >> 1) * width]
            at += len(packed)
            bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
            run = bits[: len(bits) // width * width].reshape(-1, width) @ (1 << np.arange(width))
            taken = min(len(run), count - filled)
            levels[filled : filled + taken] = run[:taken]
        elif at == len(data):
            raise PacketCorrupt(_DAMAGED)
        else:
            taken = min(header >> 1, count - filled)
            levels[filled : filled + taken] = data[at]
            at += 1
        filled += taken
    return levels


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 35 and at < len(data):
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at
    raise PacketCorrupt(_DAMAGED)
