"""Tokens and restricted surveys."""

import json
import time
from importlib.resources import files

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SECRET = "a secret of at least thirty-two bytes"


def token(key=SECRET, algorithm="HS256", headers=None, **claims):
    claims = {"exp": time.time() + 60, "surveys": {"atlas": ["stamps", "metadata", "packets"]}} | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers=headers)


def bearing(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def guarded(make_app):
    return make_app(jwt_secret=SECRET).test_client()


@pytest.fixture
def packet_url(real_alerts):
    return f"/v1/alerts/atlas/{real_alerts['atlas'].alert_id}.avro"


@pytest.fixture
def metadata_url(real_alerts):
    return f"/v1/alerts/atlas/{real_alerts['atlas'].alert_id}"


@pytest.fixture
def stamp_url(real_alerts):
    return f"/v1/stamps/atlas/{real_alerts['atlas'].alert_id}/science.png"


def test_without_a_key_atlas_is_open(client, packet_url, metadata_url, stamp_url):
    for url in (packet_url, metadata_url, stamp_url):
        assert client.get(url).status_code == 200


def test_with_a_key_atlas_stamps_are_open_and_the_rest_is_not(guarded, packet_url, metadata_url, stamp_url):
    assert guarded.get(stamp_url).headers["Cache-Control"].startswith("public")
    for url in (packet_url, metadata_url):
        answer = guarded.get(url)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_with_a_key_ztf_and_lsst_stay_open(guarded, real_alerts):
    for name in ("ztf", "lsst"):
        real = real_alerts[name]
        assert guarded.get(f"/v1/alerts/{real.survey}/{real.alert_id}.avro").status_code == 200


def test_compatible_routes_are_guarded_too(guarded, real_alerts):
    asked = f"candid={real_alerts['atlas'].alert_id}&survey_id=atlas"
    assert guarded.get(f"/get_stamp?{asked}&type=science&format=png").status_code == 200
    for route in ("/get_avro", "/get_avro_info"):
        assert guarded.get(f"{route}?{asked}").status_code == 401
        assert guarded.get(f"{route}?{asked}", headers=bearing(token())).status_code == 200
    asked = f"measurement_id={real_alerts['atlas'].alert_id}&survey_id=atlas"
    assert guarded.get(f"/stamps_api/avro?{asked}").status_code == 401


def test_restricted_answers_stay_out_of_shared_caches(guarded, packet_url, metadata_url):
    for url in (packet_url, metadata_url):
        answer = guarded.get(url, headers=bearing(token()))
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert "Authorization" in answer.headers["Vary"]
        tag = {"If-None-Match": answer.headers["ETag"]}
        again = guarded.get(url, headers=bearing(token()) | tag)
        assert again.status_code == 304
        assert again.headers["Cache-Control"].startswith("private")
        assert guarded.get(url, headers=tag).status_code == 401


def test_restricted_metadata_does_not_leak_through_stamps(guarded, real_alerts):
    atlas = real_alerts["atlas"]
    packed = guarded.get(f"/v1/stamps/atlas/{atlas.alert_id}.fits").data
    assert atlas.object_id.encode() not in packed


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": time.time() - 1}, 401),
        ({"exp": None}, 401),
        ({"surveys": {"ztf": ["packets"]}}, 403),
        ({"surveys": {"atlas": ["stamps"]}}, 403),
        ({"surveys": None}, 403),
        ({"surveys": ["atlas"]}, 403),
        ({"surveys": {"*": ["packets"]}}, 200),
        ({"surveys": {"atlas": ["packets"]}}, 200),
    ],
)
def test_claims(guarded, packet_url, claims, status):
    assert guarded.get(packet_url, headers=bearing(token(**claims))).status_code == status


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        jwt.encode({"exp": 9e9}, "another secret of at least thirty-two bytes", "HS256"),
        jwt.encode({"exp": 9e9, "surveys": {"*": ["packets"]}}, None, "none"),
    ],
)
def test_forged_tokens(guarded, packet_url, text):
    assert guarded.get(packet_url, headers=bearing(text)).status_code == 401


def test_an_expired_token_is_refused_where_none_is_needed(guarded, stamp_url):
    old = bearing(token(exp=time.time() - 1))
    assert guarded.get(stamp_url, headers=old).status_code == 401


def test_a_remembered_token_still_expires(guarded, packet_url):
    short = bearing(token(exp=time.time() + 1))
    assert guarded.get(packet_url, headers=short).status_code == 200
    time.sleep(1.1)
    assert guarded.get(packet_url, headers=short).status_code == 401


def test_other_schemes_are_not_ours(guarded, stamp_url, packet_url):
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert guarded.get(stamp_url, headers=basic).status_code == 200
    assert guarded.get(packet_url, headers=basic).status_code == 401


def test_audience_and_issuer(make_app, packet_url):
    client = make_app(jwt_secret=SECRET, jwt_audience="stamps", jwt_issuer="broker").test_client()
    assert client.get(packet_url, headers=bearing(token())).status_code == 401
    assert client.get(packet_url, headers=bearing(token(aud="stamps", iss="other"))).status_code == 401
    assert client.get(packet_url, headers=bearing(token(aud="stamps", iss="broker"))).status_code == 200


@pytest.fixture(scope="module")
def keys():
    return {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }


@pytest.fixture(scope="module")
def jwks(keys, tmp_path_factory):
    algorithms = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
    entries = [
        json.loads(algorithms[name].to_jwk(key.public_key())) | {"kid": name, "alg": name, "use": "sig"}
        for name, key in keys.items()
    ]
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps({"keys": entries}))
    return path


@pytest.fixture(scope="module")
def keyed(make_app, jwks):
    return make_app(jwt_jwks_file=jwks).test_client()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_signed_with_a_private_key(keyed, keys, packet_url, algorithm):
    signed = token(keys[algorithm], algorithm, {"kid": algorithm})
    assert keyed.get(packet_url, headers=bearing(signed)).status_code == 200


def test_unknown_key(keyed, keys, packet_url):
    signed = token(keys["RS256"], "RS256", {"kid": "elsewhere"})
    assert keyed.get(packet_url, headers=bearing(signed)).status_code == 401


def test_public_key_is_no_shared_secret(keyed, jwks, packet_url):
    forged = token(json.loads(jwks.read_text())["keys"][0]["n"], "HS256")
    assert keyed.get(packet_url, headers=bearing(forged)).status_code == 401


def test_unreadable_file(make_app, tmp_path):
    (tmp_path / "jwks.json").write_text("[]")
    with pytest.raises(Exception, match="STAMP_JWT_JWKS_FILE"):
        make_app(jwt_jwks_file=tmp_path / "jwks.json")


def test_a_restricted_survey_of_the_user(make_app, tmp_path, real_alerts):
    definition = (files("stamp_service.surveys") / "ztf.toml").read_text()
    (tmp_path / "ztf.toml").write_text(f"{definition}\n[access]\nanonymous = []\n")
    client = make_app(surveys_dir=tmp_path).test_client()
    ztf = real_alerts["ztf"]
    for url in (f"/v1/alerts/ztf/{ztf.alert_id}.avro", f"/v1/stamps/ztf/{ztf.alert_id}/science.png"):
        assert client.get(url).status_code == 401
