"""What other services show of links to our pages, and the web component's file."""

import io
import re
import time
from html import unescape

import jwt
import pytest
from PIL import Image

from stamp_service.demo import demo_alerts
from stamp_service.packets import recognise

SECRET = "secret" * 8


def tags(page: str) -> dict[str, str]:
    """The page's meta tags by name, and where its oEmbed is."""
    found = dict(re.findall(r'<meta (?:name|property)="([a-z:_]+)" content="([^"]*)">', page))
    links = re.findall(
        r'<link rel="alternate" type="application/json\+oembed" title="[^"]*" href="([^"]*)">', page
    )
    return {name: unescape(value) for name, value in [*found.items(), *(("oembed", link) for link in links)]}


def token(**surveys: list[str]) -> dict[str, str]:
    claims = {"exp": time.time() + 60, "surveys": surveys}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


@pytest.fixture(scope="module")
def served(make_app):
    """A client of a service with the alerts of a synthetic object, and these."""
    app = make_app(filled=False)
    here = app.extensions["stamp_service"]
    alerts = [recognise(here.surveys, alert.packet) for alert in demo_alerts("ztf", objects=1)]
    for alert in alerts:
        here.resolver.put(alert)
    return app.test_client(), alerts


@pytest.fixture(scope="module")
def restricted(make_app):
    """A client of a service where ATLAS alerts need a token."""
    return make_app(jwt_secret=SECRET).test_client()


def ask(client, url, **query):
    return client.get("/oembed", query_string={"url": url, **query})


def size_of(client, url):
    answer = client.get(url.removeprefix("http://localhost"))
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.data)).size


@pytest.mark.parametrize("name", ["ztf", "ztf_edge", "atlas", "atlas_plain", "lsst"])
def test_a_link_to_an_alert_shows_the_triptych(client, real_alerts, name):
    real = real_alerts[name]
    url = f"http://localhost/alert/{real.survey}/{real.alert_id}"
    found = tags(client.get(url).text)
    assert found["og:url"] == url
    assert found["og:title"] == found["twitter:title"] == f"{real.survey.upper()} {real.alert_id}"
    assert found["twitter:card"] == "summary_large_image"
    assert (
        found["og:image"]
        == found["twitter:image"]
        == f"http://localhost/v1/stamps/{real.survey}/{real.alert_id}.png"
    )
    assert size_of(client, found["og:image"]) == (int(found["og:image:width"]), int(found["og:image:height"]))
    described = client.get(found["oembed"].removeprefix("http://localhost")).json
    assert (described["version"], described["type"], described["url"]) == ("1.0", "photo", found["og:image"])
    assert (described["width"], described["height"]) == size_of(client, described["url"])
    assert {real.alert_id, real.object_id} - {None} <= set(described["title"].split())
    assert described["provider_url"] == "http://localhost/"


def test_an_alert_without_stamps_has_a_card_without_a_picture(client, real_alerts):
    url = f"http://localhost/alert/lsst/{real_alerts['elasticc'].alert_id}"
    found = tags(client.get(url).text)
    assert found["twitter:card"] == "summary"
    assert "og:image" not in found
    assert ask(client, url).json["type"] == "link"


def test_a_link_to_an_object_shows_its_latest_alert(served):
    client, alerts = served
    latest = max(alerts, key=lambda alert: alert.summary().time_mjd)
    url = f"http://localhost/object/ztf/{latest.object_id}"
    found = tags(client.get(url).text)
    assert found["og:image"] == f"http://localhost/v1/stamps/ztf/{latest.alert_id}.png"
    assert found["og:description"].startswith(f"{len(alerts)} alerts")
    described = ask(client, url).json
    assert (described["type"], described["url"]) == ("photo", found["og:image"])
    assert found["og:title"] in described["title"]


@pytest.mark.parametrize("room", [{"maxwidth": 600}, {"maxheight": 200}, {"maxwidth": 500, "maxheight": 750}])
def test_the_picture_fits_the_room(client, real_alerts, room):
    described = ask(client, f"http://localhost/alert/ztf/{real_alerts['ztf'].alert_id}", **room).json
    width, height = size_of(client, described["url"])
    assert (described["width"], described["height"]) == (width, height)
    assert (described["thumbnail_width"], described["thumbnail_height"]) == (width, height)
    assert width <= room.get("maxwidth", width)
    assert height <= room.get("maxheight", height)
    assert max(width, height) > 200


def test_without_room_there_is_no_picture(client, real_alerts):
    described = ask(client, f"http://localhost/alert/ztf/{real_alerts['ztf'].alert_id}", maxwidth=50).json
    assert described["type"] == "link"
    assert {"url", "width", "html", "thumbnail_url"}.isdisjoint(described)


def test_the_picture_is_drawn_as_the_address_says(client, real_alerts):
    page = f"http://localhost/alert/ztf/{real_alerts['ztf'].alert_id}?stretch=log&cmap=viridis&zoom=2&kernel=gauss"
    image = tags(client.get(page).text)["og:image"]
    assert image.endswith(".png?stretch=log&cmap=viridis")
    assert ask(client, page).json["url"] == image
    size_of(client, image)
    hostile = page.replace("viridis", '"><script>')
    assert tags(client.get(hostile).text)["og:image"].endswith(".png")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://localhost/alert/ztf/820128985515010010", 200),
        ("https://localhost/alert/ztf/820128985515010010", 200),
        ("https://localhost:443/alert/ztf/820128985515010010", 200),
        ("http://LOCALHOST/alert/ztf/820128985515010010#there", 200),
        ("http://localhost:8087/alert/ztf/820128985515010010", 404),
        ("http://elsewhere.example/alert/ztf/820128985515010010", 404),
        ("http://localhost@elsewhere.example/alert/ztf/820128985515010010", 404),
        ("http://localhost.elsewhere.example/alert/ztf/820128985515010010", 404),
        ("http://[/alert/ztf/820128985515010010", 404),
        ("http://localhost/alert/ztf/1", 404),
        ("http://localhost/alert/ztf/../../etc/passwd", 404),
        ("http://localhost/alert/ztf/%2e%2e%2f", 404),
        ("http://localhost/alert/none/1", 404),
        ("http://localhost/object/ztf/ZTF00aaaaaaa", 404),
        ("http://localhost/status", 404),
        ("http://localhost", 404),
        ("http://localhost/v1/surveys", 404),
        ("javascript:alert(1)", 400),
        ("", 400),
    ],
)
def test_only_our_own_pages_are_described(client, url, status):
    answer = ask(client, url)
    assert answer.status_code == status
    assert answer.mimetype == ("application/json" if status == 200 else "application/problem+json")
    if status == 200:
        assert answer.json["url"].startswith(f"{url[: url.index(':')]}://localhost/v1/")


def test_the_service_may_stand_behind_a_proxy(client, real_alerts):
    seen = {"HTTP_HOST": "stamps.example", "SCRIPT_NAME": "/broker"}
    page = f"https://stamps.example/broker/alert/ztf/{real_alerts['ztf'].alert_id}"
    described = client.get("/oembed", query_string={"url": page}, environ_overrides=seen).json
    assert described["url"].startswith("https://stamps.example/broker/v1/stamps/ztf/")
    assert described["provider_url"] == "https://stamps.example/broker/"
    outside = page.replace("/broker", "")
    assert client.get("/oembed", query_string={"url": outside}, environ_overrides=seen).status_code == 404


def test_other_formats_are_not_there(client, real_alerts):
    answer = ask(client, f"http://localhost/alert/ztf/{real_alerts['ztf'].alert_id}", format="xml")
    assert (answer.status_code, answer.json["code"]) == (501, "not-implemented")


def test_cards_say_what_everybody_may_know(restricted, real_alerts):
    real = real_alerts["atlas"]
    summary = real.alert.summary()
    url = f"http://localhost/alert/atlas/{real.alert_id}"
    for headers in ({}, token(atlas=["stamps", "metadata", "packets"])):
        found = tags(restricted.get(url, headers=headers).text)
        described = restricted.get("/oembed", query_string={"url": url}, headers=headers)
        assert described.headers["Cache-Control"].startswith("public")
        assert size_of(restricted, described.json["url"]) == (described.json["width"], described.json["height"])
        for said in (*found.values(), described.text):
            for secret in (real.object_id, f"{summary.magnitude:.2f}", "MJD", "band"):
                assert secret not in said


def test_nothing_is_said_of_restricted_objects(restricted, real_alerts):
    url = f"http://localhost/object/atlas/{real_alerts['atlas'].object_id}"
    for headers in ({}, token(atlas=["stamps"]), token(atlas=["stamps", "metadata"])):
        answer = restricted.get("/oembed", query_string={"url": url}, headers=headers)
        assert answer.status_code in {401, 403}
        assert real_alerts["atlas"].alert_id not in answer.text
    page = restricted.get(url, headers=token(atlas=["stamps", "metadata"]))
    assert page.status_code == 200
    assert "og:" not in page.text


def test_the_component_is_kept_for_minutes_only(client):
    with client.get("/embed/alert-stamps.js") as answer:
        assert b"customElements" in answer.data
    assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    with client.get("/embed/alert-stamps.js", headers={"If-None-Match": answer.headers["ETag"]}) as again:
        assert again.status_code == 304
