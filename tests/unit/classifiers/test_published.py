"""The published models on real packets, against what TensorFlow said of them."""

import pytest

from stamp_service.classifiers import Running, open_model
from tests.unit.classifiers.conftest import PUBLISHED
from tests.unit.classifiers.graphs import CLASSES

# TensorFlow's own noise between batch sizes is a sixth of it.
TOLERANCE = 2e-6


def told(golden, name, alert_id):
    """What the original said of an alert; None where it said nothing."""
    if name in {"d6_m9", "d6_m7"}:
        score = golden["golden_braai"][alert_id][name]
        return {"real": score, "bogus": 1 - score}
    if name == "best_model_so_far":
        found = golden["golden_ztf"].get(alert_id)
        return found and {one: found[one] for one in CLASSES}
    return golden["golden_ztf_other_models"].get(alert_id, {}).get(name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_outputs_are_those_of_the_original(published, ztf_alerts, golden, name):
    alerts = list(ztf_alerts.values())
    together = open_model(published[name], Running(threads=2, batch=32)).classify(alerts)
    model = open_model(published[name])
    singly = {alert.alert_id: model.classify([alert])[0] for alert in alerts[::5]}
    compared = 0
    for alert, first in zip(alerts, together, strict=True):
        expected = told(golden, name, alert.alert_id)
        second = singly.get(alert.alert_id, first)
        assert first.alert_id == second.alert_id == alert.alert_id
        assert first.reason == second.reason
        assert (first.probabilities is None) == (expected is None)
        if expected is not None:
            assert first.probabilities == pytest.approx(expected, abs=TOLERANCE)
            assert second.probabilities == pytest.approx(expected, abs=TOLERANCE)
            assert max(first.probabilities, key=first.probabilities.get) == max(expected, key=expected.get)
            compared += 1
    assert compared >= 102


def test_misshaped_stamps_have_a_reason(published, ztf_alerts, golden):
    misshaped = {key: one for key, one in golden["golden_ztf_misshaped"].items() if key in ztf_alerts}
    assert len(misshaped) == 6
    # One of them beside a good one, and all together.
    good = ztf_alerts["820128985515010010"]
    found = open_model(published["best_model_new_bogus_reg"]).classify(
        [*(ztf_alerts[key] for key in misshaped), good]
    )
    for one, (key, said) in zip(found, misshaped.items(), strict=False):
        ny, nx = said["shapes"]["cutoutScience"]
        assert (one.alert_id, one.object_id) == (key, said["objectId"])
        assert (one.probabilities, one.reason) == (None, f"the science stamp has {nx} x {ny} pixels, not 63 x 63")
    assert found[-1].reason is None


def test_rules_give_what_the_early_classification_step_gave(published, ztf_alerts, golden):
    model = open_model(published["best_model_so_far"])
    alerts = [alert for key, alert in ztf_alerts.items() if key in golden["golden_ztf"]]
    found = model.classify(alerts, rules=True)
    for one in found:
        expected = golden["golden_ztf"][one.alert_id]["early_step"]
        assert (one.probabilities is None) == (expected is None)
        assert one.probabilities == pytest.approx(expected, abs=TOLERANCE)
    assert sum(one.rule == "asteroid" for one in found) == 10


def test_supernovae_are_dropped_as_the_step_dropped_them(published, ztf_alerts, golden):
    # With random weights, so that there are supernovae where none can be: the rule decides about no golden output
    # of the step.
    name = "staging_synthetic"
    said = golden["golden_ztf_other_models"]
    alerts = [alert for key, alert in ztf_alerts.items() if key in said and said[key][name]["SN"] > 0.25]
    model = open_model(published[name])
    reasons = set()
    for alert, plain, ruled in zip(
        alerts, model.classify(alerts), model.classify(alerts, rules=True), strict=True
    ):
        candidate = alert.record()["candidate"]
        expected = said[alert.alert_id][name]
        on_star = candidate["sgscore1"] > 0.5 and candidate["distpsnr1"] < 1
        dropped = max(expected, key=expected.get) == "SN" and (candidate["isdiffpos"] in {"f", "0"} or on_star)
        if candidate["ssdistnr"] not in {None, -999.0}:
            assert ruled.probabilities == {one: float(one == "asteroid") for one in CLASSES}
        elif dropped:
            assert (ruled.probabilities, ruled.rule) == (None, "supernova")
            reasons.add(ruled.reason)
        else:
            assert ruled == plain
    assert reasons == {"SN in a negative difference", "SN on a star"}
