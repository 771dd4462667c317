"""Rows of the table, and the alerts that they stand for."""

import math
from typing import Any

from stamp_service.index.entries import IndexedAlert, bits_of, kinds_of


def row_of(entry: IndexedAlert, cell: int | None) -> dict[str, Any]:
    """Write an alert as a row.

    Parameters
    ----------
    entry : IndexedAlert
        The alert.
    cell : int or None
        Its cell; see `cells`.

    Returns
    -------
    dict
        Values by the names of columns.
    """
    return {
        "survey": entry.survey,
        "alert_id": entry.alert_id,
        "object_id": entry.object_id,
        "time_mjd": -math.inf if entry.time_mjd is None else entry.time_mjd,
        "ra_deg": entry.ra_deg,
        "dec_deg": entry.dec_deg,
        "cell": cell,
        "band": entry.band,
        "magnitude": entry.magnitude,
        "flux_njy": entry.flux_njy,
        "kinds": bits_of(entry.kinds),
        "place": entry.place,
        "real_bogus": entry.real_bogus,
    }


def entry_at(row: Any) -> IndexedAlert:  # noqa: ANN401 - a row has the columns of its statement
    """Read a row.

    Parameters
    ----------
    row : sqlalchemy.Row
        A row with all columns of the table, in its order.

    Returns
    -------
    IndexedAlert
        The alert.
    """
    # By place: SQLAlchemy takes longer to look up a name than to read the row.
    survey, alert_id, object_id, time_mjd, ra_deg, dec_deg, _, *others = row
    band, magnitude, flux_njy, kinds, place, real_bogus = others
    return IndexedAlert(
        survey=survey,
        alert_id=alert_id,
        object_id=object_id,
        time_mjd=None if time_mjd == -math.inf else time_mjd,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        band=band,
        magnitude=magnitude,
        flux_njy=flux_njy,
        kinds=kinds_of(kinds),
        place=place,
        real_bogus=real_bogus,
    )
