"""Ecliptic and galactic coordinates, as the models were trained with them (J2000)."""

from math import asin, atan2, cos, degrees, radians, sin

# Obliquity of the ecliptic at J2000.
_OBLIQUITY = radians(23.4392911)
# North galactic pole and the node of the galactic equator, J2000 (Hipparcos catalogue, volume 1, 1.5.3).
_POLE_RA, _POLE_DEC = radians(192.85948), radians(27.12825)
_NODE_DEG = 32.93192


def ecliptic(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Turn a position into ecliptic coordinates.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Right ascension and declination, degrees.

    Returns
    -------
    tuple of float
        Longitude (0 to 360) and latitude, degrees.
    """
    ra, dec = radians(ra_deg), radians(dec_deg)
    latitude = sin(dec) * cos(_OBLIQUITY) - cos(dec) * sin(_OBLIQUITY) * sin(ra)
    longitude = atan2(sin(ra) * cos(_OBLIQUITY) * cos(dec) + sin(dec) * sin(_OBLIQUITY), cos(ra) * cos(dec))
    return degrees(longitude) % 360, degrees(asin(_within(latitude)))


def galactic(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Turn a position into galactic coordinates.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Right ascension and declination, degrees.

    Returns
    -------
    tuple of float
        Longitude (0 to 360) and latitude, degrees.
    """
    ra, dec = radians(ra_deg), radians(dec_deg)
    latitude = cos(dec) * cos(ra - _POLE_RA) * cos(_POLE_DEC) + sin(dec) * sin(_POLE_DEC)
    longitude = atan2(sin(dec) - latitude * sin(_POLE_DEC), cos(dec) * sin(ra - _POLE_RA) * cos(_POLE_DEC))
    return (degrees(longitude) + _NODE_DEG) % 360, degrees(asin(_within(latitude)))


def _within(sine: float) -> float:
    """Keep rounding from leaving the range of a sine."""
    return max(-1.0, min(1.0, sine))
