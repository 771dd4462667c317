"""The page of an alert, as the service writes it."""

import re

import orjson
import pytest

from stamp_service.probabilities import NewObject, open_probabilities

SECRET = "a key that is long enough for the algorithm"


def data_of(answer):
    """What the page's script reads."""
    return orjson.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', answer.text)[1])


def links_of(answer):
    """Addresses of other services by what they are called."""
    return {
        name: url.replace("&amp;", "&")
        for url, name in re.findall(r'<a href="([^"]+)" rel="noopener external">([^<]+)</a>', answer.text)
    }


def page_of(client, real, query=""):
    answer = client.get(f"/alert/{real.survey}/{real.alert_id}{query}")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    return answer


@pytest.mark.parametrize("name", ["ztf", "atlas", "lsst", "elasticc"])
def test_the_page_has_what_its_script_needs(client, real_alerts, name):
    real = real_alerts[name]
    answer = page_of(client, real)
    data = data_of(answer)
    assert (data["survey"], data["alert_id"]) == (real.survey, real.alert_id)
    assert set(data["kinds"]) == {"science", "template", "difference"}
    (current,) = [one for one in data["light_curve"] if one["source"] == "alert"]
    assert current["alert_id"] == real.alert_id
    assert data["colours"][0] == [0, 0, 0]
    assert data["colours"][-1] == [255, 255, 255]
    assert len(data["colours"]) == 255
    assert "cutoutScience" not in data["record"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


def test_notes_are_those_of_the_schema(client, real_alerts):
    notes = data_of(page_of(client, real_alerts["ztf"]))["notes"]
    assert notes["candidate.magpsf"] == "Magnitude from PSF-fit photometry [mag]"
    assert notes["prv_candidates.magpsf"] == notes["candidate.magpsf"]


def test_colours_are_those_of_the_address(client, real_alerts):
    reverse, usual, nonsense = (
        data_of(page_of(client, real_alerts["ztf"], f"?cmap={name}"))["colours"]
        for name in ("gray_r", "gray", "../gray")
    )
    assert reverse[::-1] == usual == nonsense


@pytest.mark.parametrize("name", ["ztf", "atlas", "lsst"])
def test_the_same_place_elsewhere(client, real_alerts, name):
    real = real_alerts[name]
    answer = page_of(client, real)
    links = links_of(answer)
    assert {"ALeRCE", "Fink", "SIMBAD", "TNS", "Legacy Survey viewer"} <= set(links)
    summary = real.alert.summary()
    assert f"ra={round(summary.ra_deg, 7)}&" in links["TNS"]
    if name == "atlas":  # which brokers do not show
        assert f"ra={round(summary.ra_deg, 7)}&" in links["ALeRCE"]
    else:
        assert real.object_id in links["ALeRCE"]


def test_what_a_reader_may_not_have_is_left_out(make_app, real_alerts):
    real = real_alerts["atlas"]
    answer = page_of(make_app(jwt_secret=SECRET).test_client(), real)
    data = data_of(answer)
    assert (data["light_curve"], data["record"], data["notes"]) == ([], {}, {})
    assert links_of(answer) == {}
    assert ".avro" not in answer.text
    summary = real.alert.summary()
    for secret in (real.object_id, f"{summary.ra_deg:.4f}", f"{summary.time_mjd:.3f}", f"{summary.magnitude:.3f}"):
        assert secret not in answer.text


def test_what_classifiers_say_stands_in_the_order_of_their_ranking(make_app, real_alerts):
    app, real = make_app(), real_alerts["ztf"]
    tables = open_probabilities(app.extensions["stamp_service"].settings, 5.0)
    found = NewObject(real.object_id, 1, 2, None, None, 58000.0, 10.0, 20.0)
    tables.add([(found, {"AGN": 0.25, "SN": 0.7, "<b>": 0.05})], "stamps", "1.0.0")
    tables.close()
    for path in (f"/alert/ztf/{real.alert_id}", f"/object/ztf/{real.object_id}"):
        text = app.test_client().get(path).text
        rows = re.findall(r"<td[^>]*>(\d+)</td><td>([^<]+)</td>\s*<td[^>]*>([\d.]+)</td>", text)
        assert rows == [("1", "SN", "0.700"), ("2", "AGN", "0.250"), ("3", "&lt;b&gt;", "0.050")]
        assert "stamps" in text
