"""Cross-matches of one alert over HTTP, with catalogues in files."""

import pytest
from astropy.table import Table

from stamp_service.errors import ConfigurationError

ROUTE = "/v1/alerts/ztf/820128985515010010/xmatch"


@pytest.fixture(scope="module")
def stars(tmp_path_factory, real_alerts):
    """Three stars: two near the ZTF alert, one of them without a magnitude."""
    summary = real_alerts["ztf"].alert.summary()
    ra, dec = summary.ra_deg, summary.dec_deg
    table = Table({"name": ["near", "nearer", "far"], "ra": [ra] * 3, "dec": [dec + 1e-3, dec - 1e-4, dec + 1]})
    table["magnitude"] = [float("nan"), 18.5, 10.0]
    table["source"] = [2**53 + 1, 7, 8]
    path = tmp_path_factory.mktemp("catalogues") / "stars.fits"
    table.write(path)
    return path


@pytest.fixture(scope="module")
def client(make_app, stars):
    return make_app(catalogues={"stars": str(stars)}).test_client()


def test_the_closest_comes_first(client, real_alerts):
    answer = client.get(f"{ROUTE}?catalogue=stars")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    body = answer.json
    assert (body["catalogue"], body["distance_arcsec"], body["found"]) == ("stars", 5.0, 2)
    assert body["ra_deg"] == real_alerts["ztf"].alert.summary().ra_deg
    nearer, near = body["matches"]
    assert list(nearer) == ["angDist", "name", "ra", "dec", "magnitude", "source"]
    assert (nearer["name"], nearer["magnitude"], nearer["source"]) == ("nearer", 18.5, 7)
    assert nearer["angDist"] == pytest.approx(0.36, abs=1e-6)
    assert (near["name"], near["magnitude"], near["source"]) == ("near", None, str(2**53 + 1))
    assert client.get(f"{ROUTE}?catalogue=stars&distance=1").json["found"] == 1


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "catalogue"),
        ("?catalogue=", "catalogue"),
        ("?catalogue=/etc/passwd", "catalogue"),
        ("?catalogue=vizier:II/246/out", "catalogue"),
        ("?catalogue=http://127.0.0.1/", "catalogue"),
        ("?catalogue=stars&distance=0", "distance"),
        ("?catalogue=stars&distance=181", "distance"),
        ("?catalogue=stars&distance=nan", "distance"),
    ],
)
def test_only_what_is_configured_can_be_asked_for(client, query, parameter):
    answer = client.get(ROUTE + query)
    assert answer.status_code == 400
    assert answer.json["parameter"] == parameter


def test_without_catalogues_there_is_nothing_to_match_with(app):
    answer = app.test_client().get(f"{ROUTE}?catalogue=stars")
    assert answer.status_code == 400
    assert answer.json["detail"].endswith("configured: none")


def test_an_alert_that_is_not_there_is_not_found(client):
    assert client.get("/v1/alerts/ztf/1/xmatch?catalogue=stars").status_code == 404


def test_a_catalogue_that_went_away_is_unavailable(make_app, stars, tmp_path):
    path = tmp_path / "stars.fits"
    path.write_bytes(stars.read_bytes())
    client = make_app(catalogues={"stars": str(path)}).test_client()
    path.unlink()
    answer = client.get(f"{ROUTE}?catalogue=stars")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_a_restricted_survey_needs_a_token(make_app, stars):
    client = make_app(catalogues={"stars": str(stars)}, jwt_secret="k" * 32).test_client()
    answer = client.get("/v1/alerts/atlas/01a59897o0020c_000002/xmatch?catalogue=stars")
    assert answer.status_code in {401, 403}


def test_a_wrong_catalogue_stops_the_start(make_app, tmp_path):
    with pytest.raises(ConfigurationError, match="STAMP_CATALOGUES"):
        make_app(catalogues={"stars": str(tmp_path)})
