"""Health, metrics, logs, and the API's own description."""

import json
import logging
import re
import socket
import time

import pytest
from openapi_spec_validator import validate

from stamp_service.logs import JsonFormatter


def test_live(client):
    assert client.get("/v1/health/live").json["status"] == "ok"


def test_ready(client):
    answer = client.get("/v1/health/ready")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "stores": {"local": "ok"}, "index": "ok"}


def test_ready_though_the_index_is_away(make_app):
    client = make_app(filled=False, index_url="sqlite:////nowhere/index.sqlite").test_client()
    answer = client.get("/v1/health/ready")
    assert answer.status_code == 200
    assert answer.json["status"] == "degraded"
    assert answer.json["index"] == "the index could not be asked"


def test_ready_though_the_index_hangs(make_app):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/index"
        client = make_app(filled=False, index_url=url, index_timeout_s=2).test_client()
        started_s = time.monotonic()
        for _ in range(2):
            answer = client.get("/v1/health/ready")
            assert (answer.status_code, answer.json["status"]) == (200, "degraded")
        # The first question is still open, and there is no second.
        assert time.monotonic() - started_s < 4


def test_not_ready_while_a_store_is_away(make_app):
    away = {"ztf_bucket_name": "alerts", "s3_endpoint_url": "http://127.0.0.1:9", "s3_attempts": 1}
    answer = make_app(filled=False, **away).test_client().get("/v1/health/ready")
    assert answer.status_code == 503
    assert answer.json["stores"]["local"] == "ok"
    assert answer.json["stores"]["s3"] != "ok"


def test_metrics_tell_what_happened(make_app, real_alerts):
    client = make_app().test_client()
    ztf = real_alerts["ztf"]
    for path in (f"/v1/stamps/ztf/{ztf.alert_id}/science.png", "/v1/stamps/ztf/999/science.png"):
        client.get(path)
        client.get(path)
    text = client.get("/metrics").text

    def value(sample):
        (found,) = re.findall(rf"^{re.escape(sample)} (.*)$", text, re.MULTILINE)
        return float(found)

    assert value('stamp_store_lookup_seconds_count{outcome="hit",store="local"}') == 1
    assert value('stamp_store_lookup_seconds_count{outcome="absent",store="local"}') == 2
    assert value("stamp_decode_seconds_count") == 1
    assert value("stamp_draw_seconds_count") == 1
    rule = "/v1/stamps/<survey>/<alert_id>/<any(science, template, difference):kind>"
    assert f'url_rule="{rule}' in text
    assert ztf.alert_id not in text  # labels stay few


def test_request_ids(client):
    assert client.get("/v1/surveys", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    for hostile in ("a b", "x" * 100, "<script>"):
        given = client.get("/v1/surveys", headers={"X-Request-ID": hostile}).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{16}", given)


def test_one_log_line_per_request(client, capfd):
    logger = logging.getLogger("stamp_service.requests")
    logger.setLevel(logging.INFO)
    try:
        client.get("/v1/alerts/ztf/999?x=1", headers={"X-Request-ID": "abc-2"})
    finally:
        logger.setLevel(logging.NOTSET)
    (line,) = map(json.loads, capfd.readouterr().err.splitlines())
    assert line["request_id"] == "abc-2"
    assert line["path"] == "/v1/alerts/ztf/999"
    assert (line["method"], line["query"], line["status"]) == ("GET", "x=1", 404)
    assert line["duration_ms"] > 0


def test_other_log_lines_are_json_too():
    record = logging.LogRecord("stamp_service.web", logging.ERROR, "", 1, "lost %s", ("it",), None)
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "stamp_service.web", "lost it")


@pytest.fixture(scope="module")
def document(make_app):
    return make_app(write_tokens=("token",)).test_client().get("/openapi.json").json


def test_document_is_valid(document):
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described(make_app, document):
    app = make_app(write_tokens=("token",))
    undocumented = {"/metrics", "/static/<path:filename>", "/openapi.json", "/docs"}
    pages = {"viewer", "assets", "embedding"}
    rules = {
        rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.partition(".")[0] not in pages
    } - undocumented
    described = {re.sub(r"<(?:[^:<>]*:)?([a-z_]+)>", r"{\1}", rule) for rule in rules}
    assert described == set(document["paths"])


def test_parameters_are_described(document):
    operation = document["paths"]["/v1/stamps/{survey}/{alert_id}/{kind}.{form}"]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert parameters["survey"]["schema"]["enum"] == ["ztf", "atlas", "lsst"]
    assert parameters["kind"]["schema"]["enum"] == ["difference", "science", "template"]
    assert parameters["size"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 4096}
    assert all(parameter["description"] for parameter in parameters.values() if parameter["in"] == "query")


def test_documentation_page_loads_nothing_from_elsewhere(client, document):
    page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)
    for path in client.get("/openapi.json").json["paths"]:
        assert f"<code>{path}</code>" in page.text
    for link in re.findall(r'href="([^"]+)"', page.text):
        with client.get(link) as answer:  # closes the file that a style sheet comes from
            assert answer.status_code == 200


def test_settings_reach_the_services(make_app):
    assert make_app(packet_cache_bytes=5).extensions["stamp_service"].settings.packet_cache_bytes == 5
