"""Reading cutouts and records of single rows, the fastest way that a file allows.

Three ways give the same bytes: one or two Snappy fragments, one page, or pyarrow. The first two need none of the
`lake` extra's packages when the file is indexed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from isal import isal_zlib

from stamp_service.errors import LakeFileNotFound, PacketCorrupt
from stamp_service.lake.columns import open_parquet
from stamp_service.lake.extras import Untyped
from stamp_service.lake.files import FileChanged, Filesystem, Range
from stamp_service.lake.ids import only_leaf
from stamp_service.lake.lake_file import LakeFile, parquet_faults
from stamp_service.lake.pages import find_values, parse_header, unpack
from stamp_service.lake.places import CutoutIndex, Place
from stamp_service.lake.side_index import SideIndex, Tier
from stamp_service.lake.snappy import FRAGMENT_BYTES, SnappyCorrupt, decompress_fragments
from stamp_service.surveys.definition import Kind, Survey

# Rows that pyarrow decodes at once: a cutout may have 65 kB, and most of what is decoded is thrown away.
_BATCH_ROWS = 256


def read_cutouts(
    files: Filesystem, path: str, index: SideIndex, row: int, kinds: Sequence[Kind]
) -> tuple[dict[Kind, bytes], Tier]:
    """Read cutouts of one row, all of them at once.

    Parameters
    ----------
    files : Filesystem
        Where the file is.
    path : str
        Which.
    index : SideIndex
        Its index; says which version of the file is meant.
    row : int
        The row in the file.
    kinds : sequence of str
        Which cutouts.

    Returns
    -------
    cutouts : dict
        The bytes of each; those that are null, or that the file has no column for, are missing.
    tier : str
        How they were read.

    Raises
    ------
    FileChanged
        If the file is another version, or what was read is not that row's.
    PacketCorrupt
        If the file is damaged.
    StoreUnavailable, StoreTimeout
        If it could not be read.
    """
    if not 0 <= row < index.rows:
        raise IndexError(row)
    wanted = [(kind, index.cutouts[kind]) for kind in kinds if kind in index.cutouts]
    if index.tier == "pyarrow":
        return dict(_read_with_pyarrow(files, path, index, row, wanted)), "pyarrow"
    found = [(kind, cutout, place) for kind, cutout in wanted if (place := cutout.place(row)) is not None]
    if index.tier == "fragment":
        return _read_fragments(files, path, index, found), "fragment"
    return _read_pages(files, path, index, found), "page"


def _read_fragments(
    files: Filesystem, path: str, index: SideIndex, found: Sequence[tuple[Kind, CutoutIndex, Place]]
) -> dict[Kind, bytes]:
    ranges = [Range(place.offset + place.first, place.last - place.first) for _, _, place in found]
    cutouts: dict[Kind, bytes] = {}
    for (kind, cutout, place), piece in zip(found, files.read(path, index.version, ranges), strict=True):
        plain = cutout.codec == "UNCOMPRESSED"
        value = memoryview(piece) if plain else _value_in_fragments(piece, place, path)
        cutouts[kind] = _checked(value, place, path)
    return cutouts


def _value_in_fragments(elements: bytes, place: Place, path: str) -> memoryview:
    begin = place.start // FRAGMENT_BYTES * FRAGMENT_BYTES
    end = min(-(-place.end // FRAGMENT_BYTES) * FRAGMENT_BYTES, place.uncompressed)
    try:
        plain = decompress_fragments(elements, end - begin)
    except SnappyCorrupt:
        raise FileChanged(path) from None
    return plain[place.start - begin : place.end - begin]


def _checked(value: memoryview, place: Place, path: str) -> bytes:
    """Return a value without its length, once it is known to be the one that was indexed."""
    cutout = bytes(value[4:])
    if int.from_bytes(value[:4], "little") != len(cutout) or isal_zlib.crc32(cutout) != place.checksum:
        raise FileChanged(path)
    return cutout


def _read_pages(
    files: Filesystem, path: str, index: SideIndex, found: Sequence[tuple[Kind, CutoutIndex, Place]]
) -> dict[Kind, bytes]:
    ranges = [Range(place.offset, place.compressed) for _, _, place in found]
    pieces = files.read(path, index.version, ranges)
    cutouts: dict[Kind, bytes] = {}
    try:
        for (kind, cutout, place), piece in zip(found, pieces, strict=True):
            page = _page(cutout, place, piece)
            if place.end:
                cutouts[kind] = _checked(page[place.start : place.end], place, path)
                continue
            values = find_values(page, place.rows, cutout.max_level)
            start = values.ends[place.row - 1] if place.row else values.start
            if values.ends[place.row] > start:
                cutouts[kind] = bytes(page[start + 4 : values.ends[place.row]])
    except PacketCorrupt:
        _check_version(files, path, index)
        raise
    if not all(place.end for _, _, place in found):
        _check_version(files, path, index)
    return cutouts


def _page(cutout: CutoutIndex, place: Place, piece: bytes) -> memoryview:
    """Decompress a page, of which the header may still stand before it."""
    if place.uncompressed:
        return unpack(cutout.codec, piece, place.uncompressed)
    header = parse_header(piece)
    # That a chunk's first page is plain was seen before; the others of a chunk are written alike.
    if not header.plain or header.rows != place.rows or header.length + header.compressed != len(piece):
        raise PacketCorrupt("the Parquet file's page index is damaged")
    body = memoryview(piece)[header.length :]
    header.check(body)
    return unpack(cutout.codec, body, header.uncompressed)


def _check_version(files: Filesystem, path: str, index: SideIndex) -> None:
    """Ask for the file's version after reading what no checksum vouches for."""
    try:
        version = files.version(path)
    except LakeFileNotFound:
        raise FileChanged(path) from None
    if version != index.version:
        raise FileChanged(path)


def _read_with_pyarrow(
    files: Filesystem, path: str, index: SideIndex, row: int, wanted: Sequence[tuple[Kind, CutoutIndex]]
) -> Iterator[tuple[Kind, bytes]]:
    file = LakeFile(files, path, index.version)
    try:
        source = open_parquet(file)
        for kind, cutout in wanted:
            column = _batch_of(source, index, row, [cutout.column]).column(0)
            with parquet_faults():
                value = only_leaf(column).cast("binary")[0].as_py()
            if value is not None:
                yield kind, value
    except PacketCorrupt:
        _check_version(files, path, index)
        raise
    _check_version(files, path, index)


def _batch_of(source: Untyped, index: SideIndex, row: int, columns: Sequence[str]) -> Untyped:
    """Read columns of one row, as a record batch of that row."""
    group = 0
    while row >= index.groups[group]:
        row -= index.groups[group]
        group += 1
    with parquet_faults():
        batches = source.iter_batches(_BATCH_ROWS, [group], list(columns), use_threads=False)
        for batch in batches:
            if row < batch.num_rows:
                return batch.slice(row, 1)
            row -= batch.num_rows
    raise PacketCorrupt("the Parquet file's number of rows is wrong")


def read_record(files: Filesystem, path: str, index: SideIndex, row: int, survey: Survey) -> dict[str, Any]:
    """Read a whole row but for its cutouts.

    Parameters
    ----------
    files : Filesystem
        Where the file is.
    path : str
        Which.
    index : SideIndex
        Its index.
    row : int
        The row in the file.
    survey : Survey
        Says which columns are cutouts.

    Returns
    -------
    dict
        The record: structs are dicts, lists lists.

    Raises
    ------
    FileChanged
        If the file is another version.
    PacketCorrupt
        If the file is damaged.
    StoreUnavailable, StoreTimeout
        If it could not be read.
    ConfigurationError
        If the `lake` extra is not installed.
    """
    file = LakeFile(files, path, index.version)
    try:
        source = open_parquet(file)
        with parquet_faults():
            columns = [name for name in source.schema_arrow.names if name not in survey.cutout_roots]
        batch = _batch_of(source, index, row, columns)
        with parquet_faults():
            (record,) = batch.to_pylist()
    except PacketCorrupt:
        _check_version(files, path, index)
        raise
    _check_version(files, path, index)
    return dict(record)
