"""Where requests to a bucket go: as boto3 sends them. Nothing is connected here."""

import io

import pytest
import urllib3
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from stamp_service.remote.s3_clients import locate_bucket, open_clients
from stamp_service.stores import S3Access


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def locate(bucket="packets", **access):
    """Give the address that obstore would ask, and the one that boto3 is about to ask."""
    client = open_clients(S3Access(**access)).boto
    asked = []

    def answer(request, **kwargs):
        asked.append(request.url)
        return AWSResponse(request.url, 404, {}, urllib3.HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", answer)
    with pytest.raises(ClientError):
        client.head_object(Bucket=bucket, Key="1.avro")
    endpoint, virtual_hosted = locate_bucket(client, bucket)
    return f"{endpoint}/1.avro" if virtual_hosted else f"{endpoint}/{bucket}/1.avro", asked[0]


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", "eu-west-1", "cn-north-1"])
def test_amazon(region):
    mine, boto3s = locate(region=region)
    assert mine == boto3s
    assert mine.startswith("https://packets.s3.")


@pytest.mark.parametrize("bucket", ["with.dots", "Capitals"])
def test_buckets_that_are_no_host_names_go_into_the_path(bucket):
    mine, boto3s = locate(bucket, region="us-west-2")
    assert mine == boto3s == f"https://s3.us-west-2.amazonaws.com/{bucket}/1.avro"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "https://minio.example.org", "https://ceph.example.org/s3/"]
)
def test_others(url):
    mine, boto3s = locate(endpoint_url=url)
    assert mine == boto3s == f"{url.rstrip('/')}/packets/1.avro"


def test_the_endpoint_of_aws_configuration(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://ceph.example.org")
    mine, boto3s = locate()
    assert mine == boto3s == "https://ceph.example.org/packets/1.avro"


def test_the_style_of_aws_configuration(tmp_path):
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\ns3 =\n  addressing_style = virtual\n")
    mine, boto3s = locate(endpoint_url="https://oss.example.org")
    assert mine == boto3s == "https://packets.oss.example.org/1.avro"


def test_without_any_region():
    mine, boto3s = locate()
    assert mine == boto3s == "https://packets.s3.amazonaws.com/1.avro"
