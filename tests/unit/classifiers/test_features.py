"""The numbers that models are fed with."""

import math

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.classifiers import read_definition
from stamp_service.classifiers.coordinates import ecliptic, galactic
from stamp_service.classifiers.definition import AsteroidRule, Feature, SupernovaRule
from stamp_service.classifiers.features import Features
from stamp_service.classifiers.reading import Unfit, read_contents
from stamp_service.classifiers.rules import is_known_asteroid, supernova_groups, why_no_supernova
from stamp_service.images import Stamp

PIXELS = np.zeros((2, 2), np.float32)


class Sent:
    """An alert that is a record."""

    object_id = None

    def __init__(self, survey, record, cutouts=None):
        self.survey, self.alert_id, self._record, self._cutouts = survey, "1", record, cutouts or {}

    def record(self):
        return self._record

    def cutouts(self):
        return self._cutouts


def raw(survey, record, *features, header=None):
    reading = Features([Feature.model_validate(feature) for feature in features])
    stamps = {"science": Stamp(PIXELS, header or {})}
    return reading.raw(read_contents(Sent(survey, record), reading.groups(survey), ()).values, stamps)


@pytest.mark.parametrize(
    ("name", "array"), [("best_model_so_far", "features26"), ("staging_synthetic", "features23")]
)
def test_published_features_are_the_same_to_the_bit(published, ztf_alerts, shared_data, surveys, name, array):
    inputs = np.load(shared_data / "models/golden_ztf_inputs.npz")
    numbers = [number for number, candid in enumerate(inputs["candids"]) if str(candid) in ztf_alerts]
    features = Features(read_definition(published[name]).metadata.features)
    groups = features.groups(surveys["ztf"])
    alerts = [ztf_alerts[str(inputs["candids"][number])] for number in numbers]
    taken = [features.raw(alert.values(*groups), {}) for alert in alerts]
    assert features.scale(taken).tobytes() == inputs[array][numbers].tobytes()
    # The same from a record as from a packet.
    again = features.raw(read_contents(Sent(surveys["ztf"], alerts[0].record()), groups, ()).values, {})
    assert again == taken[0]


def test_raw_features_are_those_of_the_original(published, ztf_alerts, golden, surveys):
    features = Features(read_definition(published["best_model_so_far"]).metadata.features)
    for key, one in golden["golden_ztf"].items():
        if key in ztf_alerts:
            found = features.raw(ztf_alerts[key].values(*features.groups(surveys["ztf"])), {})
            assert found == pytest.approx(one["features_raw"], rel=1e-12)


def test_clips_and_scales(surveys):
    reading = Features(
        [
            Feature(name="low", fields=["x"], minimum=-1, mean=1, std=2),
            Feature(name="high", fields=["x"], maximum=10, mean=1, std=2),
            Feature(name="neither", fields=["x"]),
        ]
    )
    found = reading.scale([[-999.0, 999.0, 1e300], [3.0, 3.0, 0.1]])
    assert found.dtype == np.float32
    assert found.tolist() == [[-1, 4.5, math.inf], [1, 1, np.float32(0.1)]]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "the alert has no magpsf"),
        ({"candidate": None}, "the alert has no magpsf"),
        ({"candidate": [1]}, "the alert has no magpsf"),
        ({"candidate": {"magpsf": None}}, "the alert has no magpsf"),
        ({"candidate": {"magpsf": math.nan}}, "the alert's magpsf is not a number"),
        ({"candidate": {"magpsf": math.inf}}, "the alert's magpsf is not a number"),
        ({"candidate": {"magpsf": "18"}}, "the alert's magpsf is not a number"),
        ({"candidate": {"magpsf": True}}, "the alert's magpsf is not a number"),
        ({"candidate": {"magpsf": 10**400}}, "the alert's magpsf is not a number"),
    ],
)
def test_what_is_no_number_is_a_reason(surveys, record, reason):
    with pytest.raises(Unfit, match=reason):
        raw(surveys["ztf"], record, {"name": "magpsf", "fields": ["candidate.magpsf"]})


def test_differences_of_fields(surveys):
    feature = {"name": "non_detections", "fields": ["candidate.ncovhist"], "minus": ["candidate.ndethist"]}
    assert raw(surveys["ztf"], {"candidate": {"ncovhist": 7, "ndethist": 3}}, feature) == [4]
    with pytest.raises(Unfit, match="the alert has no non_detections"):
        raw(surveys["ztf"], {"candidate": {"ncovhist": 7}}, feature)


@pytest.mark.parametrize(
    ("value", "number"), [("t", 0), ("1", 0), (1, 0), (1.0, 0), ("f", 1), ("0", 1), (0, 1), (-1, 1), ("x", None)]
)
def test_isdiffpos_however_it_is_written(surveys, value, number):
    categories = {"t": 0, "1": 0, "f": 1, "0": 1, "-1": 1}
    feature = {"name": "isdiffpos", "fields": ["candidate.isdiffpos"], "categories": categories}
    if number is None:
        with pytest.raises(Unfit, match="the alert's isdiffpos is none that the model knows"):
            raw(surveys["ztf"], {"candidate": {"isdiffpos": value}}, feature)
    else:
        assert raw(surveys["ztf"], {"candidate": {"isdiffpos": value}}, feature) == [number]


def test_header_cards_and_positions(surveys):
    record = {"candidate": {"RA": 150.0, "Dec": 2.0}}
    features = (
        {"name": "FILTER", "card": "FILTER", "categories": {"c": 0, "o": 1}},
        {"name": "AIRMASS", "card": "AIRMASS"},
        {"name": "ra", "derived": "ra"},
        {"name": "dec", "derived": "dec"},
    )
    header = {"FILTER": "o ", "AIRMASS": 1.25}
    assert raw(surveys["atlas"], record, *features, header=header) == [1, 1.25, 150, 2]
    with pytest.raises(Unfit, match="the alert has no AIRMASS"):
        raw(surveys["atlas"], record, *features, header={"FILTER": "o"})
    with pytest.raises(Unfit, match="the alert has no position"):
        raw(surveys["atlas"], {"candidate": {"RA": 150.0}}, *features, header=header)


def test_coordinates_are_astropys():
    random = np.random.default_rng(1)
    ra, dec = random.uniform(0, 360, 50), np.degrees(np.arcsin(random.uniform(-1, 1, 50)))
    sky = SkyCoord(ra * units.deg, dec * units.deg, frame="icrs")
    # Ecliptic J2000 turns with the mean obliquity; astropy's frames differ from that by less than 0.1 arcsec.
    for ours, theirs in ((galactic, sky.galactic), (ecliptic, sky.barycentricmeanecliptic)):
        found = SkyCoord(*np.transpose([ours(*position) for position in zip(ra, dec, strict=True)]), unit="deg")
        expected = SkyCoord(theirs.spherical.lon, theirs.spherical.lat)
        assert found.separation(expected).arcsec.max() < 0.1


@settings(max_examples=50)
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_coordinates_of_nonsense_are_angles(ra, dec):
    for longitude, latitude in (ecliptic(ra, dec), galactic(ra, dec)):
        assert 0 <= longitude <= 360
        assert -90 <= latitude <= 90


@pytest.mark.parametrize(
    ("distance", "known"),
    [(0.0, True), (15.0, True), (-999.0, False), (None, False), (math.nan, False), ("", False)],
)
def test_a_null_distance_is_no_asteroid(distance, known):
    assert is_known_asteroid(AsteroidRule(class_name="asteroid"), distance) is known


RULE = SupernovaRule(class_name="SN")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (("t", 0.9, 0.9), "SN on a star"),
        (("t", 0.5, 0.9), None),
        (("t", 0.9, 1.0), None),
        (("t", 0.9, -999.0), "SN on a star"),
        (("t", -999.0, 0.1), None),
        (("t", None, 0.1), None),
        (("t", 0.9, math.nan), None),
        (("1", 0.1, 9.0), None),
        ((1, 0.1, 9.0), None),
        ((None, 0.1, 9.0), None),
        (("f", 0.1, 9.0), "SN in a negative difference"),
        (("0", 0.1, 9.0), "SN in a negative difference"),
        ((0, 0.1, 9.0), "SN in a negative difference"),
        ((-1, None, None), "SN in a negative difference"),
        ((-1.0, None, None), "SN in a negative difference"),
    ],
)
def test_supernovae_that_cannot_be(values, why):
    assert why_no_supernova(RULE, values, {"SN": 0.6, "VS": 0.4}) == why
    assert why_no_supernova(RULE, values, {"SN": 0.4, "VS": 0.6}) is None
    assert len(supernova_groups(RULE)) == len(values)
