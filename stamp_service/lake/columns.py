"""What a Parquet file's footer says of the columns that a survey needs, read through pyarrow."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.extras import Untyped, extra
from stamp_service.lake.files import Range
from stamp_service.lake.lake_file import LakeFile, parquet_faults
from stamp_service.surveys.definition import Survey

# Spark's footers of alert files take 35 to 85 kB.
_TAIL_BYTES = 1 << 17
# How pyarrow reads: columns in steps of 1 MiB, nothing ahead, comparing checksums where a writer gave them.
IN_STEPS: dict[str, Any] = {"buffer_size": 1 << 20, "pre_buffer": False, "page_checksum_verification": True}


class Chunk(NamedTuple):
    """A column's part of a row group.

    Parameters
    ----------
    start, length : int
        Where its pages are in the file.
    first_row, rows : int
        Which rows of the file they hold.
    codec : str
        How they are compressed, as pyarrow calls it.
    dictionary : bool
        Whether any encoding beyond plain values is used.
    indexed : tuple of int, optional
        The row group's and the column's number, if there is an offset index.
    """

    start: int
    length: int
    first_row: int
    rows: int
    codec: str
    dictionary: bool
    indexed: tuple[int, int] | None = None


@dataclass(frozen=True)
class Column:
    """A leaf column of a file.

    Parameters
    ----------
    path : str
        Its dotted path.
    max_level : int
        The definition level of values that are not null; 0 if there are no nulls.
    physical_type : str
        How its values are stored.
    chunks : tuple of Chunk
        Its parts, in the order of the rows.
    """

    path: str
    max_level: int
    physical_type: str
    chunks: tuple[Chunk, ...]

    @property
    def codec(self) -> str | None:
        """How all of it is compressed; None if its parts differ or there are none."""
        codecs = {chunk.codec for chunk in self.chunks}
        return codecs.pop() if len(codecs) == 1 else None


class _Reached(Exception):
    """pyarrow took a column's metadata for whole, and asked for its bytes."""


class _FooterOnly(LakeFile):
    """A file whose footer is known and of which nothing else may be read."""

    def __init__(self, file: LakeFile) -> None:
        self.size = file.size
        self._position = 0

    def read(self, _length: int = -1) -> bytes:
        raise _Reached


class Footer:
    """What a file's footer says about the columns that a survey needs.

    Parameters
    ----------
    file : LakeFile
        The file.
    survey : Survey
        Says what the columns are called.

    Raises
    ------
    PacketCorrupt
        If it is no Parquet file, damaged or encrypted, or lacks the alert ids or all cutouts.
    FileChanged
        If the file is another version.
    """

    def __init__(self, file: LakeFile, survey: Survey) -> None:
        self._file = file
        self.source = open_parquet(file)
        self.metadata: Untyped = self.source.metadata
        with parquet_faults():
            schema = self.metadata.schema
            self._leaves = {schema.column(i).path: i for i in reversed(range(len(schema)))}
            self.groups: tuple[int, ...] = tuple(
                self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)
            )
        self.rows = sum(self.groups)
        # Alert ids differ, so a row takes more than a byte.
        if min(self.groups, default=0) < 0 or self.rows != self.metadata.num_rows or self.rows > file.size:
            raise PacketCorrupt("the Parquet file's number of rows is wrong")
        self._find(survey)

    def _find(self, survey: Survey) -> None:
        cutouts = {kind: self._path(survey.cutouts[kind].fields) for kind in survey.kinds}
        ids = [
            self._path(paths) for paths in (survey.alert_id.fields, survey.object_id.fields, survey.time.fields)
        ]
        if ids[0] is None:
            raise PacketCorrupt(f"the Parquet file has no column {survey.alert_id.fields[0]}")
        if not any(cutouts.values()):
            name = survey.cutouts[survey.kinds[0]].fields[0]
            raise PacketCorrupt(f"the Parquet file has no column {name}, nor other cutouts of {survey.name}")
        self._probe([path for path in (*ids, *cutouts.values()) if path is not None])
        self.alert_id = self._column(ids[0])
        self.object_id, self.time = (None if path is None else self._column(path) for path in ids[1:])
        self.cutouts = {kind: self._column(path) for kind, path in cutouts.items() if path is not None}
        for column in self.cutouts.values():
            if column.physical_type not in {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}:
                raise PacketCorrupt(f"the Parquet file's column {column.path} holds no cutouts")

    def _path(self, paths: Sequence[str]) -> str | None:
        return next((path for path in paths if path in self._leaves), None)

    def _probe(self, paths: Sequence[str]) -> None:
        """Let pyarrow start to read each column: where its metadata are encrypted, missing or odd it says so.

        Asked for such metadata directly, pyarrow 26 ends the process.
        """
        with parquet_faults():
            parquet = extra("pyarrow.parquet")
            source = parquet.ParquetFile(_FooterOnly(self._file), metadata=self.metadata, **IN_STEPS)
            for group, path in product((group for group, rows in enumerate(self.groups) if rows), paths):
                with suppress(_Reached):
                    next(source.iter_batches(1, [group], [path], use_threads=False), None)
                    raise PacketCorrupt("the Parquet file's number of rows is wrong")

    def _column(self, path: str) -> Column:
        number = self._leaves[path]
        with parquet_faults():
            leaf = self.metadata.schema.column(number)
            if leaf.max_repetition_level:
                raise PacketCorrupt(f"the Parquet file's column {path} holds lists")
            chunks = tuple(self._chunks(number, path))
            return Column(path, leaf.max_definition_level, leaf.physical_type, chunks)

    def _chunks(self, number: int, path: str) -> Iterator[Chunk]:
        first_row = 0
        for group, rows in enumerate(self.groups):
            if not rows:
                continue
            part = self.metadata.row_group(group).column(number)
            start = part.data_page_offset
            # Old Spark says nothing of the dictionary, which then stands where the data are said to start.
            if part.dictionary_page_offset:
                start = min(start, part.dictionary_page_offset)
            length = part.total_compressed_size
            inside = start >= 4 and length >= 0 and start + length <= self._file.size - 8
            if not inside or part.num_values != rows:
                raise PacketCorrupt(f"the Parquet file's column {path} is not where its footer says")
            dictionary = not {"PLAIN", "RLE", "BIT_PACKED"}.issuperset(part.encodings)
            place = (group, number) if part.has_offset_index else None
            yield Chunk(start, length, first_row, rows, part.compression, dictionary, place)
            first_row += rows


def open_parquet(file: LakeFile) -> Untyped:
    """Open a file with pyarrow, which reads its footer.

    Parameters
    ----------
    file : LakeFile
        The file.

    Returns
    -------
    pyarrow.parquet.ParquetFile
        The open file; it reads columns in steps of 1 MiB.

    Raises
    ------
    PacketCorrupt
        If it is no Parquet file, damaged, or its footer is encrypted.
    FileChanged
        If it is another version.
    """
    tail = min(_TAIL_BYTES, file.size)
    file.fetch([Range(file.size - tail, tail)])
    if bytes(file.view(file.size - 4, 4)) == b"PARE":
        raise PacketCorrupt("the Parquet file is encrypted")
    with parquet_faults():
        return extra("pyarrow.parquet").ParquetFile(file, **IN_STEPS)
