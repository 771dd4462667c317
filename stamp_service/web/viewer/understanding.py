"""What somebody typed into the box: an id, or a place on the sky."""

import re
import warnings
from dataclasses import dataclass
from typing import Literal

from astropy.coordinates import Angle
from astropy.units import UnitsWarning, deg, hourangle

from stamp_service.index import Cone
from stamp_service.surveys import Survey, Surveys

LONGEST_TEXT = 200
_DEFAULT_RADIUS_ARCSEC = 5.0
_UNITS_ARCSEC = {"": 1.0, '"': 1.0, "arcsec": 1.0, "'": 60.0, "arcmin": 60.0, "deg": 3600.0, "°": 3600.0}
# Minutes, seconds and the minus sign as books have them.
_TYPED = str.maketrans({"\u2032": "'", "\u2033": '"', "\u2019": "'", "\u201d": '"', "\u2212": "-"})
_LARGEST_ARCSEC = 180 * 3600.0
_NUMBER = r"\d+(?:\.\d*)?"
# Two decimal numbers: degrees.
_DECIMAL = re.compile(rf"([+-]?{_NUMBER})(?:\s*,\s*|\s+)([+-]?{_NUMBER})")
# Hours, minutes, seconds; degrees, minutes, seconds.
_SEXAGESIMAL = re.compile(
    rf"(\d{{1,2}}[:h\s]\s*\d{{1,2}}[:m\s]\s*{_NUMBER}s?)(?:\s*,\s*|\s*(?=[+-])|\s+)"
    rf"([+-]?\d{{1,2}}[:d°\s]\s*\d{{1,2}}[:m'\s]\s*{_NUMBER}[s\"]?)"
)
_RADIUS = re.compile(rf"(?:\s*,\s*|\s+)(?:r\s*=\s*)?({_NUMBER})\s*(\"|arcsec|'|arcmin|deg|°)?")


@dataclass(frozen=True, slots=True)
class NamedThing:
    """An id that may be a survey's.

    Parameters
    ----------
    survey : Survey
        The survey.
    what : str
        `alert` or `object`.
    name : str
        The id.
    """

    survey: Survey
    what: Literal["alert", "object"]
    name: str


def read_place(text: str) -> Cone | None:
    """Read a place on the sky.

    Parameters
    ----------
    text : str
        Right ascension and declination: decimal degrees, or hours and degrees with minutes and seconds; then, if
        it is not 5 arcsec, the radius: a number of arcsec, or with a unit.

    Returns
    -------
    Cone or None
        The place; None if this is none.
    """
    text = text.strip()[:LONGEST_TEXT].translate(_TYPED)
    found = _SEXAGESIMAL.match(text) or _DECIMAL.match(text)
    if found is None:
        return None
    radius = _read_radius(text[found.end() :])
    position = _degrees(*found.groups()) if found.re is _SEXAGESIMAL else (float(found[1]), float(found[2]))
    if radius is None or position is None:
        return None
    ra_deg, dec_deg = position
    if not (0 <= ra_deg <= 360 and -90 <= dec_deg <= 90):
        return None
    return Cone(ra_deg % 360, dec_deg, radius)


def _degrees(right_ascension: str, declination: str) -> tuple[float, float] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnitsWarning)
            return (
                float(Angle(right_ascension, unit=hourangle).degree),
                float(Angle(re.sub("[°'\"]", ":", declination).rstrip(":"), unit=deg).degree),
            )
    except ValueError:
        return None


def _read_radius(text: str) -> float | None:
    if not text.strip():
        return _DEFAULT_RADIUS_ARCSEC
    found = _RADIUS.fullmatch(text.rstrip())
    if found is None:
        return None
    radius = float(found[1]) * _UNITS_ARCSEC[found[2] or ""]
    return radius if 0 < radius <= _LARGEST_ARCSEC else None


def possible_names(surveys: Surveys, text: str) -> list[NamedThing]:
    """Say what an id may be the name of.

    Parameters
    ----------
    surveys : Surveys
        The surveys.
    text : str
        Any text; a survey's name may stand before it.

    Returns
    -------
    list of NamedThing
        Objects first, since their names are more particular; none if it looks like no id.
    """
    words = text.strip()[:LONGEST_TEXT].replace("/", " ").split()
    asked = (
        [surveys[words[0].lower()]] if len(words) == 2 and words[0].lower() in surveys else list(surveys.values())
    )
    if len(words) not in {1, 2} or (len(words) == 2 and len(asked) != 1):
        return []
    name = words[-1]
    objects = [NamedThing(survey, "object", name) for survey in asked if survey.object_id.matches(name)]
    return objects + [NamedThing(survey, "alert", name) for survey in asked if survey.alert_id.matches(name)]
