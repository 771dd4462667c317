"""One row of the index, and how it is made of an alert."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from stamp_service.packets import Alert
from stamp_service.surveys import KINDS, Kind

# Bands are names of a few letters; a hostile packet may hold anything.
_LONGEST_BAND = 32


@dataclass(frozen=True, slots=True)
class IndexedAlert:
    """What the index knows of an alert; None where its packet does not say.

    Parameters
    ----------
    survey : str
        Name of its survey.
    alert_id : str
        Its id.
    object_id : str or None
        The object's id.
    time_mjd : float or None
        Time of the measurement, modified Julian date, in the survey's own time scale.
    ra_deg, dec_deg : float or None
        Position, ICRS, degrees.
    band : str or None
        The band's name.
    magnitude : float or None
        Magnitude, where the survey measures magnitudes.
    flux_njy : float or None
        Flux in nJy, where the survey measures fluxes.
    kinds : tuple of str
        The cutouts that it was published with.
    place : str
        Where its packet is: the name of a store.
    real_bogus : float or None
        How sure the survey's classifier is that it is real, 0 to 1.
    """

    survey: str
    alert_id: str
    object_id: str | None
    time_mjd: float | None
    ra_deg: float | None
    dec_deg: float | None
    band: str | None
    magnitude: float | None
    flux_njy: float | None
    kinds: tuple[Kind, ...]
    place: str
    real_bogus: float | None = None


def entry_of(alert: Alert, place: str) -> IndexedAlert:
    """Read what the index keeps of an alert.

    Parameters
    ----------
    alert : Alert
        The alert.
    place : str
        Where its packet is.

    Returns
    -------
    IndexedAlert
        Its row.

    Raises
    ------
    PacketCorrupt
        If its packet cannot be decoded, to its last byte.
    """
    summary, kinds = alert.outline()
    return IndexedAlert(
        survey=alert.survey.name,
        alert_id=alert.alert_id,
        object_id=alert.object_id,
        time_mjd=summary.time_mjd,
        ra_deg=summary.ra_deg,
        dec_deg=summary.dec_deg,
        band=_plain(summary.band),
        magnitude=summary.magnitude,
        flux_njy=summary.flux_njy,
        kinds=kinds,
        place=place,
        real_bogus=summary.real_bogus,
    )


def _plain(band: str | None) -> str | None:
    # PostgreSQL keeps no NUL, and one packet must not spoil the batch it comes in.
    return None if band is None else band.replace("\0", "")[:_LONGEST_BAND]


_BITS: dict[Kind, int] = {kind: 1 << number for number, kind in enumerate(KINDS)}
_KINDS: dict[int, tuple[Kind, ...]] = {
    sum(_BITS[kind] for kind, here in zip(KINDS, chosen, strict=True) if here): tuple(
        kind for kind, here in zip(KINDS, chosen, strict=True) if here
    )
    for chosen in product((False, True), repeat=len(KINDS))
}


def bits_of(kinds: Iterable[Kind]) -> int:
    """Write kinds as one number.

    Parameters
    ----------
    kinds : iterable of str
        Kinds of cutouts.

    Returns
    -------
    int
        1 for science, 2 for template, 4 for difference, added up.
    """
    return sum(_BITS[kind] for kind in set(kinds))


def kinds_of(bits: int) -> tuple[Kind, ...]:
    """Read kinds from one number.

    Parameters
    ----------
    bits : int
        What `bits_of` gave.

    Returns
    -------
    tuple of str
        In the order science, template, difference.
    """
    return _KINDS[bits]
