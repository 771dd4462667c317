"""What a Parquet file's footer says of the columns that a survey needs, read through pyarrow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.extras import extra
from stamp_service.lake.files import Range
from stamp_service.lake.lake_file import LakeFile, parquet_faults
from stamp_service.surveys.definition import Kind, Survey

# Spark's footers of alert files take 35 to 85 kB.
_TAIL_BYTES = 1 << 17


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
    """

    start: int
    length: int
    first_row: int
    rows: int
    codec: str
    dictionary: bool


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


class Footer:
    """What a file's footer says about the columns that a survey needs.

    Parameters
    ----------
    file : LakeFile
        The file.

    Raises
    ------
    PacketCorrupt
        If it is no Parquet file, damaged or encrypted.
    FileChanged
        If the file is another version.
    """

    def __init__(self, file: LakeFile) -> None:
        tail = min(_TAIL_BYTES, file.size)
        file.fetch([Range(file.size - tail, tail)])
        if bytes(file.view(file.size - 4, 4)) == b"PARE":
            raise PacketCorrupt("the Parquet file is encrypted")
        parquet = extra("pyarrow.parquet")
        self._file = file
        with parquet_faults():
            self.metadata: Any = parquet.read_metadata(file)
            schema = self.metadata.schema
            self._leaves = {schema.column(i).path: i for i in reversed(range(len(schema)))}
            self.groups: tuple[int, ...] = tuple(
                self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)
            )
        self.rows = sum(self.groups)
        # Alert ids differ, so a row takes more than a byte.
        if min(self.groups, default=0) < 0 or self.rows != self.metadata.num_rows or self.rows > file.size:
            raise PacketCorrupt("the Parquet file's number of rows is wrong")

    def column(self, paths: Sequence[str]) -> Column | None:
        """Find a column.

        Parameters
        ----------
        paths : sequence of str
            Its dotted paths, in order of preference.

        Returns
        -------
        Column or None
            The first that the file has.

        Raises
        ------
        PacketCorrupt
            If it is a list, or is said to be where it cannot be.
        """
        path = next((path for path in paths if path in self._leaves), None)
        if path is None:
            return None
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
            yield Chunk(start, length, first_row, rows, part.compression, dictionary)
            first_row += rows


def cutout_columns(footer: Footer, survey: Survey) -> dict[Kind, Column]:
    """Find the columns with cutouts.

    Parameters
    ----------
    footer : Footer
        A file's footer.
    survey : Survey
        Says what they are called.

    Returns
    -------
    dict
        The column of each kind that the file has.

    Raises
    ------
    PacketCorrupt
        If it has none, or one that holds something else.
    """
    found = {kind: footer.column(survey.cutouts[kind].fields) for kind in survey.kinds}
    columns = {kind: column for kind, column in found.items() if column is not None}
    if not columns:
        name = survey.cutouts[survey.kinds[0]].fields[0]
        raise PacketCorrupt(f"the Parquet file has no column {name}, nor other cutouts of {survey.name}")
    for column in columns.values():
        if column.physical_type not in {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}:
            raise PacketCorrupt(f"the Parquet file's column {column.path} holds no cutouts")
    return columns
