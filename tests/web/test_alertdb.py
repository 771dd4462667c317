"""Rubin's alert database API."""

import gzip
import io

import fastavro


def test_alert_in_gzipped_wire_format(client, real_alerts):
    lsst = real_alerts["lsst"]
    answer = client.get(f"/alertdb/v1/alerts/{lsst.alert_id}")
    assert answer.mimetype == "application/octet-stream"
    assert gzip.decompress(answer.data) == lsst.packet


def test_schema_reads_the_alert(client, real_alerts):
    lsst = real_alerts["lsst"]
    packet = gzip.decompress(client.get(f"/alertdb/v1/alerts/{lsst.alert_id}").data)
    schema_id = int.from_bytes(packet[1:5], "big")
    answer = client.get(f"/alertdb/v1/schemas/{schema_id}")
    assert answer.mimetype == "application/vnd.schemaregistry.v1+json"
    record = fastavro.schemaless_reader(io.BytesIO(packet[5:]), answer.json)
    assert str(record["diaSourceId"]) == lsst.alert_id


def test_container_without_a_numbered_schema(client, real_alerts):
    answer = client.get(f"/alertdb/v1/alerts/{real_alerts['elasticc'].alert_id}")
    assert answer.status_code == 404
    assert answer.json["detail"]


def test_absent(client):
    assert client.get("/alertdb/v1/alerts/999").status_code == 404
    for schema_id in ("901", "x", "-1", "9" * 30):
        assert client.get(f"/alertdb/v1/schemas/{schema_id}").status_code == 404


def test_health(client):
    assert client.get("/alertdb/v1/health").data == b"OK"
