"""Lists of alerts: of an object, and of a time and a place."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import jwt
import pytest

from stamp_service.demo import demo_alerts
from stamp_service.packets import open_alert

OBJECT = "ZTF25demoaaa"
FIELDS = {
    "survey",
    "alert_id",
    "object_id",
    "time_mjd",
    "ra_deg",
    "dec_deg",
    "band",
    "magnitude",
    "flux_njy",
    "real_bogus",
}


@pytest.fixture(scope="module")
def app(make_app):
    """All real alerts, and ZTF's synthetic ones."""
    app = make_app()
    here = app.extensions["stamp_service"]
    ztf = here.surveys["ztf"]
    here.resolver.put_each([open_alert(ztf, alert.alert_id, alert.packet) for alert in demo_alerts("ztf")])
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def listed(client, path):
    """Follow pages to their end."""
    found = []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.json
        found += answer.json["alerts"]
        path = answer.json["next"]
    return found


def times(alerts):
    return [alert["time_mjd"] for alert in alerts]


class TestObjects:
    def test_has_all_alerts_oldest_first(self, client):
        answer = client.get(f"/v1/objects/ztf/{OBJECT}/alerts")
        assert (answer.json["survey"], answer.json["object_id"]) == ("ztf", OBJECT)
        alerts = answer.json["alerts"]
        expected = {alert.alert_id for alert in demo_alerts("ztf") if alert.object_id == OBJECT}
        assert {alert["alert_id"] for alert in alerts} == expected
        assert len(alerts) == 6
        assert times(alerts) == sorted(times(alerts))

    @pytest.mark.parametrize("name", ["ztf", "atlas", "lsst", "ztf_edge", "elasticc"])
    def test_says_what_an_alerts_metadata_say(self, client, real_alerts, name):
        real = real_alerts[name]
        alerts = client.get(f"/v1/objects/{real.survey}/{real.object_id}/alerts").json["alerts"]
        (alert,) = [alert for alert in alerts if alert["alert_id"] == real.alert_id]
        metadata = client.get(alert["links"]["metadata"]).json
        assert metadata | alert == metadata
        assert set(alert) == FIELDS | {"kinds", "links"}
        links = alert["links"]
        for link in (links["packet"], *links["stamps"].values(), *([links["triptych"]] if alert["kinds"] else [])):
            assert client.get(link).status_code == 200

    def test_of_which_there_is_none(self, client):
        answer = client.get("/v1/objects/ztf/ZTF18aaaaaaa/alerts")
        assert (answer.status_code, answer.json["code"]) == (404, "object-not-found")

    @pytest.mark.parametrize(
        ("path", "parameter"), [("ztf/..%2f..%2fx", "object_id"), ("ztf/1", "object_id"), ("x/1", "survey")]
    )
    def test_that_cannot_be(self, client, path, parameter):
        answer = client.get(f"/v1/objects/{path}/alerts")
        assert answer.status_code in {400, 404}
        assert answer.status_code == 404 or answer.json["parameter"] == parameter


class TestSearch:
    @pytest.mark.parametrize("limit", [1, 4, 1000])
    def test_pages_have_everything_once(self, client, app, limit):
        alerts = listed(client, f"/v1/alerts/ztf?limit={limit}")
        assert len(alerts) == len({alert["alert_id"] for alert in alerts}) == 17 + 2
        assert times(alerts) == sorted(times(alerts))

    def test_times_are_a_half_open_range_however_they_are_written(self, client):
        everything = listed(client, "/v1/alerts/ztf")
        since, until = everything[3]["time_mjd"], everything[9]["time_mjd"]
        wanted = [alert for alert in everything if since <= alert["time_mjd"] < until]
        assert 0 < len(wanted) < 19
        assert listed(client, f"/v1/alerts/ztf?since={since!r}&until={until!r}&limit=2") == wanted

    @pytest.mark.parametrize("form", ["{}", "{}Z", "{}+00:00", "{}%2B00:00", "{}.000", "local"])
    def test_iso_times_are_utc_unless_they_say_more(self, client, form):
        everything = listed(client, "/v1/alerts/ztf")
        middle = everything[9]["time_mjd"]
        for minutes, expected in (-1, 10), (1, 9):
            moment = datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=middle, minutes=minutes)
            text = form.format(moment.strftime("%Y-%m-%dT%H:%M:%S"))
            if form == "local":
                text = quote((moment + timedelta(hours=5.5)).strftime("%Y-%m-%dT%H:%M:%S+05:30"))
            assert len(listed(client, f"/v1/alerts/ztf?since={text}")) == expected

    def test_a_day_is_its_first_moment(self, client):
        since = client.get("/v1/alerts/ztf?since=58484").json
        assert client.get("/v1/alerts/ztf?since=2019-01-01").json == since

    def test_a_cone(self, client, real_alerts):
        real = real_alerts["ztf"]
        at = real.alert.summary()
        (alert,) = listed(client, f"/v1/alerts/ztf?cone={at.ra_deg},{at.dec_deg},2")
        assert alert["alert_id"] == real.alert_id
        away = f"{at.ra_deg},{at.dec_deg - 1 / 60},59"
        assert listed(client, f"/v1/alerts/ztf?cone={away}") == []
        assert len(listed(client, "/v1/alerts/ztf?cone=0,+90,648000&limit=3")) == 19
        assert listed(client, f"/v1/alerts/ztf?cone={at.ra_deg},{at.dec_deg},2&until=50000") == []

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("since=yesterday", "since"),
            ("since=nan", "since"),
            ("since=inf", "since"),
            ("since=2460000.5", "since"),
            ("since=20260131", "since"),
            ("until=2026-13-01", "until"),
            (f"since={'1' * 33}", "since"),
            ("cone=1,2", "cone"),
            ("cone=1,2,3,4", "cone"),
            ("cone=a,b,c", "cone"),
            ("cone=1,91,5", "cone"),
            ("cone=1,2,0", "cone"),
            ("cone=1,2,-5", "cone"),
            ("cone=1,2,999999", "cone"),
            ("cone=1,2,1e5", "cone"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("after=AAAA", "after"),
            ("after=%00", "after"),
            ("after=", "after"),
        ],
    )
    def test_what_makes_no_sense_is_named(self, client, query, parameter):
        answer = client.get(f"/v1/alerts/ztf?{query}")
        assert (answer.status_code, answer.json["parameter"]) == (400, parameter)
        assert "pattern" not in answer.json["detail"]

    def test_the_next_page_asks_the_same(self, client):
        page = client.get("/v1/alerts/ztf?limit=2&cone=0,90,600000&since=1858-11-18&until=90000").json
        assert re.fullmatch(
            r"/v1/alerts/ztf\?since=1858-11-18&until=90000&cone=0,90,600000&limit=2&after=[\w-]+", page["next"]
        )
        assert client.get(page["next"]).status_code == 200


class TestCaching:
    PATHS = ("/v1/alerts/ztf", f"/v1/objects/ztf/{OBJECT}/alerts")

    @pytest.mark.parametrize("path", PATHS)
    def test_lasts_seconds_and_is_checked_by_tag(self, client, path):
        answer = client.get(path)
        assert answer.headers["Cache-Control"] == "public, max-age=5"
        again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert client.head(path).headers["ETag"] == answer.headers["ETag"]

    def test_the_tag_changes_with_the_list(self, make_app, real_alerts):
        app = make_app()
        client = app.test_client()
        before = client.get("/v1/alerts/ztf")
        alert = next(demo_alerts("ztf"))
        here = app.extensions["stamp_service"]
        here.resolver.put(open_alert(here.surveys["ztf"], alert.alert_id, alert.packet))
        after = client.get("/v1/alerts/ztf", headers={"If-None-Match": before.headers["ETag"]})
        assert len(after.json["alerts"]) == len(before.json["alerts"]) + 1

    def test_restricted_surveys_need_a_token_and_stay_private(self, make_app, real_alerts):
        key = "k" * 32
        client = make_app(jwt_secret=key).test_client()
        claims = {"exp": datetime.now(UTC) + timedelta(hours=1), "surveys": {"atlas": ["metadata"]}}
        token = jwt.encode(claims, key, "HS256")
        stamps_only = jwt.encode(claims | {"surveys": {"atlas": ["stamps"]}}, key, "HS256")
        for path in ("/v1/alerts/atlas", f"/v1/objects/atlas/{real_alerts['atlas'].object_id}/alerts"):
            assert client.get(path).status_code == 401
            for bearer, status in (token, 200), (stamps_only, 403):
                answer = client.get(path, headers={"Authorization": f"Bearer {bearer}"})
                assert answer.status_code == status
            answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert answer.headers["Cache-Control"] == "private, max-age=5"
            assert answer.headers["Vary"] == "Authorization"


def test_an_index_that_is_away_is_unavailable(make_app):
    client = make_app(filled=False, index_url="sqlite:////nowhere/index.sqlite").test_client()
    for path in TestCaching.PATHS:
        answer = client.get(path)
        assert (answer.status_code, answer.json["code"]) == (503, "store-unavailable")
        assert "Retry-After" in answer.headers
        assert "nowhere" not in answer.text
