"""One question for every kind of catalogue."""

from pathlib import Path

from astropy.table import Table

from stamp_service.errors import RequestError
from stamp_service.settings import Settings, load_settings
from stamp_service.xmatch.catalogues import read_table
from stamp_service.xmatch.cds import CHUNK_ROWS, CdsService, is_of_cds
from stamp_service.xmatch.hats import is_hats, match_hats
from stamp_service.xmatch.matching import Positions, join, match

TWO_MASS = "vizier:II/246/out"
_HALF_A_TURN_ARCSEC = 180 * 3600


def get_xmatches(
    fcat1: str | Path | Table,
    cat2: str | Path | Table = TWO_MASS,
    max_distance_arcsec: float = 5,
    *,
    columns1: tuple[str, str] | None = None,
    columns2: tuple[str, str] | None = None,
    chunk_rows: int = CHUNK_ROWS,
    settings: Settings | None = None,
) -> Table:
    """Find the entries of a catalogue that lie close to the positions of a table.

    Parameters
    ----------
    fcat1 : str, pathlib.Path or astropy.table.Table
        The positions: a file as `get_alerts_ra_dec` writes it, another table's file, or a table.
    cat2 : str, pathlib.Path or astropy.table.Table
        The catalogue: `vizier:` and the name of a VizieR table, or `simbad`, which the CDS XMatch service is asked
        for; a CSV, VOTable, FITS or Parquet file; a HATS catalogue's folder or address; or a table.
    max_distance_arcsec : float
        The largest distance.
    columns1, columns2 : tuple of str, optional
        Columns of right ascension and declination, where they have unusual names.
    chunk_rows : int
        How many positions to send to the CDS at a time.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    astropy.table.Table
        All pairs, by row of the first table, the closest first: `angDist` in arcsec, then the columns of the first
        table, then those of the catalogue (with `_2` added to a name that is taken). Rows without a position match
        nothing.

    Raises
    ------
    NotFound
        If there is no such file.
    RequestError
        If something is no table, has no positions, or is no catalogue; if the distance is none on the sky.
    StoreUnavailable
        If the catalogue cannot be asked.
    ConfigurationError
        If what reads or asks it is not installed.
    """
    if not 0 < max_distance_arcsec <= _HALF_A_TURN_ARCSEC:
        raise RequestError("max_distance_arcsec is not positive, or more than 180 degrees", "max_distance_arcsec")
    first = fcat1 if isinstance(fcat1, Table) else read_table(Path(fcat1))
    if not len(first) and not first.colnames:
        first = Table(names=("alert_id", "ra", "dec"), dtype=("i8", "f8", "f8"))
    positions = Positions.of(first, columns1)
    if isinstance(cat2, str) and is_of_cds(cat2):
        settings = settings or load_settings()
        service = CdsService(settings.xmatch_url, settings.xmatch_timeout_s, chunk_rows)
        return service.match(first, positions, cat2, max_distance_arcsec)
    if not isinstance(cat2, Table) and (is_hats(Path(cat2)) or "://" in str(cat2)):
        return match_hats(first, positions, str(cat2), max_distance_arcsec)
    second = cat2 if isinstance(cat2, Table) else read_table(Path(cat2))
    return join(first, second, match(positions, Positions.of(second, columns2), max_distance_arcsec))
