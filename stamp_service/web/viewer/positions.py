"""Positions as people write them."""

from stamp_service.index import IndexedAlert
from stamp_service.packets import Summary


def sexagesimal(summary: Summary | IndexedAlert) -> str | None:
    """Write a position in hours and degrees.

    Parameters
    ----------
    summary : Summary or IndexedAlert
        Of an alert.

    Returns
    -------
    str or None
        Such as `05:51:17.233 -14:57:21.21`; None where there is no position.
    """
    if summary.ra_deg is None or summary.dec_deg is None:
        return None
    # In units of the last digit first, so that 59.9996 seconds do not become 60.
    hours = round(summary.ra_deg % 360 / 15 * 3600 * 1000) % (24 * 3600 * 1000)
    degrees = round(abs(summary.dec_deg) * 3600 * 100)
    sign = "-" if summary.dec_deg < 0 else "+"
    right_ascension = f"{hours // 3600000:02}:{hours // 60000 % 60:02}:{hours % 60000 / 1000:06.3f}"
    return f"{right_ascension} {sign}{degrees // 360000:02}:{degrees // 6000 % 60:02}:{degrees % 6000 / 100:05.2f}"
