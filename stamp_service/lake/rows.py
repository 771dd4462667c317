"""What the catalogue of lakes says of lakes, files and segments."""

from dataclasses import dataclass
from hashlib import blake2b

from stamp_service.lake.files import FileVersion
from stamp_service.lake.segments import IdKind


@dataclass(frozen=True, slots=True)
class LakeRow:
    """A registered lake.

    Parameters
    ----------
    id : int
        Its number.
    name : str
        What it is called here.
    url : str
        Its root.
    survey : str
        The survey of its alerts.
    """

    id: int
    name: str
    url: str
    survey: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """An indexed version of a file.

    Parameters
    ----------
    id : int
        The number that segments know it by; no other version ever gets it.
    path : str
        Where it is in the lake.
    version : FileVersion
        Which version was indexed.
    digest : str
        The name of its index; see `index_digest`.
    index_bytes : int
        The index's size.
    alerts : int
        Rows, each an alert.
    objects : int
        Objects that they belong to.
    tier : str
        The fastest way its cutouts can be read.
    """

    id: int
    path: str
    version: FileVersion
    digest: str
    index_bytes: int
    alerts: int
    objects: int
    tier: str


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment of a lake's ids.

    Parameters
    ----------
    id : int
        Its number.
    kind : str
        `alert` or `object`.
    name : str
        Its file.
    count : int
        Entries.
    """

    id: int
    kind: IdKind
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What a lake holds.

    Parameters
    ----------
    files, alerts, size_bytes, index_bytes : int
        Indexed files, their rows, their size, their indexes' size.
    tiers : dict of str to int
        How many files can be read in which way.
    """

    files: int
    alerts: int
    size_bytes: int
    index_bytes: int
    tiers: dict[str, int]


def index_digest(url: str, path: str, version: FileVersion) -> str:
    """Name the index of a version of a file.

    Parameters
    ----------
    url : str
        The lake's root.
    path : str
        The file.
    version : FileVersion
        The version.

    Returns
    -------
    str
        40 hexadecimal digits.
    """
    identity = "\0".join((url, path, str(version.size_bytes), str(version.modified_ns), version.tag))
    return blake2b(identity.encode(errors="surrogatepass"), digest_size=20).hexdigest()
