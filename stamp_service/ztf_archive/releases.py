"""The public archive's releases: one file per night, listed on an HTML page as Apache writes it."""

import re
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from urllib.parse import unquote

from stamp_service.errors import RequestError, StoreUnavailable

# A night without alerts: a gzipped tar archive of nothing.
EMPTY_BYTES = 44

_NAME = re.compile(r"ztf_public_([0-9]{8})\.tar\.gz", re.ASCII)
# Apache writes `44`, `9.5M`, `5.3G`; other servers `44B` or the plain number of bytes.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([KMGT]?)B?", re.ASCII | re.IGNORECASE)
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True, slots=True)
class Release:
    """One night as the archive lists it.

    Parameters
    ----------
    name : str
        The file's name.
    size_bytes : int or None
        Its size as the page says it, which is rounded above 973 bytes; None where it says none.
    """

    name: str
    size_bytes: int | None

    @property
    def is_empty(self) -> bool:
        """Whether the night has no alerts."""
        return self.size_bytes == EMPTY_BYTES


def release_name(year: int, month: int, day: int) -> str:
    """Name the file of a night.

    Parameters
    ----------
    year, month, day : int
        The date, UTC.

    Returns
    -------
    str
        `ztf_public_YYYYMMDD.tar.gz`.

    Raises
    ------
    RequestError
        If there is no such date.
    """
    try:
        return f"ztf_public_{date(year, month, day):%Y%m%d}.tar.gz"
    except ValueError:
        raise RequestError(f"there is no date {year}-{month}-{day}") from None


def is_release_name(name: str) -> bool:
    """Say whether a file is called like a night.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    bool
        True for `ztf_public_YYYYMMDD.tar.gz`, whatever the digits are.
    """
    return _NAME.fullmatch(name) is not None


def parse_index(page: str) -> list[Release]:
    """Read the archive's index page.

    Links are only ever names here: where one leads is not looked at.

    Parameters
    ----------
    page : str
        The HTML of a directory index: a table with a row per file, which links to it and says its size.

    Returns
    -------
    list of Release
        The nights, newest first; empty ones too.

    Raises
    ------
    StoreUnavailable
        If this is no index.
    """
    index = _Index()
    index.feed(page)
    index.close()
    if not index.has_table:
        raise StoreUnavailable("the ZTF archive answered with a page that is not its index")
    return sorted(index.releases.values(), key=lambda release: release.name, reverse=True)


class _Index(HTMLParser):
    """Gathers the rows that link to a night."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.has_table = False
        self.releases: dict[str, Release] = {}
        self._name: str | None = None
        self._cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.has_table = True
        elif tag == "tr":
            self._end_row()
        elif tag == "td":
            self._cells.append("")
        elif tag == "a":
            # What a row shows may be cut short; what it links to is not.
            target = unquote(dict(attrs).get("href") or "").rpartition("/")[2]
            if is_release_name(target):
                self._name = target

    def handle_endtag(self, tag: str) -> None:
        if tag in {"tr", "table"}:
            self._end_row()

    def handle_data(self, data: str) -> None:
        if self._cells:
            self._cells[-1] += data

    def close(self) -> None:
        super().close()
        self._end_row()

    def _end_row(self) -> None:
        if self._name is not None:
            self.releases[self._name] = Release(self._name, _size_in(self._cells))
        self._name, self._cells = None, []


def _size_in(cells: list[str]) -> int | None:
    """Find the size: the last cell that looks like one, since a description may follow it."""
    for cell in reversed(cells):
        size = _SIZE.fullmatch(cell.strip())
        if size is not None:
            return round(float(size[1]) * _FACTORS[size[2].upper()])
    return None
