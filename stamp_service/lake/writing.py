"""Writing lakes: packets into Parquet files that single alerts are read from quickly, and that Spark reads too.

A file holds alerts of one UTC day, in `year=YYYY/month=MM/day=DD`, sorted by object and time. Its cutouts stand in
pages of 64 KiB that nothing but Snappy is wrapped around, so that one range read gets at any of them.

What is in memory: the ids of all alerts that are to be written, and the rows of one file.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from stamp_service.errors import LakeFileNotFound, NotFound, PacketCorrupt, StoreUnavailable, TooLarge
from stamp_service.lake.arrow_schema import arrow_schema, unite
from stamp_service.lake.building import scan_file
from stamp_service.lake.extras import extra
from stamp_service.lake.files import FileChanged, Filesystem
from stamp_service.packets import MAX_PACKET_BYTES, Alert, SchemaLookup, open_alert
from stamp_service.packets.bounded import Bounded
from stamp_service.surveys import Survey
from stamp_service.times import MJD_EPOCH

if TYPE_CHECKING:
    import pyarrow as pa

# About 100 MB of ZTF's or Rubin's alerts, which is what Fink's files have.
ROWS_PER_FILE = 2000
# Decoded records take several times the memory of the columns that they become.
_ROWS_PER_BATCH = 100
_PAGE_BYTES = 64 * 1024
_MAX_SCHEMAS = 64
# Part of the files' names: to be raised when what is written for the same alerts changes.
_LAYOUT = b"1"

State = Literal["written", "present", "refused"]


@dataclass(frozen=True, slots=True)
class AlertRef:
    """An alert that is to be written, and how its packet is got at.

    Parameters
    ----------
    alert_id : str
        Its id.
    object_id : str or None
        The id of its object; None where the survey gave none.
    time_mjd : float or None
        When it was observed, modified Julian date.
    read : callable
        Gives its packet. It may raise `OSError` and the errors of stores.
    """

    alert_id: str
    object_id: str | None
    time_mjd: float | None
    read: Callable[[], bytes]

    @classmethod
    def of(cls, alert: Alert, read: Callable[[], bytes]) -> "AlertRef":
        """Refer to an alert that is open now, and closed when it is written.

        Parameters
        ----------
        alert : Alert
            The alert.
        read : callable
            Gives its packet again.

        Returns
        -------
        AlertRef
            The reference.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged.
        """
        return cls(alert.alert_id, alert.object_id, alert.summary().time_mjd, read)


# What became of an alert, and why.
Report = Callable[[AlertRef, State, str], None]


def _ignore(ref: AlertRef, state: State, reason: str) -> None:
    pass


def write_lake(
    files: Filesystem,
    alerts: Iterable[AlertRef],
    survey: Survey,
    *,
    rows_per_file: int = ROWS_PER_FILE,
    schemas: SchemaLookup | None = None,
    max_packet_bytes: int = MAX_PACKET_BYTES,
    report: Report = _ignore,
) -> Iterator[str]:
    """Write alerts of one survey into a lake, but those that it has.

    Parameters
    ----------
    files : Filesystem
        The lake's files; a folder on local disk has to exist.
    alerts : iterable of AlertRef
        The alerts, in any order; of several with one id, the first is written.
    survey : Survey
        The survey of them all.
    rows_per_file : int
        Most alerts of one file.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    report : callable
        Is told what becomes of each alert: `written`, `present` (in the lake, or earlier in this run), or
        `refused` and why: packets that are corrupt or of another alert, and what cannot be read.

    Yields
    ------
    path : str
        Each file that is new, once it is whole and in its place.

    Raises
    ------
    ConfigurationError
        If pyarrow is not installed.
    PacketCorrupt
        If a file of the lake is damaged or of another survey.
    StoreUnavailable
        If the lake cannot be read and written to, or a schema could not be looked up.
    """
    rows = _Rows(survey, schemas, max_packet_bytes, report)
    payloads = {path for cutout in survey.cutouts.values() for path in cutout.fields}
    folders = _by_folder(alerts, report)
    with TemporaryDirectory(prefix="stamp-lake-") as scratch:
        for folder in sorted(folders):
            refs = sorted(_absent(files, folder, folders.pop(folder), survey, report), key=_order)
            for number, start in enumerate(range(0, len(refs), rows_per_file)):
                for part in rows.parts(refs[start : start + rows_per_file]):
                    part.write(local := Path(scratch, "alerts.parquet"), payloads)
                    path = f"{folder}/{_name(survey, number, part.refs)}"
                    files.put(path, local)
                    _tell(report, part.refs, "written")
                    yield path


def _absent(
    files: Filesystem, folder: str, refs: list[AlertRef], survey: Survey, report: Report
) -> list[AlertRef]:
    """Leave out the alerts that a folder's files hold."""
    try:
        indexes = [scan_file(files, path, version, survey) for path, version in files.walk(folder)]
    except LakeFileNotFound:
        return refs
    except FileChanged:
        raise StoreUnavailable("the lake's files change while they are looked through") from None
    present = [ref for ref in refs if any(index.find_alert(ref.alert_id) is not None for index in indexes)]
    _tell(report, present, "present")
    known = {ref.alert_id for ref in present}
    return [ref for ref in refs if ref.alert_id not in known]


def _tell(report: Report, refs: Iterable[AlertRef], state: State) -> None:
    for ref in refs:
        report(ref, state, "")


def _by_folder(alerts: Iterable[AlertRef], report: Report) -> dict[str, list[AlertRef]]:
    """Sort alerts into the folders of their days, each once."""
    folders: dict[str, list[AlertRef]] = defaultdict(list)
    seen: set[str] = set()
    for ref in alerts:
        folder = _folder(ref.time_mjd)
        if folder is None:
            report(ref, "refused", "the packet does not say when it was observed")
        elif ref.alert_id in seen:
            report(ref, "present", "")
        else:
            seen.add(ref.alert_id)
            folders[folder].append(ref)
    return folders


def _folder(time_mjd: float | None) -> str | None:
    """Name the folder of a day; of the survey's time scale, as Fink does, so TAI counts as if it were UTC."""
    if time_mjd is None:
        return None
    try:
        day = MJD_EPOCH + timedelta(days=time_mjd)
    except OverflowError:
        return None
    return f"year={day.year:04}/month={day.month:02}/day={day.day:02}"


def _order(ref: AlertRef) -> tuple[str, float, str]:
    object_id = ref.object_id or ""
    # Rubin's are numbers, and their column is sorted as such.
    return object_id.zfill(20) if object_id.isdecimal() else object_id, ref.time_mjd or 0.0, ref.alert_id


def _name(survey: Survey, number: int, refs: list[AlertRef]) -> str:
    digest = hashlib.blake2b(_LAYOUT, digest_size=8, key=survey.name.encode())
    for ref in refs:
        digest.update(f"\0{ref.alert_id}".encode())
    return f"part-{number:05}-{digest.hexdigest()}.snappy.parquet"


class _Rows:
    """Reads alerts as rows of Arrow tables."""

    def __init__(
        self, survey: Survey, schemas: SchemaLookup | None, max_packet_bytes: int, report: Report
    ) -> None:
        self._survey = survey
        self._lookup = schemas
        self._max_packet_bytes = max_packet_bytes
        self._report = report
        # By identity: packets of one schema share it. Holding it keeps its id its own.
        self._schemas: Bounded[int, tuple[object, _Layout]] = Bounded(_MAX_SCHEMAS)

    def parts(self, refs: Iterable[AlertRef]) -> "Iterable[_Part]":
        """Read alerts, leave out and report what cannot be written, and put together what may share a file."""
        parts: dict[_Places, _Part] = defaultdict(_Part)
        for those, layout, table in self._tables(refs):
            try:
                parts[layout].add(those, table)
            except PacketCorrupt as error:
                self.refuse(those, str(error))
        return parts.values()

    def _tables(self, refs: Iterable[AlertRef]) -> "Iterator[_Table]":
        waiting = iter(refs)
        while batch := list(islice(waiting, _ROWS_PER_BATCH)):
            decoded = [row for ref in batch if (row := self._decode(ref)) is not None]
            # Alerts of one schema that follow each other become one table.
            for _, rows in groupby(decoded, key=lambda row: id(row[1])):
                yield from self._convert(list(rows))

    def refuse(self, refs: Iterable[AlertRef], reason: str) -> None:
        """Report alerts that cannot be written."""
        for ref in refs:
            self._report(ref, "refused", reason)

    def _decode(self, ref: AlertRef) -> "_Row | None":
        try:
            alert = open_alert(self._survey, ref.alert_id, ref.read(), self._lookup, self._max_packet_bytes)
            # Asking for an id compares it with the one that is expected.
            _ = alert.object_id
            return ref, self._schema(alert), alert.packet.record()
        except OSError as error:
            self.refuse([ref], error.strerror or type(error).__name__)
        except (PacketCorrupt, TooLarge, NotFound) as error:
            self.refuse([ref], str(error))
        return None

    def _schema(self, alert: Alert) -> "_Layout":
        schema = alert.packet.schema
        known = self._schemas.get(id(schema))
        if known is None:
            survey = self._survey
            groups = survey.alert_id.fields, survey.object_id.fields, survey.time.fields
            places = tuple(next(filter(alert.packet.has, paths), None) for paths in groups)
            known = schema, (arrow_schema(schema), places)
            self._schemas.put(id(schema), known)
        return known[1]

    def _convert(self, rows: "list[_Row]") -> "Iterator[_Table]":
        arrow = extra("pyarrow")
        refs = [ref for ref, _, _ in rows]
        schema, places = rows[0][1]
        try:
            yield refs, places, arrow.Table.from_pylist([record for _, _, record in rows], schema=schema)
        except (arrow.ArrowException, OverflowError, TypeError, ValueError):
            # A number beyond its type's range: whose it is shows when each is tried by itself.
            if len(rows) == 1:
                self.refuse(refs, "the packet holds a value that its schema does not allow")
                return
            for row in rows:
                yield from self._convert([row])


# Where ids and time stand. Alerts that differ in it share no file: each file has them in one column.
_Places = tuple[str | None, ...]
# A packet's schema as Arrow's, and what is said above.
_Layout = tuple[Any, _Places]
_Row = tuple[AlertRef, _Layout, dict[str, Any]]
_Table = tuple[list[AlertRef], _Places, Any]


class _Part:
    """What goes into one file."""

    def __init__(self) -> None:
        self.refs: list[AlertRef] = []
        self._tables: list[Any] = []
        self._schema: Any = None

    def add(self, refs: list[AlertRef], table: "pa.Table") -> None:
        """Add rows; `PacketCorrupt` if their schema does not fit those that are here."""
        self._schema = table.schema if self._schema is None else unite([self._schema, table.schema])
        self.refs += refs
        self._tables.append(table)

    def write(self, local: Path, payloads: Collection[str]) -> None:
        """Write the file."""
        _write_table(extra("pyarrow").concat_tables(self._tables, promote_options="permissive"), local, payloads)


def _write_table(table: "pa.Table", local: Path, payloads: Collection[str]) -> None:
    """Write one row group, so that nothing but the pages divides the file."""
    parquet = extra("pyarrow.parquet")
    leaves = [path for field in table.schema for path in _leaves(field.name, field.type)]
    parquet.write_table(
        table,
        local,
        row_group_size=table.num_rows,
        compression="snappy",
        data_page_version="1.0",
        data_page_size=_PAGE_BYTES,
        # Whether a page is full is asked after so many values; a cutout is up to a page long.
        write_batch_size=1,
        write_page_index=True,
        use_dictionary=False,
        # The least and greatest of all cutouts would be two cutouts more.
        write_statistics=[path for path in leaves if path not in payloads],
        store_schema=False,
    )


def _leaves(path: str, kind: "pa.DataType") -> Iterator[str]:
    """List the paths of a column's values, as Parquet names them."""
    types = extra("pyarrow.types")
    if types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif types.is_map(kind):
        yield f"{path}.key_value.key"
        yield from _leaves(f"{path}.key_value.value", kind.item_type)
    else:
        yield path
