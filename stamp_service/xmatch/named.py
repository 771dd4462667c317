"""The catalogues that the settings name, for questions that come from outside.

A request names a catalogue and never a file or an address. Files are read when they are first asked for, kept in
memory, and read again once they change.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

from astropy.table import Table

from stamp_service.errors import ConfigurationError, NotFound, RequestError, StoreUnavailable
from stamp_service.settings import Settings
from stamp_service.xmatch.asking import get_xmatches
from stamp_service.xmatch.catalogues import format_of, read_table
from stamp_service.xmatch.cds import is_of_cds
from stamp_service.xmatch.hats import is_hats
from stamp_service.xmatch.matching import Positions, join, match


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A catalogue's file in memory."""

    version: tuple[int, int]
    table: Table
    positions: Positions


class NamedCatalogues:
    """The catalogues of `STAMP_CATALOGUES`.

    Parameters
    ----------
    settings : Settings
        The settings.

    Raises
    ------
    ConfigurationError
        If one of them is neither a table's file, a HATS catalogue nor one of the CDS.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = dict(settings.catalogues)
        self._loaded: dict[str, _Loaded] = {}
        self._lock = threading.Lock()
        for name, place in self._places.items():
            path = Path(place)
            is_file = path.is_file() and format_of(path) is not None
            if not (is_of_cds(place) or is_file or "://" in place or is_hats(path)):
                raise ConfigurationError(f"STAMP_CATALOGUES: {name} is not a catalogue")

    def names(self) -> list[str]:
        """List them.

        Returns
        -------
        list of str
            Their names, in the order of the settings.
        """
        return list(self._places)

    def check(self, name: str) -> str:
        """Find what a name stands for.

        Parameters
        ----------
        name : str
            The catalogue, as a request names it.

        Returns
        -------
        str
            The file, folder or address that is configured.

        Raises
        ------
        RequestError
            If there is no catalogue of this name.
        """
        if name not in self._places:
            known = ", ".join(self._places) or "none"
            raise RequestError(f"catalogue is not one of those that are configured: {known}", "catalogue")
        return self._places[name]

    def matches(self, name: str, ra_deg: float, dec_deg: float, max_distance_arcsec: float) -> Table:
        """Find the entries of a catalogue close to a position.

        Parameters
        ----------
        name : str
            The catalogue, as a request names it.
        ra_deg, dec_deg : float
            The position, ICRS, degrees.
        max_distance_arcsec : float
            The largest distance.

        Returns
        -------
        astropy.table.Table
            `angDist` in arcsec and the catalogue's columns, the closest first.

        Raises
        ------
        RequestError
            If there is no catalogue of this name.
        StoreUnavailable
            If it cannot be asked.
        """
        place = self.check(name)
        first = Table({"stamp_ra": [ra_deg], "stamp_dec": [dec_deg]})
        columns = ("stamp_ra", "stamp_dec")
        if is_of_cds(place) or "://" in place or is_hats(Path(place)):
            found = self._ask(name, place, first, columns, max_distance_arcsec)
        else:
            loaded = self._load(name, Path(place))
            pairs = match(Positions.of(first, columns), loaded.positions, max_distance_arcsec)
            found = join(first, loaded.table, pairs)
        found.remove_columns(columns)
        return found

    def _ask(
        self, name: str, place: str, first: Table, columns: tuple[str, str], max_distance_arcsec: float
    ) -> Table:
        try:
            return get_xmatches(first, place, max_distance_arcsec, columns1=columns, settings=self._settings)
        except RequestError as error:
            if is_of_cds(place):
                raise
            raise StoreUnavailable(f"the catalogue {name} could not be read") from error

    def _load(self, name: str, path: Path) -> _Loaded:
        """Read a file unless it is in memory and has not changed; one at a time, since that takes memory."""
        try:
            with self._lock:
                status = path.stat()
                version = (status.st_size, status.st_mtime_ns)
                loaded = self._loaded.get(name)
                if loaded is None or loaded.version != version:
                    table = read_table(path)
                    loaded = self._loaded[name] = _Loaded(version, table, Positions.of(table))
                return loaded
        except (OSError, NotFound, RequestError) as error:
            # The request is right; what the operator configured is not.
            raise StoreUnavailable(f"the catalogue {name} could not be read") from error
