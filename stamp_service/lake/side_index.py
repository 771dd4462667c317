"""The side index of one version of one lake file: which row an alert is, and where its cutouts' bytes are.

On disk: a fixed prefix, a JSON header that names the arrays, the arrays one after the other (little-endian, each
padded to 8 bytes), and the CRC-32 of all that. Mapped into memory, so that processes share it.
"""

import mmap
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import orjson
from isal import isal_zlib

from stamp_service.lake.files import FileVersion
from stamp_service.lake.ids import NO_ID, Ids
from stamp_service.lake.places import CutoutIndex
from stamp_service.surveys.definition import Kind

Tier = Literal["fragment", "page", "pyarrow"]

# The last byte is the format's version.
_MAGIC = b"\x8fstamps\x01"
_PREFIX = struct.Struct("<8sQQ")  # magic, bytes of the file, bytes of the header
_CHECKSUM = struct.Struct("<I")
_INT64_DIGITS = 20


class IndexTorn(ValueError):
    """A side index is damaged, cut off, or of another format."""


class SideIndex:
    """What is known of one version of one file; immutable.

    Parameters
    ----------
    version : FileVersion
        The file's version.
    survey_name : str
        Whose alerts it holds.
    tier : str
        The fastest way to read a cutout that this file allows.
    ids : Ids
        Ids and times in the order of the rows.
    groups : tuple of int
        Rows of each row group.
    cutouts : dict
        Where the cutouts of each kind are.
    orders : tuple of ndarray, optional
        Rows by alert id, and rows by object id, time and alert id; worked out if not given.
    """

    def __init__(
        self,
        version: FileVersion,
        survey_name: str,
        tier: Tier,
        ids: Ids,
        *,
        groups: tuple[int, ...],
        cutouts: Mapping[Kind, CutoutIndex],
        orders: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None,
    ) -> None:
        self.version = version
        self.survey_name = survey_name
        self.tier: Tier = tier
        self.groups = groups
        self.cutouts = dict(cutouts)
        self.rows = len(ids.alerts)
        self.alert_ids, self.object_ids, self.times = ids.alerts, ids.objects, ids.times
        self._by_alert, self._by_object = _orders(ids) if orders is None else orders
        self._alert_view, self._object_view = _scalars(ids.alerts), _scalars(ids.objects)
        self._alert_order, self._object_order = self._by_alert.data, self._by_object.data

    def find_alert(self, alert_id: str) -> int | None:
        """Find an alert.

        Parameters
        ----------
        alert_id : str
            Its id.

        Returns
        -------
        int or None
            Its row, the first if there are several; None if there is none.
        """
        key, ids = _key(alert_id, self.alert_ids), self._alert_view
        if key is None:
            return None
        at = bisect_left(self._alert_order, key, key=ids.__getitem__)
        if at < self.rows and ids[self._alert_order[at]] == key:
            return int(self._alert_order[at])
        return None

    def find_object(self, object_id: str) -> tuple[int, ...]:
        """Find an object's alerts.

        Parameters
        ----------
        object_id : str
            The object's id.

        Returns
        -------
        tuple of int
            Their rows, oldest first; those of the same time by alert id.
        """
        key, ids, order = _key(object_id, self.object_ids), self._object_view, self._object_order
        if key is None:
            return ()
        first = bisect_left(order, key, key=ids.__getitem__)
        last = bisect_right(order, key, lo=first, key=ids.__getitem__)
        return tuple(order[first:last].tolist())

    def alert_id(self, row: int) -> str:
        """Name a row's alert.

        Parameters
        ----------
        row : int
            The row in the file.

        Returns
        -------
        str
            Its id; empty if the file has none for it.
        """
        return _text(self.alert_ids[row]) or ""

    def object_id(self, row: int) -> str | None:
        """Name a row's object.

        Parameters
        ----------
        row : int
            The row in the file.

        Returns
        -------
        str or None
            Its id; None if the file has none for it.
        """
        return _text(self.object_ids[row])

    def time(self, row: int) -> float:
        """Say when a row's measurement was made.

        Parameters
        ----------
        row : int
            The row in the file.

        Returns
        -------
        float
            The time as in the file, JD or MJD as the survey has it; NaN if there is none.
        """
        return float(self.times[row])

    def kinds(self, row: int) -> tuple[Kind, ...]:
        """List the cutouts that a row has.

        Parameters
        ----------
        row : int
            The row in the file.

        Returns
        -------
        tuple of str
            The kinds that are not null; empty when that is not known: files that only pyarrow reads, or that were
            only scanned.
        """
        return tuple(
            kind for kind, cutout in self.cutouts.items() if len(cutout.ends) and cutout.place(row) is not None
        )

    def dump(self) -> bytes:
        """Write the index for `load`.

        Returns
        -------
        bytes
            The contents of a file.
        """
        arrays = {
            "alert_ids": self.alert_ids,
            "object_ids": self.object_ids,
            "times": self.times,
            "by_alert": self._by_alert,
            "by_object": self._by_object,
        }
        for kind, cutout in self.cutouts.items():
            arrays |= {f"{kind}.{name}": getattr(cutout, name) for name in CutoutIndex.ARRAYS}
        header = orjson.dumps(
            {
                "version": asdict(self.version),
                "survey": self.survey_name,
                "tier": self.tier,
                "groups": self.groups,
                "cutouts": {kind: (c.column, c.codec, c.max_level) for kind, c in self.cutouts.items()},
                "arrays": {name: (array.dtype.str, len(array)) for name, array in arrays.items()},
            }
        )
        header += b" " * (-len(header) % 8)
        parts = [header, *(_padded(array.tobytes()) for array in arrays.values())]
        size = _PREFIX.size + sum(map(len, parts)) + _CHECKSUM.size
        body = b"".join([_PREFIX.pack(_MAGIC, size, len(header)), *parts])
        return body + _CHECKSUM.pack(isal_zlib.crc32(body))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a side index into memory.

        Parameters
        ----------
        path : pathlib.Path
            Where it is; it may be replaced by renaming or removed meanwhile, never written to.

        Returns
        -------
        SideIndex
            The index.

        Raises
        ------
        IndexTorn
            If it is damaged, cut off, or of another format.
        OSError
            If it cannot be read.
        """
        with path.open("rb") as file:
            try:
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            except ValueError:  # it is empty
                raise IndexTorn("empty") from None
        header, arrays = _split(view)
        ids = Ids(arrays["alert_ids"], arrays["object_ids"], arrays["times"])
        cutouts: dict[Kind, CutoutIndex] = {
            kind: CutoutIndex(*named, *(arrays[f"{kind}.{name}"] for name in CutoutIndex.ARRAYS))
            for kind, named in header["cutouts"].items()
        }
        return cls(
            FileVersion(**header["version"]),
            header["survey"],
            header["tier"],
            ids,
            groups=tuple(header["groups"]),
            cutouts=cutouts,
            orders=(arrays["by_alert"], arrays["by_object"]),
        )


def _split(view: memoryview) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Check a dumped index and cut it into its header and its arrays."""
    if len(view) < _PREFIX.size + _CHECKSUM.size:
        raise IndexTorn("cut off")
    magic, size, header_bytes = _PREFIX.unpack_from(view)
    if magic != _MAGIC:
        raise IndexTorn("another format")
    body = view[: -_CHECKSUM.size]
    if size != len(view) or _CHECKSUM.unpack(view[-_CHECKSUM.size :])[0] != isal_zlib.crc32(body):
        raise IndexTorn("damaged")
    at = _PREFIX.size + header_bytes
    header = orjson.loads(body[_PREFIX.size : at])
    arrays = {}
    for name, (dtype, length) in header["arrays"].items():
        arrays[name] = np.frombuffer(body, dtype, length, at)
        at += -(-arrays[name].nbytes // 8) * 8
    return header, arrays


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 8)


def _orders(ids: Ids) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    small = np.uint16 if len(ids.alerts) <= 1 << 16 else np.uint32
    # A row without a time comes first, so that it is nobody's latest.
    times = np.nan_to_num(ids.times, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    by_alert = np.argsort(ids.alerts, kind="stable").astype(small)
    by_object = np.lexsort((ids.alerts, times, ids.objects)).astype(small)
    return by_alert, by_object


def _scalars(ids: npt.NDArray[Any]) -> Sequence[Any]:
    """Return what gives single ids fastest: Python's integers through a view, bytes through the array."""
    return ids.data if ids.dtype.kind == "i" else cast("Sequence[bytes]", ids)


def _key(text: str, ids: npt.NDArray[Any]) -> int | bytes | None:
    """Return an id as the array holds it, or None if it can hold no such id."""
    if not text or not text.isascii() or "\0" in text:
        return None
    if ids.dtype.kind == "S":
        return text.encode() if len(text) <= ids.itemsize else None
    if len(text) > _INT64_DIGITS or not text.removeprefix("-").isdecimal():
        return None
    number = int(text)
    return number if str(number) == text and NO_ID < number < -NO_ID else None


def _text(value: np.bytes_ | np.int64) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace") or None
    return None if value == NO_ID else str(value)
