"""The class probabilities of objects over HTTP."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files

import jwt
import pytest

from stamp_service.probabilities import NewObject, open_probabilities

OBJECT = "ZTF18acuwwpp"
KEY = "a key that is long enough for the algorithm"


def fill(app):
    """Have two classifiers say something of an object."""
    tables = open_probabilities(app.extensions["stamp_service"].settings, 5.0)
    found = NewObject(OBJECT, 1, 2, None, None, 58000.0, 10.0, 20.0)
    tables.add([(found, {"AGN": 0.25, "SN": 0.75})], "stamps", "1.0.0")
    tables.add([(found, {"real": 1.0, "bogus": 0.0})], "braai", "d6_m9")
    tables.close()


@pytest.fixture(scope="module")
def app(make_app):
    app = make_app(filled=False)
    fill(app)
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def test_every_classifier_says_what_it_thinks_the_likeliest_first(client):
    answer = client.get(f"/v1/objects/ztf/{OBJECT}/probabilities")
    assert answer.json == {
        "survey": "ztf",
        "object_id": OBJECT,
        "classifications": [
            {
                "classifier_name": "braai",
                "classifier_version": "d6_m9",
                "classes": [
                    {"class_name": "real", "probability": 1.0, "ranking": 1},
                    {"class_name": "bogus", "probability": 0.0, "ranking": 2},
                ],
            },
            {
                "classifier_name": "stamps",
                "classifier_version": "1.0.0",
                "classes": [
                    {"class_name": "SN", "probability": 0.75, "ranking": 1},
                    {"class_name": "AGN", "probability": 0.25, "ranking": 2},
                ],
            },
        ],
    }


def test_an_answer_is_kept_for_seconds_and_checked_by_its_content(client):
    answer = client.get(f"/v1/objects/ztf/{OBJECT}/probabilities")
    assert answer.headers["Cache-Control"] == "public, max-age=5"
    again = client.get(
        f"/v1/objects/ztf/{OBJECT}/probabilities", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("path", ["ztf/ZTF18aaaaaaa", "atlas/1234567890123456789"])
def test_an_object_that_nobody_knows(client, path):
    answer = client.get(f"/v1/objects/{path}/probabilities")
    assert (answer.status_code, answer.json["code"]) == (404, "object-not-found")


@pytest.mark.parametrize(("path", "parameter"), [("ztf/'; DROP TABLE", "object_id"), ("other/1", "survey")])
def test_a_question_that_makes_no_sense(client, path, parameter):
    answer = client.get(f"/v1/objects/{path}/probabilities")
    assert (answer.status_code, answer.json["parameter"]) == (400, parameter)


def test_a_database_that_cannot_be_asked_is_unavailable(make_app):
    app = make_app(filled=False)
    (app.extensions["stamp_service"].settings.data_dir / "probabilities.sqlite").write_bytes(600 * b"no database ")
    answer = app.test_client().get(f"/v1/objects/ztf/{OBJECT}/probabilities")
    assert (answer.status_code, answer.json["code"]) == (503, "store-unavailable")
    assert "sqlite" not in answer.text


def test_metadata_that_are_not_for_all_need_a_token(make_app, tmp_path):
    definition = (files("stamp_service.surveys") / "ztf.toml").read_text()
    (tmp_path / "ztf.toml").write_text(f"{definition}\n[access]\nanonymous = []\n")
    app = make_app(filled=False, surveys_dir=tmp_path, jwt_secret=KEY)
    fill(app)
    client = app.test_client()
    assert client.get(f"/v1/objects/ztf/{OBJECT}/probabilities").status_code == 401
    claims = {"exp": datetime.now(UTC) + timedelta(minutes=5), "surveys": {"ztf": ["metadata"]}}
    token = jwt.encode(claims, KEY, "HS256")
    answer = client.get(f"/v1/objects/ztf/{OBJECT}/probabilities", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["Vary"] == "Authorization"
