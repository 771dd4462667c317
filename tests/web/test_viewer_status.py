"""The page of status: what is here, whether it answers, and what is told to whom."""

import re
import socket
import time
from datetime import UTC, datetime

import pytest


def text_of(page: str) -> str:
    """What the page says, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<main")[2].partition(">")[2]).split())


def row_of(page: str, name: str) -> str:
    """What a table says in the row of a name."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    (found,) = [text_of(f"<main>{row}") for row in rows if f">{name}<" in row]
    return found


@pytest.fixture
def silent_server():
    """Address of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_everything_is_told_of_open_surveys(client, real_alerts):
    answer = client.get("/status")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "Everything answers." in answer.text
    for name in ("ztf", "atlas", "lsst"):
        held = sum(real.survey == name for real in real_alerts.values())
        row = row_of(answer.text, name)
        assert re.search(rf"\b{held} {datetime.now(UTC):%Y-%m}-\d\d \d\d:\d\d UTC", row)
        assert "open to all" in row
    assert "answers" in row_of(answer.text, "index")
    assert "answers" in row_of(answer.text, "database of classes")
    assert re.search(r"Stamp Service \d+\.\d+", row_of(answer.text, "Stamp Service"))
    assert re.search(r"\d+\.\d+", row_of(answer.text, "numpy"))
    assert re.search(r"Classifiers demo", text_of(answer.text))


def test_how_much_there_is_of_a_restricted_survey_is_not_told(make_app):
    page = make_app(jwt_secret="secret" * 8).test_client().get("/status").text
    assert "stamps open to all; metadata, packets with a token" in row_of(page, "atlas")
    assert "not public not public" in row_of(page, "atlas")
    assert "UTC" not in row_of(page, "atlas")
    assert "UTC" in row_of(page, "ztf")


def test_an_index_that_is_away_is_named(make_app):
    app = make_app()
    here = app.extensions["stamp_service"]
    here.index.close()
    (here.settings.data_dir / "index.sqlite").write_bytes(b"no database" * 1000)
    page = app.test_client().get("/status").text
    assert "index does not answer" in text_of(page)
    assert "not known not known" in row_of(page, "ztf")
    assert str(here.settings.data_dir) not in page


def settled(client):
    """Ask for the page until everything has answered; the first time, databases are made."""
    deadline_s = time.monotonic() + 30
    while "it has not answered yet" in (page := client.get("/status").text):
        assert time.monotonic() < deadline_s
    return page


def test_a_database_that_is_away_is_named(make_app):
    app = make_app(filled=False, db_engine="postgresql", db_host="127.0.0.1", db_port=9, db_name="none")
    page = settled(app.test_client())
    assert "database of classes does not answer now" in text_of(page)
    assert "index answers" in row_of(page, "index")


@pytest.fixture
def s3_at(make_app, monkeypatch):
    """Make a client of a service whose LSST packets are in an S3 at an address."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")

    def make(url):
        s3 = {"s3_endpoint_url": url, "s3_region": "us-east-1", "s3_read_timeout_s": 2.5, "s3_attempts": 1}
        return make_app(filled=False, lsst_bucket_name="alerts", **s3).test_client()

    return make


def test_a_store_that_is_away_is_named(s3_at):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free_port = server.getsockname()[1]
    page = settled(s3_at(f"http://127.0.0.1:{free_port}"))
    assert "s3 does not answer now" in text_of(page)
    assert "s3 does not answer" in row_of(page, "s3")
    assert "local answers" in row_of(page, "local")


def test_a_store_that_hangs_does_not_hold_the_page_up(s3_at, silent_server):
    client = s3_at(silent_server)
    started_s = time.monotonic()
    page = client.get("/status").text
    assert time.monotonic() - started_s < 2
    assert "s3 does not answer it has not answered yet" in text_of(page)
