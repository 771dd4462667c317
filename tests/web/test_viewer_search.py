"""The page of recent alerts and of search, without a browser."""

import itertools
import random
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote

import jwt
import pytest

from stamp_service.index import AlertIndex, Cone, IndexedAlert
from stamp_service.probabilities import ClassProbability, NewObject, ObjectClassification, open_probabilities
from stamp_service.web.viewer.newest import Wanted, list_newest

KEY = "k" * 32
SURVEYS = ("atlas", "lsst", "ztf")


def row(survey: str, number: int, **fields: object) -> IndexedAlert:
    """Make a row; what is not said is as it is with others."""
    values = {
        "object_id": f"ZTF18aaaaaa{'abcdefg'[number % 7]}",
        "time_mjd": 60000.0 + number,
        "ra_deg": (10.0 + number / 10) % 360,
        "dec_deg": 20.0,
        "band": "g",
        "magnitude": 18.5,
        "flux_njy": None,
        "kinds": ("science", "difference"),
        "place": "local",
        "real_bogus": number % 10 / 10,
    }
    return IndexedAlert(survey=survey, alert_id=str(number), **(values | fields))


def likeliest(class_name: str) -> list[ObjectClassification]:
    return [ObjectClassification("stamps", "1.0", (ClassProbability(class_name, 0.875, 1),))]


@pytest.fixture(scope="module")
def rows():
    """Alerts of three surveys; one has most of them, some have the same time, some none."""
    draw = random.Random(3)
    times = [None, *(60000.0 + draw.randrange(300) / 10 for _ in range(180))]
    counts = {"ztf": 70, "atlas": 25, "lsst": 5}
    return [
        row(survey, 1000 + number, time_mjd=draw.choice(times))
        for survey, count in counts.items()
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def index(rows, make_app):
    found: AlertIndex = make_app(filled=False).extensions["stamp_service"].index
    found.add(rows)
    return found


def all_of(index: AlertIndex, wanted: Wanted, look_up=lambda alerts: {}) -> list[IndexedAlert]:
    """Follow pages to their end."""
    found, after = [], None
    for _ in range(1000):
        listing = list_newest(index, wanted, look_up, after)
        assert len(listing.alerts) <= wanted.limit
        found += listing.alerts
        after = listing.after
        if after is None:
            return found
    raise AssertionError("there is no end")


def newest_first(rows):
    return sorted(rows, key=lambda one: -1e9 if one.time_mjd is None else one.time_mjd, reverse=True)


class TestNewest:
    @pytest.mark.parametrize("limit", [1, 7, 50, 1000])
    def test_pages_have_every_alert_once_and_newest_first(self, index, rows, limit):
        found = all_of(index, Wanted(SURVEYS, limit=limit))
        assert [one.time_mjd for one in found] == [one.time_mjd for one in newest_first(rows)]
        assert {(one.survey, one.alert_id) for one in found} == {(one.survey, one.alert_id) for one in rows}

    @pytest.mark.parametrize(
        "asked",
        [
            {"since_mjd": 60003.0, "until_mjd": 60020.0},
            {"least_real_bogus": 0.7},
            {"cone": Cone(112.0, 20.0, 3600 * 3)},
            {"object_id": "ZTF18aaaaaac"},
            {"object_id": "ZTF18aaaaaac", "since_mjd": 60010.0, "least_real_bogus": 0.3},
        ],
        ids="-".join,
    )
    def test_filters(self, index, rows, asked):
        def is_wanted(one):
            at = -1e9 if one.time_mjd is None else one.time_mjd
            return (
                asked.get("since_mjd", -1e10) <= at < asked.get("until_mjd", 1e10)
                and one.real_bogus >= asked.get("least_real_bogus", 0)
                and one.object_id == asked.get("object_id", one.object_id)
                and ("cone" not in asked or asked["cone"].contains(one.ra_deg, one.dec_deg))
            )

        expected = {(one.survey, one.alert_id) for one in rows if is_wanted(one)}
        found = all_of(index, Wanted(SURVEYS, limit=6, **asked))
        assert 0 < len(expected) < len(rows)
        assert len(found) == len(expected)
        assert {(one.survey, one.alert_id) for one in found} == expected

    def test_a_class_is_looked_for_among_many_alerts(self, index, rows):
        def look_up(alerts):
            return {("ztf", one.object_id): likeliest("SN") for one in alerts if one.object_id.endswith("c")}

        found = all_of(index, Wanted(SURVEYS, class_name="sn", limit=4), look_up)
        expected = [one for one in rows if one.survey == "ztf" and one.object_id.endswith("c")]
        assert [one.time_mjd for one in found] == [one.time_mjd for one in newest_first(expected)]
        assert all_of(index, Wanted(SURVEYS, class_name="AGN", limit=4), look_up) == []


@pytest.fixture(scope="module")
def app(make_app):
    """Real alerts, 60 rows of ZTF, and a classifier's word on one object."""
    app = make_app()
    here = app.extensions["stamp_service"]
    here.index.add(
        row("ztf", 10_000 + number, object_id=f"ZTF18{'bbbbbb'}{'abcdef'[number % 6]}") for number in range(60)
    )
    tables = open_probabilities(here.settings, 5.0)
    tables.add(
        [(NewObject("ZTF18bbbbbba", 1, 2, None, None, 58000.0, 10.0, 20.0), {"SN": 0.875, "AGN": 0.125})],
        "stamps",
        "1",
    )
    tables.close()
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def names_on(answer):
    return re.findall(r'data-survey="(\w+)" data-alert-id="([^"]+)"', answer.text)


def listed(client, path):
    """Follow the links to the next page as a reader without scripts does."""
    found = []
    for _ in itertools.repeat(None, 100):
        answer = client.get(path)
        assert answer.status_code == 200
        found += names_on(answer)
        link = re.search(r'id="following" rel="next" href="([^"]+)"', answer.text)
        if link is None:
            return found
        path = unescape(link[1])
    raise AssertionError("there is no end")


class TestPage:
    def test_every_alert_is_on_one_page_with_links_and_its_stamps_on_one_sheet(self, client, app, real_alerts):
        answer = client.get("/?limit=5")
        names = names_on(answer)
        assert len(names) == 5
        assert len(listed(client, "/?limit=5")) == len(set(listed(client, "/"))) == 60 + len(real_alerts)
        assert all(f'href="/alert/{survey}/{alert_id}"' in answer.text for survey, alert_id in names)
        sheet = unescape(re.search(r'data-sheet="([^"]+)"', answer.text)[1])
        assert [tuple(name.split("/")) for name in re.search("alerts=([^&]+)", sheet)[1].split(",")] == names
        assert client.get(sheet).status_code == 200
        assert "style=" not in answer.text

    def test_what_is_said_of_an_alert(self, client, real_alerts):
        real = real_alerts["ztf"]
        summary = real.alert.summary()
        text = client.get(f"/?object={real.object_id}").text
        assert f'href="/object/ztf/{real.object_id}"' in text
        assert f"{summary.band} {summary.magnitude:.2f} mag" in text
        assert "2019-04-01" in text
        assert f"rb {summary.real_bogus:.2f}" in text

    def test_a_class_is_shown_and_searched(self, client):
        assert 'SN <span class="number">0.88</span>' in client.get("/?since=60001&survey=ztf").text
        found = listed(client, "/?class=sn&limit=3")
        assert {alert_id for _, alert_id in found} == {str(10_000 + number) for number in range(0, 60, 6)}
        assert "No alert is like that" in client.get("/?class=AGN").text

    def test_filters_stay_on_the_next_page(self, client):
        found = listed(client, "/?survey=ztf&since=2050-07-13&real_bogus=0.5&limit=4&q=")
        assert {alert_id for _, alert_id in found} == {
            str(10_000 + number) for number in range(60) if 60_000 + 10_000 + number >= 69_991 and number % 10 >= 5
        }

    @pytest.mark.parametrize(
        "query",
        [
            "since=yesterday",
            "until=20260131",
            "cone=everywhere",
            "cone=1,95,3",
            "object='; DROP TABLE",
            "survey=none",
            "real_bogus=2",
            "real_bogus=nan",
            "limit=0",
            "limit=101",
            "after=%00",
            "after=ztf.AAAA",
            f"object={'1' * 200}",
            f"q={'1' * 201}",
        ],
    )
    def test_what_makes_no_sense_is_said_on_the_page(self, client, query):
        answer = client.get(f"/?{query}")
        assert answer.status_code == 400
        assert '<p class="notice">' in answer.text

    def test_nothing_that_was_typed_becomes_markup(self, client):
        bad = '"><script>alert(1)</script>'
        for name in ("q", "since", "cone", "object", "class", "survey"):
            assert "<script>alert" not in client.get("/", query_string={name: bad}).text

    @pytest.mark.parametrize("path", ["/", "/?q=what+is+this", "/status", "/alert/ztf/1", "/alert/none/1"])
    def test_nothing_in_a_page_runs_or_styles_by_itself(self, client, path):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.mimetype == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        runs = r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(?: src=|application/json))"
        assert re.findall(runs, answer.text) == []

    def test_no_alerts_at_all(self, make_app):
        answer = make_app(filled=False).test_client().get("/")
        assert answer.status_code == 200
        assert "There are no alerts yet" in answer.text


class TestBox:
    def test_an_id_leads_to_its_page(self, client, real_alerts):
        for real in real_alerts.values():
            answer = client.get("/", query_string={"q": f" {real.survey} {real.alert_id} "})
            page = f"/alert/{real.survey}/{real.alert_id}"
            if real.alert_id == real.object_id:  # Rubin names an object after its first alert
                assert f'<li><a href="{page}"' in answer.text
            else:
                assert (answer.status_code, answer.location) == (302, page)
        real = real_alerts["ztf"]
        assert client.get(f"/?q={real.alert_id}").location == f"/alert/ztf/{real.alert_id}"
        assert client.get(f"/?q={real.object_id}").location == f"/object/ztf/{real.object_id}"

    def test_an_alert_that_is_not_indexed_is_found_in_the_store(self, make_app, real_alerts):
        app = make_app()
        real = real_alerts["ztf"]
        index = app.extensions["stamp_service"].index
        with index._engine().begin() as connection:
            connection.exec_driver_sql("DELETE FROM alerts")
        assert app.test_client().get(f"/?q={real.alert_id}").location == f"/alert/ztf/{real.alert_id}"

    def test_an_id_of_two_surveys_is_a_choice(self, make_app):
        app = make_app(filled=False)
        number = "1234567890123456789"
        app.extensions["stamp_service"].index.add(
            [row("ztf", int(number)), row("atlas", 1, object_id=number), row("lsst", 1, object_id=number)]
        )
        answer = app.test_client().get(f"/?q={number}")
        assert answer.status_code == 200
        links = re.findall(r'<li><a href="(/(?:alert|object)/[^"]+)"', answer.text)
        assert sorted(links) == [f"/alert/ztf/{number}", f"/object/atlas/{number}", f"/object/lsst/{number}"]
        assert "several things" in answer.text

    def test_a_place_is_a_cone(self, client, real_alerts):
        real = real_alerts["ztf"]
        at = real.alert.summary()
        answer = client.get("/", query_string={"q": f"{at.ra_deg} {at.dec_deg} 2"})
        assert names_on(answer) == [("ztf", real.alert_id)]
        assert f'value="{at.ra_deg:.7f},{at.dec_deg:.7f},2"' in answer.text
        found = listed(client, "/?limit=20&q=" + quote(f"{at.ra_deg} {at.dec_deg} 180 deg"))
        assert len(found) == 60 + len(real_alerts)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("what is this?", "neither an id nor a position"),
            ("400 95", "neither an id nor a position"),
            ("77", "Nothing here is called 77"),
            ("ZTF99zzzzzzz", "Nothing here is called ZTF99zzzzzzz"),
            ("\0", "neither an id nor a position"),
        ],
    )
    def test_what_is_nothing_is_said_kindly_with_examples_that_work(self, client, text, said):
        answer = client.get("/", query_string={"q": text})
        assert answer.status_code == 200
        assert said in answer.text
        examples = [unescape(link) for link in re.findall(r'<dd><a class="number" href="([^"]+)"', answer.text)]
        assert len(examples) == 7
        for link in examples:
            example = client.get(link)
            assert example.status_code == 302 or "Within" in example.text, link


class TestTroubles:
    def test_an_index_that_is_away(self, make_app, real_alerts):
        app = make_app(index_url="sqlite:////nowhere/index.sqlite")
        client = app.test_client()
        answer = client.get("/")
        assert answer.status_code == 503
        assert "cannot be listed now" in answer.text
        assert "nowhere" not in answer.text
        # Ids are found still.
        real = real_alerts["ztf"]
        assert client.get(f"/?q={real.alert_id}").location == f"/alert/ztf/{real.alert_id}"
        answer = client.get("/?q=77")
        assert "could not be found out" in answer.text

    def test_classes_that_cannot_be_read(self, make_app):
        app = make_app(db_engine="postgresql", db_host="127.0.0.1", db_port=9, db_name="none")
        client = app.test_client()
        answer = client.get("/")
        assert answer.status_code == 200
        assert names_on(answer)
        assert "Classes are not shown" in answer.text
        assert client.get("/?class=SN").status_code == 503


def test_restricted_surveys_are_left_out_for_readers_without_a_token(make_app, real_alerts):
    client = make_app(jwt_secret=KEY).test_client()

    def get(path, *permissions):
        claims = {"exp": datetime.now(UTC) + timedelta(hours=1), "surveys": {"atlas": permissions}}
        token = jwt.encode(claims, KEY, "HS256")
        return client.get(path, headers={"Authorization": f"Bearer {token}"} if permissions else {})

    real = real_alerts["atlas"]
    for permissions in ((), ("stamps",), ("metadata", "packets")):
        answer = get("/", *permissions)
        # Stamps are everybody's; what was measured is not.
        is_listed = "metadata" in permissions
        assert ("atlas" in {survey for survey, _ in names_on(answer)}) == is_listed
        assert ("ATLAS" in answer.text) == is_listed
        assert (real.object_id in answer.text) == is_listed
    assert "Authorization" in get("/").headers["Vary"]
    assert get("/").headers["Cache-Control"] == "private, no-cache"
    assert get("/?survey=atlas").status_code == 400
    assert get(f"/?object={real.object_id}").text.count(real.alert_id) == 0
    assert get(f"/?q={real.alert_id}").location == f"/alert/atlas/{real.alert_id}"
    assert get(f"/?q={real.object_id}").status_code == 200
    assert get(f"/?q={real.object_id}", "metadata").location == f"/object/atlas/{real.object_id}"
    assert client.get("/", headers={"Authorization": "Bearer x"}).status_code == 200
