"""The page of an object, and its animation."""

import io

import pytest
from PIL import Image

from stamp_service.demo import demo_alerts
from stamp_service.packets import recognise


@pytest.fixture(scope="module")
def served(make_app):
    """A client of a service with the synthetic alerts, and the alerts of its first object."""
    app = make_app(filled=False)
    alerts = list(demo_alerts("ztf", objects=1))
    here = app.extensions["stamp_service"]
    for alert in alerts:
        here.resolver.put(recognise(here.surveys, alert.packet, here.schemas))
    return app.test_client(), alerts


def test_the_page_names_every_alert(served):
    client, alerts = served
    answer = client.get(f"/object/ztf/{alerts[0].object_id}")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    for alert in alerts:
        assert f'href="/alert/ztf/{alert.alert_id}"' in answer.text
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("form", ["gif", "png"])
def test_the_animation_has_a_frame_for_each_alert(served, form):
    client, alerts = served
    url = f"/object/ztf/{alerts[0].object_id}/difference.{form}?frame_ms=300&size=126&cmap=viridis"
    answer = client.get(url)
    assert (answer.status_code, answer.mimetype) == (200, f"image/{form}")
    picture = Image.open(io.BytesIO(answer.data))
    assert (picture.n_frames, picture.size, picture.info["duration"]) == (len(alerts), (126, 126), 300)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/object/ztf/ZTF00aaaaaaa", 404),
        ("/object/ztf/<script>", 400),
        ("/object/none/1", 400),
        ("/object/ztf/ZTF00aaaaaaa/science.gif", 404),
        ("/object/ztf/{oid}/science.gif?frame_ms=1", 400),
        ("/object/ztf/{oid}/science.gif?size=4000", 400),
        ("/object/ztf/{oid}/science.webm", 404),
    ],
)
def test_what_cannot_be_shown_is_a_page_that_says_so(served, path, status):
    client, alerts = served
    answer = client.get(path.replace("{oid}", alerts[0].object_id))
    assert answer.status_code == status
    assert "<script>" not in answer.text.split("</head>")[-1].replace("&lt;script&gt;", "")


def test_a_restricted_object_needs_a_token(make_app):
    client = make_app(jwt_secret="secret" * 8).test_client()
    assert client.get("/object/atlas/1010240020045410432").status_code == 401
    assert client.get("/object/atlas/1010240020045410432/science.gif").status_code == 401
