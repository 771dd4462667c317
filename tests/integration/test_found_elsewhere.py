"""A bucket, MARS behind it, and the resolver over both, as the settings make them."""

import pytest

from stamp_service.errors import AlertNotFound, PacketCorrupt
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.stores import open_stores
from tests.contracts.store import assert_unavailable
from tests.integration.services.faults import http, s3_error

ALERT_ID, OBJECT_ID = "820128985515010010", "ZTF18acuwwpp"
KEY = "010010515589821028.avro"


@pytest.fixture
def packet(shared_data):
    return (shared_data / f"alerts/ztf/{ALERT_ID}.avro").read_bytes()


@pytest.fixture
def resolve(surveys, mars_server, tmp_path):
    """Make resolvers over a bucket and MARS."""
    made = []

    def make(s3_url, bucket="packets", **values):
        settings = Settings(
            data_dir=tmp_path,
            ztf_bucket_name=bucket,
            s3_endpoint_url=s3_url,
            s3_attempts=1,
            mars_url=mars_server.url,
            **values,
        )
        made.append(Resolver(open_stores(settings, surveys), cache_bytes=0))
        return made[-1]

    yield make
    for resolver in made:
        resolver.close()


def test_is_written_back_to_the_bucket_byte_for_byte(
    resolve, s3_url, bucket, s3_client, mars_server, surveys, packet
):
    mars_server.add(ALERT_ID, packet, OBJECT_ID)
    resolver = resolve(s3_url, bucket)
    assert resolver.packet(surveys["ztf"], ALERT_ID, OBJECT_ID) == packet
    resolver.close()
    assert s3_client.get_object(Bucket=bucket, Key=KEY)["Body"].read() == packet
    asked = len(mars_server.requests)
    assert resolver.alert(surveys["ztf"], ALERT_ID).object_id == OBJECT_ID
    assert len(mars_server.requests) == asked


def test_is_answered_while_the_bucket_is_away(resolve, fault_server, mars_server, surveys, packet):
    mars_server.add(ALERT_ID, packet, OBJECT_ID)
    s3 = fault_server(s3_error(403, "AccessDenied"))
    resolver = resolve(s3.url)
    assert resolver.packet(surveys["ztf"], ALERT_ID) == packet
    resolver.close()
    assert all(request.startswith("GET") for request in s3.requests)


def test_is_answered_though_it_cannot_be_written_back(resolve, fault_server, mars_server, surveys, packet):
    mars_server.add(ALERT_ID, packet, OBJECT_ID)
    missing = s3_error(404, "NoSuchKey")
    s3 = fault_server(*[missing] * 4, s3_error(403, "AccessDenied"))
    resolver = resolve(s3.url)
    assert resolver.packet(surveys["ztf"], ALERT_ID) == packet
    resolver.close()
    assert s3.requests[-1].startswith("PUT")


def test_is_unavailable_while_the_bucket_is_away_and_mars_lacks_it(resolve, fault_server, surveys):
    resolver = resolve(fault_server(s3_error(403, "AccessDenied")).url)
    assert_unavailable(lambda: resolver.packet(surveys["ztf"], ALERT_ID), says="S3 denied access")


def test_is_absent_when_both_say_so(resolve, s3_url, bucket, surveys):
    with pytest.raises(AlertNotFound):
        resolve(s3_url, bucket).packet(surveys["ztf"], ALERT_ID)


@pytest.mark.parametrize("body", [b"<html>busy</html>", b""])
def test_is_neither_kept_nor_handed_out_if_it_is_no_packet(
    resolve, s3_url, bucket, s3_client, mars_server, surveys, body
):
    mars_server.add(ALERT_ID, body, OBJECT_ID)
    resolver = resolve(s3_url, bucket)
    with pytest.raises(PacketCorrupt):
        resolver.packet(surveys["ztf"], ALERT_ID)
    resolver.close()
    assert "Contents" not in s3_client.list_objects_v2(Bucket=bucket)


def test_health_names_who_is_away(resolve, fault_server, s3_url, bucket):
    assert resolve(s3_url, bucket).check() == {"s3": None, "mars": None, "local": None}
    problems = resolve(fault_server(http(500)).url).check()
    assert problems["s3"]
    assert problems["mars"] is None
