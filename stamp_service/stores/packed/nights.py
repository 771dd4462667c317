"""The local index: for every night one SQLite file that says where each alert's block lies.

A file is written, in one transaction per pack, as long as packs of its night come to their place, and never again
afterwards. A lookup asks the nights whose ids' bounds allow for the id, which is one as a rule.
"""

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import NamedTuple

import orjson

from stamp_service.stores.packed.bounds import MAX_GROUPS, PREFIX_CHARACTERS, Bounds, BoundsTable
from stamp_service.stores.packed.names import PackName
from stamp_service.stores.packed.pieces import Piece, key_of, write_entry
from stamp_service.stores.packed.scanning import Place
from stamp_service.stores.packed.sqlite_files import IndexTorn, connect, explained, reading, select, writing

_SUFFIX = ".sqlite"
# File systems note the time of a change only every few milliseconds.
_SETTLED_NS = 1_000_000_000
_MAX_CONNECTIONS = 64
_PAGE = 10_000
_FIND = """
SELECT packs.name, offset, length FROM alerts JOIN packs ON packs.number = alerts.pack WHERE alert_id = ?
"""
_HOLDING = "SELECT alert_id FROM alerts WHERE alert_id IN (SELECT value FROM json_each(?))"
_ENTRIES = """
SELECT alert_id, key, packs.name, offset, length FROM alerts JOIN packs ON packs.number = alerts.pack ORDER BY key
"""
_FIRST_FROM = "SELECT min(alert_id) FROM alerts WHERE alert_id >= ?"
_LAST_BEFORE = "SELECT max(alert_id) FROM alerts WHERE alert_id < ?"


class Located(NamedTuple):
    """Where an alert's block lies."""

    pack: PackName
    offset: int
    length: int


class _Night(NamedTuple):
    """What is remembered of a night's file: its state, its ids' bounds, and when it was asked for them."""

    state: tuple[int, int, int]
    bounds: Bounds
    asked_ns: int

    def is_current(self, state: tuple[int, int, int]) -> bool:
        _, changed_ns, _ = state
        return self.state == state and changed_ns + _SETTLED_NS < self.asked_ns


class NightIndex:
    """The index of a survey; for one process, and any number of its threads.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of its nights.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._connections: dict[str, sqlite3.Connection] = {}
        self._nights: dict[str, _Night] = {}
        self._table: BoundsTable[str] = BoundsTable(())
        self._changed_ns = self._looked_ns = 0

    def find(self, alert_id: str) -> Located | None:
        """Look an alert up.

        Parameters
        ----------
        alert_id : str
            The alert.

        Returns
        -------
        Located or None
            Where it is; None if no night has it.

        Raises
        ------
        StoreUnavailable
            If an index file cannot be read.
        """
        with self._lock, explained():
            self._look()
            for night in self._table.find(alert_id):
                for name, offset, length in select(self._open(night), _FIND, alert_id):
                    return Located(_pack_name(name), offset, length)
        return None

    def holding(self, alert_ids: Collection[str]) -> set[str]:
        """Say which alerts some night has.

        Parameters
        ----------
        alert_ids : collection of str
            Alert ids.

        Returns
        -------
        set of str
            Those that are here.

        Raises
        ------
        StoreUnavailable
            If an index file cannot be read.
        """
        with self._lock, explained():
            self._look()
            asked: dict[str, list[str]] = {}
            for alert_id in alert_ids:
                for night in self._table.find(alert_id):
                    asked.setdefault(night, []).append(alert_id)
            found: set[str] = set()
            for night, ids in asked.items():
                rows = select(self._open(night), _HOLDING, orjson.dumps(ids).decode())
                found.update(alert_id for (alert_id,) in rows)
            return found

    def _look(self) -> None:
        """Take note of new and changed files; the folder's own time tells that there are none."""
        try:
            changed_ns = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        if changed_ns == self._changed_ns and changed_ns + _SETTLED_NS < self._looked_ns:
            return
        now_ns = time_ns()
        nights = {}
        for night, state in sorted(self._states()):
            known = self._nights.get(night)
            if known is not None and known.state[0] != state[0]:
                self._drop(night)  # another file of this name
            if known is None or not known.is_current(state):
                known = _Night(state, Bounds.of(_edges(self._open(night))), now_ns)
            nights[night] = known
        if nights != self._nights:
            self._table = BoundsTable((known.bounds, night) for night, known in nights.items())
        self._nights, self._changed_ns, self._looked_ns = nights, changed_ns, now_ns

    def _states(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                night, dot, suffix = entry.name.partition(".")
                if dot + suffix == _SUFFIX:
                    stat = entry.stat()
                    yield night, (stat.st_ino, stat.st_mtime_ns, stat.st_size)

    def _open(self, night: str) -> sqlite3.Connection:
        connection = self._connections.pop(night, None)
        if connection is None:
            connection = connect(self._path(night))
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._drop(next(iter(self._connections)))
        self._connections[night] = connection
        return connection

    def _drop(self, night: str) -> None:
        connection = self._connections.pop(night, None)
        if connection is not None:
            connection.close()

    def _path(self, night: str) -> Path:
        return self._folder / f"{night}{_SUFFIX}"

    def add(self, pack: PackName, places: Iterable[Place]) -> None:
        """Add a pack; harmless when it is there already.

        Parameters
        ----------
        pack : PackName
            The pack.
        places : iterable of Place
            All its alerts.

        Raises
        ------
        StoreUnavailable
            If it cannot be written.
        """
        with explained(), writing(self._path(pack.night)) as connection:
            connection.execute("INSERT OR IGNORE INTO packs (name) VALUES (?)", (str(pack),))
            ((number,),) = connection.execute("SELECT number FROM packs WHERE name = ?", (str(pack),))
            rows = ((place.alert_id, key_of(place.alert_id), number, *place[1:]) for place in places)
            # Of two places of one packet, which only two spools of one archive can make, the first one stays.
            connection.executemany("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?)", rows)

    def packs(self, night: str) -> set[PackName]:
        """List the packs of a night that are in the index.

        Parameters
        ----------
        night : str
            The night.

        Returns
        -------
        set of PackName
            The packs.

        Raises
        ------
        StoreUnavailable
            If the index file cannot be read; `IndexTorn` if it is damaged.
        """
        with self._lock, explained():
            if not self._path(night).exists():
                return set()
            return {_pack_name(name) for (name,) in select(self._open(night), "SELECT name FROM packs")}

    def entries(self, night: str, packs: Collection[PackName] | None = None) -> Iterator[tuple[str, bytes]]:
        """Write what a night has as entries of a piece.

        Parameters
        ----------
        night : str
            The night.
        packs : collection of PackName, optional
            Only these packs' alerts.

        Yields
        ------
        tuple of str and bytes
            Alert ids and entries, in the entries' order.

        Raises
        ------
        StoreUnavailable
            If the index file cannot be read.
        """
        wanted = None if packs is None else {str(pack) for pack in packs}
        with explained(), reading(self._path(night)) as connection:
            for alert_id, key, name, offset, length in connection.execute(_ENTRIES):
                if wanted is None or name in wanted:
                    yield alert_id, write_entry(key, _pack_name(name).marker, offset, length)

    def pieces(self, night: str) -> list[Piece]:
        """List the pieces that this index published of a night.

        Parameters
        ----------
        night : str
            The night.

        Returns
        -------
        list of Piece
            The pieces.

        Raises
        ------
        StoreUnavailable
            If the index file cannot be read.
        """
        if not self._path(night).exists():
            return []
        with explained(), reading(self._path(night)) as connection:
            read = (Piece.read(name) for (name,) in select(connection, "SELECT name FROM pieces"))
            return [piece for piece in read if piece is not None]

    def note_pieces(self, night: str, *, new: Collection[Piece] = (), gone: Collection[Piece] = ()) -> None:
        """Remember which pieces are published.

        Parameters
        ----------
        night : str
            The night.
        new : collection of Piece
            Those that are now.
        gone : collection of Piece
            Those that are not any more.

        Raises
        ------
        StoreUnavailable
            If it cannot be written.
        """
        with explained(), writing(self._path(night)) as connection:
            connection.executemany("INSERT OR IGNORE INTO pieces VALUES (?)", [(str(piece),) for piece in new])
            connection.executemany("DELETE FROM pieces WHERE name = ?", [(str(piece),) for piece in gone])

    def check(self, night: str) -> None:
        """Read a night's whole file.

        Parameters
        ----------
        night : str
            The night.

        Raises
        ------
        IndexTorn
            If it is damaged.
        StoreUnavailable
            If it cannot be read.
        """
        with explained(), reading(self._path(night)) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise IndexTorn("the index of the packed store is damaged")

    def forget(self, night: str) -> None:
        """Remove a night's file, to write it anew; nobody may be writing it.

        Parameters
        ----------
        night : str
            The night.
        """
        with self._lock:
            self._drop(night)
            for suffix in (_SUFFIX, f"{_SUFFIX}-journal"):
                (self._folder / f"{night}{suffix}").unlink(missing_ok=True)

    def nights(self) -> list[str]:
        """List the nights.

        Returns
        -------
        list of str
            Their names, oldest first.
        """
        return sorted(night for night, _ in self._states())

    def alert_ids(self) -> Iterator[str]:
        """Name all alerts.

        Yields
        ------
        str
            Alert ids, night by night.

        Raises
        ------
        StoreUnavailable
            If an index file cannot be read.
        """
        for night in self.nights():
            last = ""
            while page := self._page(night, last):
                yield from page
                last = page[-1]

    def _page(self, night: str, after: str) -> list[str]:
        """Read some ids: whoever goes through all of them must not keep writers out meanwhile."""
        question = "SELECT alert_id FROM alerts WHERE alert_id > ? ORDER BY alert_id LIMIT ?"
        with explained(), reading(self._path(night)) as connection:
            return [row[0] for row in select(connection, question, after, _PAGE)]

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        with self._lock:
            for night in list(self._connections):
                self._drop(night)


def _pack_name(text: str) -> PackName:
    name = PackName.read(text)
    if name is None:
        raise IndexTorn("the index of the packed store is damaged")
    return name


def _edges(connection: sqlite3.Connection) -> Iterator[str]:
    """Find the first and last id of every group, or of all where groups are many; those between are not read."""
    start = ""
    for _ in range(MAX_GROUPS + 1):
        ((first,),) = select(connection, _FIRST_FROM, start) or [(None,)]
        if first is None:
            return
        yield first
        prefix = first[:PREFIX_CHARACTERS]
        start = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        yield from (last for (last,) in select(connection, _LAST_BEFORE, start) if last is not None)
    yield from (last for (last,) in select(connection, "SELECT max(alert_id) FROM alerts") if last is not None)
