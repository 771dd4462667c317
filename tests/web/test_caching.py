"""Entity tags known before decoding, ranges, HEAD, and what caches may keep."""

import pytest


@pytest.fixture
def url(real_alerts):
    return f"/v1/stamps/ztf/{real_alerts['ztf'].alert_id}/science.png"


def test_answers_may_be_kept_for_ever(client, url, real_alerts):
    packet = f"/v1/alerts/ztf/{real_alerts['ztf'].alert_id}.avro"
    old = f"/get_stamp?candid={real_alerts['ztf'].alert_id}&type=science&format=png"
    for path in (url, packet, old):
        headers = client.get(path).headers
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert headers["ETag"].startswith('"')  # strong


def test_tag_is_known_without_a_store(make_app, url):
    app = make_app(packet_cache_bytes=0, picture_cache_bytes=0)
    client = app.test_client()
    tag = client.get(url).headers["ETag"]
    store = app.extensions["stamp_service"].settings.data_dir / "alerts"
    store.rename(store.with_name("away"))
    answer = client.get(url, headers={"If-None-Match": f'"other", {tag}'})
    assert answer.status_code == 304
    assert answer.data == b""
    assert answer.headers["ETag"] == tag
    assert client.get(url).status_code in {404, 503}


def test_tag_depends_on_everything_that_decides_the_bytes(client, url, real_alerts):
    paths = [
        url,
        f"{url}?stretch=log",
        f"{url}?cmap=viridis",
        url.replace("science", "template"),
        url.replace(".png", ".fits"),
        url.replace(".png", ".fits.gz"),
        f"/v1/alerts/ztf/{real_alerts['ztf'].alert_id}",
        f"/v1/alerts/ztf/{real_alerts['ztf'].alert_id}.avro",
    ]
    tags = [client.get(path).headers["ETag"] for path in paths]
    assert len(set(tags)) == len(tags)


def test_tag_is_the_same_in_every_process(make_app, client, url):
    assert make_app().test_client().get(url).headers["ETag"] == client.get(url).headers["ETag"]


def test_star_asks_the_store(client, url):
    assert client.get(url, headers={"If-None-Match": "*"}).status_code == 304
    assert client.get("/v1/alerts/ztf/999", headers={"If-None-Match": "*"}).status_code == 404


def test_range(client, url):
    whole = client.get(url).data
    part = client.get(url, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.data == whole[10:20]
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    beyond = client.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416


def test_range_of_an_older_answer_gives_all(client, url):
    answer = client.get(url, headers={"Range": "bytes=0-3", "If-Range": '"old"'})
    assert answer.status_code == 200


def test_head(client, url):
    whole, head = client.get(url), client.head(url)
    assert head.status_code == 200
    assert head.data == b""
    for name in ("ETag", "Content-Length", "Content-Type", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


def test_pages_of_other_origins_may_read(client, url):
    answer = client.get(url, headers={"Origin": "https://portal.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    asked = {"Origin": "https://portal.example", "Access-Control-Request-Headers": "authorization"}
    preflight = client.options(url, headers=asked)
    assert preflight.status_code == 200
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]


def test_drawn_pictures_are_kept_up_to_a_size(make_app, real_alerts, url):
    app = make_app(picture_cache_bytes=10_000_000)
    client = app.test_client()
    first = client.get(url)
    store = app.extensions["stamp_service"].settings.data_dir / "alerts"
    store.rename(store.with_name("away"))
    assert client.get(url).data == first.data
