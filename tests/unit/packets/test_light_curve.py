"""Light curves out of records."""

import math

import pytest

from stamp_service.demo import demo_alerts, demo_schemas
from stamp_service.packets import assemble_schema, light_curve, open_alert, recognise


@pytest.fixture(scope="module")
def ztf_alerts(surveys, shared_data):
    paths = sorted((shared_data / "alerts/ztf").glob("*.avro"))[:60]
    return [recognise(surveys, path.read_bytes()) for path in paths]


def test_a_real_alert_has_every_detection_and_limit_of_its_history(ztf_alerts):
    detections = limits = 0
    for alert in ztf_alerts:
        record = alert.record()
        found = [one for one in light_curve(alert.survey, record) if one.source == "detection"]
        history = [one for one in record["prv_candidates"] or [] if one]
        seen = {str(one["candid"]): one for one in history if one["magpsf"] is not None}
        assert {one.alert_id for one in found if not one.is_limit} == set(seen)
        assert sum(one.is_limit for one in found) == len(history) - len(seen)
        for one in found:
            if one.is_limit:
                continue
            entry = seen[one.alert_id]
            assert one.value == pytest.approx(entry["magpsf"])
            assert one.error == pytest.approx(entry["sigmapsf"])
            assert one.time_mjd == pytest.approx(entry["jd"] - 2400000.5)
            assert one.band == {1: "g", 2: "r", 3: "i"}[entry["fid"]]
            assert one.is_negative == (entry["isdiffpos"] in {"f", "0"})
        detections += len(seen)
        limits += len(history) - len(seen)
    assert detections > 50
    assert limits > 50


class Schemas:
    """The demo's schemas."""

    def schema(self, _schema_id):
        return assemble_schema(list(demo_schemas().values()), "lsst.v9_0.alert")


@pytest.mark.parametrize("survey", ["ztf", "atlas", "lsst"])
def test_the_alert_itself_is_in_its_light_curve_once(surveys, survey):
    for made in demo_alerts(survey, objects=2):
        alert = open_alert(surveys[survey], made.alert_id, made.packet, Schemas())
        found = light_curve(alert.survey, alert.record())
        (own,) = (one for one in found if one.source == "alert")
        summary = alert.summary()
        assert own.alert_id == alert.alert_id
        assert own.value == (summary.magnitude if own.unit == "mag" else summary.flux_njy)
        assert (own.time_mjd, own.band) == (summary.time_mjd, summary.band)
        assert [one.time_mjd for one in found] == sorted(one.time_mjd for one in found)


def forced(surveys, **fields):
    entry = {"jd": 2460000.5, "fid": 1, "magzpsci": 26.0, "diffmaglim": 20.5} | fields
    return light_curve(surveys["ztf"], {"fp_hists": [entry]})


def test_forced_photometry_becomes_magnitudes(surveys):
    (one,) = forced(surveys, forcediffimflux=1000.0, forcediffimfluxunc=50.0)
    assert one.value == pytest.approx(26 - 2.5 * math.log10(1000))
    assert one.error == pytest.approx(2.5 / math.log(10) * 0.05)
    assert (one.source, one.is_limit, one.is_negative, one.unit) == ("forced", False, False, "mag")
    (fainter,) = forced(surveys, forcediffimflux=-1000.0, forcediffimfluxunc=50.0)
    assert (fainter.value, fainter.is_negative) == (one.value, True)


def test_forced_photometry_that_sees_nothing_is_a_limit_of_five_sigmas(surveys):
    (one,) = forced(surveys, forcediffimflux=100.0, forcediffimfluxunc=50.0)
    assert (one.is_limit, one.error) == (True, None)
    assert one.value == pytest.approx(26 - 2.5 * math.log10(250))


@pytest.mark.parametrize(
    "fields",
    [
        {"forcediffimflux": None, "forcediffimfluxunc": 1.0},
        {"forcediffimflux": math.nan, "forcediffimfluxunc": 1.0},
        {"forcediffimflux": 5.0, "forcediffimfluxunc": 0.0},
        {"forcediffimflux": 5.0, "forcediffimfluxunc": -1.0},
        {"forcediffimflux": 5.0, "forcediffimfluxunc": None},
        {"forcediffimflux": -99999.0, "forcediffimfluxunc": -99999.0},
        {"forcediffimflux": 5.0, "forcediffimfluxunc": 1.0, "magzpsci": None},
        {"forcediffimflux": 5.0, "forcediffimfluxunc": 1.0, "jd": None},
    ],
)
def test_what_is_no_measurement_is_left_out(surveys, fields):
    assert forced(surveys, **fields) == []


@pytest.mark.parametrize("record", [{}, {"candidate": None}, {"candidate": 5, "prv_candidates": [None, 3, {}]}])
def test_odd_records_have_no_light_curve(surveys, record):
    assert light_curve(surveys["ztf"], record) == []
