"""The numbers of an alert that a model is fed with."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.coordinates import ecliptic, galactic
from stamp_service.classifiers.definition import Derivation, Feature
from stamp_service.classifiers.reading import Group, Unfit, number_of, word_of
from stamp_service.images import Stamp
from stamp_service.surveys import Kind, Survey


class Features:
    """Some features of alerts.

    Parameters
    ----------
    features : sequence of Feature
        What they are, in the order of the model's input.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = tuple(features)
        self._from_position = any(feature.derived is not None for feature in features)
        self._groups = tuple(
            paths for feature in features for paths in (feature.fields, feature.minus) if paths is not None
        )
        self._low = np.array([-np.inf if one.minimum is None else one.minimum for one in features])
        self._high = np.array([np.inf if one.maximum is None else one.maximum for one in features])
        self._mean = np.array([one.mean for one in features])
        self._std = np.array([one.std for one in features])
        self.headers: frozenset[Kind] = frozenset(one.header for one in features if one.card is not None)

    def groups(self, survey: Survey) -> tuple[Group, ...]:
        """Say what is needed of a record.

        Parameters
        ----------
        survey : Survey
            The alert's survey, which knows where its position stands.

        Returns
        -------
        tuple of tuple of str
            What `raw` takes the values of.
        """
        position = (survey.position.ra, survey.position.dec) if self._from_position else ()
        return self._groups + position

    def raw(self, values: Sequence[object], stamps: Mapping[Kind, Stamp]) -> list[float]:
        """Take the features of one alert.

        Parameters
        ----------
        values : sequence of object
            What was found at `groups`.
        stamps : mapping of str to Stamp
            The stamps whose headers are needed.

        Returns
        -------
        list of float
            The features, not yet clipped and scaled.

        Raises
        ------
        Unfit
            If one is missing, no number, or a word that the model does not know.
        """
        derived = _derive(*values[-2:]) if self._from_position else {}
        found = iter(values)
        raw = []
        for feature in self._features:
            if feature.derived is not None:
                raw.append(derived[feature.derived])
                continue
            value = next(found) if feature.card is None else stamps[feature.header].header.get(feature.card)
            number = _number(feature, value)
            if feature.minus is not None:
                number -= _number(feature, next(found))
            raw.append(number)
        return raw

    def scale(self, raw: Sequence[Sequence[float]]) -> NDArray[np.float32]:
        """Clip and scale the features of some alerts.

        Parameters
        ----------
        raw : sequence of sequence of float
            For each alert, what `raw` gave.

        Returns
        -------
        ndarray
            (alerts, features), float32; the arithmetic is float64.
        """
        # np.clip takes ten times as long for a few alerts.
        clipped = np.minimum(np.maximum(np.array(raw, dtype=np.float64), self._low), self._high)
        with np.errstate(over="ignore"):  # beyond float32 is infinite: the model's answer will show it
            scaled: NDArray[np.float32] = ((clipped - self._mean) / self._std).astype(np.float32)
        return scaled


def _number(feature: Feature, value: object) -> float:
    if value is None:
        raise Unfit(f"the alert has no {feature.name}")
    if feature.categories is None:
        number = number_of(value)
        if number is None:
            raise Unfit(f"the alert's {feature.name} is not a number")
        return number
    number = feature.categories.get(word_of(value))
    if number is None:
        raise Unfit(f"the alert's {feature.name} is none that the model knows")
    return number


def _derive(ra: object, dec: object) -> dict[Derivation, float]:
    ra_deg, dec_deg = number_of(ra), number_of(dec)
    if ra_deg is None or dec_deg is None:
        raise Unfit("the alert has no position")
    ecl_long, ecl_lat = ecliptic(ra_deg, dec_deg)
    gal_long, gal_lat = galactic(ra_deg, dec_deg)
    return {
        "ra": ra_deg,
        "dec": dec_deg,
        "ecl_long": ecl_long,
        "ecl_lat": ecl_lat,
        "gal_long": gal_long,
        "gal_lat": gal_lat,
    }
