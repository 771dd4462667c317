"""Positions of alerts, and where positions stand in a table."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from stamp_service.errors import RequestError
from stamp_service.packets import recognise
from stamp_service.settings import Settings, load_settings
from stamp_service.surveys import Surveys, load_surveys
from stamp_service.ztf_archive import iter_alerts

Degrees = npt.NDArray[np.float64]

# What catalogues call right ascension and declination (ICRS or J2000, degrees), in order of preference.
_NAMES = (
    ("ra", "dec"),
    ("_RAJ2000", "_DEJ2000"),
    ("RAJ2000", "DEJ2000"),
    ("RA_ICRS", "DE_ICRS"),
    ("RAdeg", "DEdeg"),
    ("ra_deg", "dec_deg"),
    ("raMean", "decMean"),
    ("ra_j2000", "dec_j2000"),
)


def get_alerts_ra_dec(
    fout: str | Path | None = None, max_alerts: int = 1000, *, settings: Settings | None = None
) -> Table:
    """Take the positions of local alerts, and write them to a file that `get_xmatches` reads.

    Parameters
    ----------
    fout : str or pathlib.Path, optional
        A CSV file to write, with the columns `alert_id`, `ra` and `dec`.
    max_alerts : int
        How many at most; all if it is not positive.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    astropy.table.Table
        The same as in the file: `alert_id` (int64), `ra` and `dec` (degrees, ICRS; NaN where an alert says none).

    Raises
    ------
    NotFound
        If there is no alert on this machine.
    PacketCorrupt
        If a night or a packet is damaged.
    """
    settings = settings or load_settings()
    packets = iter_alerts(raw=True, settings=settings)
    surveys = Surveys([load_surveys(settings.surveys_dir)["ztf"]])
    rows = list(_positions(islice(packets, max_alerts if max_alerts > 0 else None), surveys, settings))
    alert_ids, ra, dec = zip(*rows, strict=True) if rows else ((), (), ())
    table = Table(
        {
            "alert_id": np.array(alert_ids, dtype=np.int64),
            "ra": np.array(ra, dtype=np.float64),
            "dec": np.array(dec, dtype=np.float64),
        }
    )
    if fout is not None:
        table.write(fout, format="ascii.csv", overwrite=True)
    return table


def _positions(
    packets: Iterator[bytes], surveys: Surveys, settings: Settings
) -> Iterator[tuple[int, float, float]]:
    for packet in packets:
        alert = recognise(surveys, packet, max_bytes=settings.max_packet_bytes)
        summary = alert.summary()
        ra_deg = np.nan if summary.ra_deg is None else summary.ra_deg
        dec_deg = np.nan if summary.dec_deg is None else summary.dec_deg
        yield int(alert.alert_id), ra_deg, dec_deg


def find_positions(table: Table, columns: tuple[str, str] | None = None) -> tuple[Degrees, Degrees]:
    """Read the positions of a table's rows.

    Parameters
    ----------
    table : astropy.table.Table
        The table.
    columns : tuple of str, optional
        The columns of right ascension and declination; found by their usual names if none are given.

    Returns
    -------
    ra_deg, dec_deg : ndarray
        Shape (n,), float64; NaN where one is missing or is no place on the sky.

    Raises
    ------
    RequestError
        If there are no such columns, or they hold something else.
    """
    names = columns or _usual_names(table)
    if names is None or not set(names) <= set(table.colnames):
        raise RequestError("the table has no columns of right ascension and declination that are known")
    try:
        ra_deg, dec_deg = (_numbers(table, name) for name in names)
    except (TypeError, ValueError):
        raise RequestError(f"the columns {names[0]} and {names[1]} do not hold degrees") from None
    on_sky = np.isfinite(ra_deg) & (np.abs(dec_deg) <= 90)  # False for NaN
    return np.where(on_sky, np.where(on_sky, ra_deg, 0) % 360, np.nan), np.where(on_sky, dec_deg, np.nan)


def _usual_names(table: Table) -> tuple[str, str] | None:
    present = {name.lower(): name for name in reversed(table.colnames)}
    for ra, dec in _NAMES:
        if ra.lower() in present and dec.lower() in present:
            return present[ra.lower()], present[dec.lower()]
    return None


def _numbers(table: Table, name: str) -> Degrees:
    column = table[name]
    unit = getattr(column, "unit", None)
    values = np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)
    if unit is not None and str(unit) not in {"", "deg"}:
        values = values * unit.to("deg")
    return np.asarray(values, dtype=np.float64)
