"""What is shown of an alert wherever it is listed, read the way its survey's definition says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stamp_service.surveys import Survey
from stamp_service.times import MJD_EPOCH_JD

# Modified Julian date 0, as a Julian date.


@dataclass(frozen=True, slots=True)
class Summary:
    """What an index or a page shows of an alert; None where the packet does not say.

    Parameters
    ----------
    time_mjd : float or None
        Time of the measurement, modified Julian date, in the survey's own time scale.
    ra_deg : float or None
        Right ascension, ICRS, degrees.
    dec_deg : float or None
        Declination, ICRS, degrees.
    band : str or None
        The band's name.
    magnitude : float or None
        Magnitude, where the survey measures magnitudes.
    flux_njy : float or None
        Flux in nJy, where the survey measures fluxes.
    real_bogus : float or None
        How sure the survey's classifier is that the source is real, 0 to 1, where it has one.
    """

    time_mjd: float | None
    ra_deg: float | None
    dec_deg: float | None
    band: str | None
    magnitude: float | None
    flux_njy: float | None
    real_bogus: float | None = None


def summary_paths(survey: Survey) -> tuple[tuple[str, ...], ...]:
    """Say where the values of a summary stand.

    Parameters
    ----------
    survey : Survey
        The survey's definition.

    Returns
    -------
    tuple of tuple of str
        For each value that `summarise` takes, dotted paths into the record, in order of preference.
    """
    return (
        survey.time.fields,
        survey.position.ra,
        survey.position.dec,
        survey.band.fields,
        survey.photometry.magnitude,
        survey.photometry.flux,
        survey.real_bogus,
    )


def summarise(survey: Survey, values: Sequence[object]) -> Summary:
    """Make a summary.

    Parameters
    ----------
    survey : Survey
        The survey's definition.
    values : sequence of object
        What was found at each of `summary_paths`.

    Returns
    -------
    Summary
        None for what is missing or no number.
    """
    time, ra, dec, band, magnitude, flux, real_bogus = values
    return Summary(
        time_mjd=mjd_of(survey, time),
        ra_deg=_number(ra),
        dec_deg=_number(dec),
        band=band_name(survey, band),
        magnitude=_number(magnitude),
        flux_njy=_number(flux),
        real_bogus=_number(real_bogus),
    )


def mjd_of(survey: Survey, time: object) -> float | None:
    """Read a time.

    Parameters
    ----------
    survey : Survey
        Says how times are given.
    time : object
        What stands in the record.

    Returns
    -------
    float or None
        Modified Julian date; None if it is no number.
    """
    found = _number(time)
    return found - MJD_EPOCH_JD if found is not None and survey.time.format == "jd" else found


def band_name(survey: Survey, band: object) -> str | None:
    """Name a band.

    Parameters
    ----------
    survey : Survey
        Knows the names.
    band : object
        What stands in the record.

    Returns
    -------
    str or None
        The band's name; None if there is nothing.
    """
    return None if band is None else survey.band.names.get(str(band), str(band))


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None
