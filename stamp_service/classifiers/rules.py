"""The rules around a model; see `definition.AsteroidRule` and `definition.SupernovaRule`."""

from collections.abc import Mapping, Sequence

from stamp_service.classifiers.definition import AsteroidRule, SupernovaRule
from stamp_service.classifiers.reading import Group, number_of, word_of


def is_known_asteroid(rule: AsteroidRule, distance: object) -> bool:
    """Say whether an alert is of a known Solar System object.

    Parameters
    ----------
    rule : AsteroidRule
        The rule.
    distance : object
        What was found at the rule's `fields`.

    Returns
    -------
    bool
        True if there is a distance; null, NaN and the rule's `no_match` are none.
    """
    number = number_of(distance)
    return number is not None and number != rule.no_match


def supernova_groups(rule: SupernovaRule) -> tuple[Group, ...]:
    """Say what `why_no_supernova` needs.

    Parameters
    ----------
    rule : SupernovaRule
        The rule.

    Returns
    -------
    tuple of tuple of str
        Dotted paths into the record, for each value.
    """
    return rule.isdiffpos, rule.star_score, rule.distance


def why_no_supernova(
    rule: SupernovaRule, values: Sequence[object], probabilities: Mapping[str, float]
) -> str | None:
    """Say why a result is dropped.

    Parameters
    ----------
    rule : SupernovaRule
        The rule.
    values : sequence of object
        What was found at `supernova_groups`.
    probabilities : mapping of str to float
        What the model says.

    Returns
    -------
    str or None
        The reason; None if the result stands.
    """
    if max(probabilities, key=lambda name: probabilities[name]) != rule.class_name:
        return None
    isdiffpos, score, distance = values[0], number_of(values[1]), number_of(values[2])
    if isdiffpos is not None and word_of(isdiffpos) in rule.negative:
        return f"{rule.class_name} in a negative difference"
    if score is None or distance is None:
        return None
    if score > rule.star_score_above and distance < rule.distance_below_arcsec:
        return f"{rule.class_name} on a star"
    return None
