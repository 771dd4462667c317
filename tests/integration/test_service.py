"""The whole service under gunicorn: against S3 and MARS, under fire from schemathesis, with workers that share."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import schemathesis
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from stamp_service.packets import recognise
from stamp_service.settings import Settings
from stamp_service.stores import open_schemas
from tests.integration.services.service import RunningService, running_service

TOKEN = "a-token-for-writing"
ZTF = "820128985515010010"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture
def packet(shared_data: Path) -> bytes:
    return (shared_data / f"alerts/ztf/{ZTF}.avro").read_bytes()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service as a newcomer starts it, with a token for writing."""
    with running_service(tmp_path_factory.mktemp("demo"), STAMP_WRITE_TOKENS=TOKEN) as service:
        yield service


def worker_pids(service: RunningService) -> set[int]:
    """Both workers, once they are there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
        if len(pids := {int(pid) for pid in children.split()}) == 2:
            return pids
        time.sleep(0.05)
    raise AssertionError("the service does not keep its two workers")


def test_start_up_text_names_three_addresses(demo):
    deadline = time.monotonic() + 10
    while "a packet" not in "".join(demo.printed) and time.monotonic() < deadline:
        time.sleep(0.05)
    printed = "".join(demo.printed)
    addresses = {what: re.search(rf"{what}\s+(\S+)", printed)[1] for what in ("a PNG", "a FITS", "a packet")}
    assert Image.open(io.BytesIO(requests.get(addresses["a PNG"], timeout=10).content)).format == "PNG"
    assert requests.get(addresses["a FITS"], timeout=10).content.startswith(b"SIMPLE")
    assert len(requests.get(addresses["a packet"], timeout=10).content) > 1000


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_every_route_answers_as_it_describes_itself(demo, mode):
    """Schemathesis asks what the description allows, and what it does not."""
    schema = schemathesis.openapi.from_url(f"{demo.url}/openapi.json")
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    before = worker_pids(demo)
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=15,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_described(case):
            nonlocal asked
            asked += 1
            case.call_and_validate(session=session, checks=CHECKS, timeout=20)

        answers_as_described()
    assert asked > 50
    assert worker_pids(demo) == before
    session.close()


class TestS3:
    """Against a real S3 API."""

    @pytest.fixture
    def over_s3(self, tmp_path, s3_url, bucket):
        environment = {"ZTF_BUCKET_NAME": bucket, "STAMP_S3_ENDPOINT_URL": s3_url, "STAMP_WRITE_TOKENS": TOKEN}
        with running_service(tmp_path, **environment) as service:
            yield service

    def test_put_and_get(self, over_s3, s3_client, bucket, packet):
        form = {"candid": ZTF, "survey_id": "ztf"}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{over_s3.url}/put_avro"
        answer = requests.post(url, data=form, files={"avro": packet}, headers=headers, timeout=10)
        assert answer.status_code == 201
        key = f"{ZTF[::-1]}.avro"
        assert s3_client.get_object(Bucket=bucket, Key=key)["Body"].read() == packet
        got = requests.get(f"{over_s3.url}/get_avro?candid={ZTF}", timeout=10)
        assert got.content == packet
        picture = requests.get(f"{over_s3.url}/get_stamp?candid={ZTF}&type=science&format=png", timeout=10)
        assert Image.open(io.BytesIO(picture.content)).size == (378, 378)

    def test_absent_and_unreachable_differ(self, over_s3, s3_client, bucket):
        url = f"{over_s3.url}/get_avro?candid={ZTF}"
        assert requests.get(url, timeout=10).status_code == 404
        s3_client.delete_bucket(Bucket=bucket)
        answer = requests.get(url, timeout=10)
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert requests.get(f"{over_s3.url}/v1/health/ready", timeout=10).status_code == 503
        assert requests.get(f"{over_s3.url}/v1/health/live", timeout=10).status_code == 200

    def test_what_lies_in_the_bucket_may_be_broken(self, over_s3, s3_client, bucket, packet):
        before = worker_pids(over_s3)
        bodies = {
            "11": b"",
            "12": b"not AVRO",
            "13": packet[:20_000],
            "14": b"\0\0\0\3\x84" + b"\xff" * 9 + b"\x01",
            "15": gzip.compress(bytes(40_000_000)),
            "16": packet,  # of another alert
        }
        for candid, body in bodies.items():
            s3_client.put_object(Bucket=bucket, Key=f"{candid[::-1]}.avro", Body=body)
        statuses = {
            candid: requests.get(f"{over_s3.url}/v1/stamps/ztf/{candid}/science.png", timeout=10).status_code
            for candid in bodies
        }
        assert statuses == {"11": 502, "12": 502, "13": 502, "14": 502, "15": 413, "16": 502}
        assert worker_pids(over_s3) == before


def test_found_in_mars_and_kept(tmp_path, s3_url, s3_client, bucket, mars_server, packet, shared_data):
    address = f"{mars_server.url}packets"
    found = json.loads((shared_data / "mars/found.json").read_text().replace("{avro_base}", address))
    mars_server.results[ZTF] = found["results"]
    mars_server.packets[f"/packets/2019/04/01/{ZTF}.avro"] = packet
    environment = {
        "ZTF_BUCKET_NAME": bucket,
        "STAMP_S3_ENDPOINT_URL": s3_url,
        "MARS_URL": mars_server.url,
        "STAMP_PACKET_CACHE_BYTES": "0",
    }
    with running_service(tmp_path, **environment) as service:
        url = f"{service.url}/get_avro?candid={ZTF}"
        assert requests.get(url, timeout=10).content == packet
        deadline = time.monotonic() + 10
        while not s3_client.list_objects_v2(Bucket=bucket).get("Contents") and time.monotonic() < deadline:
            time.sleep(0.05)
        mars_server.results.clear()
        assert requests.get(url, timeout=10).content == packet
        assert requests.get(f"{service.url}/get_avro?candid=999", timeout=10).status_code == 404


class TestWorkers:
    """What several processes share, and that one may die."""

    def test_metrics_add_up_over_workers(self, demo):
        sample = re.compile(r'^flask_http_request_total\{method="GET",status="200"\} (.*)$', re.MULTILINE)

        def total():
            text = requests.get(f"{demo.url}/metrics", timeout=10).text
            return float(sample.search(text)[1])

        before = total()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: requests.get(f"{demo.url}/v1/surveys", timeout=10), range(64)))
        assert total() == before + 64 + 1  # the scrape before

    def test_a_killed_worker_is_replaced(self, demo):
        victim = min(worker_pids(demo))
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while victim in worker_pids(demo):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert requests.get(f"{demo.url}/v1/surveys", timeout=10).status_code == 200


def test_many_processes_put_the_same_packet_once(demo, packet):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    barrier = threading.Barrier(8)

    def put(_):
        barrier.wait()
        form = {"candid": ZTF, "survey_id": "ztf"}
        return requests.post(
            f"{demo.url}/put_avro", data=form, files={"avro": packet}, headers=headers, timeout=20
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(put, range(8)))
    assert statuses == [200] * 7 + [201]


KINDS = ("science", "template", "difference")


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")  # ZTF's and ATLAS's cards
def test_every_real_alert(shared_data, tmp_path, surveys):
    """The folder of real alerts: added by the command, found by id, every cutout drawn and downloaded."""
    environment = os.environ | {"STAMP_DATA_DIR": str(tmp_path)}
    command = [Path(sys.executable).with_name("stamp-service"), "add", shared_data / "alerts"]
    added = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert added.returncode == 0, added.stderr
    files = [path for path in sorted((shared_data / "alerts").rglob("*")) if path.suffix in {".avro", ".wire"}]
    schemas = open_schemas(Settings(data_dir=tmp_path))
    seen: Counter[str] = Counter()
    with running_service(tmp_path, STAMP_DEMO="false") as service, requests.Session() as session:
        for path in files:
            packet = path.read_bytes()
            alert = recognise(surveys, packet, schemas)
            where = f"{alert.survey.name}/{alert.alert_id}"
            assert session.get(f"{service.url}/v1/alerts/{where}.avro", timeout=10).content == packet
            metadata = session.get(f"{service.url}/v1/alerts/{where}", timeout=10).json()
            assert metadata["object_id"] == alert.object_id
            assert metadata["kinds"] == list(alert.kinds())
            for kind in KINDS:
                picture = session.get(f"{service.url}/v1/stamps/{where}/{kind}.png", timeout=10)
                if kind not in alert.kinds():
                    assert picture.status_code == 404
                    continue
                packed = session.get(f"{service.url}/v1/stamps/{where}/{kind}.fits", timeout=10).content
                with fits.open(io.BytesIO(packed)) as hdus:
                    ny, nx = hdus[0].data.shape
                width, height = Image.open(io.BytesIO(picture.content)).size
                assert (height / width, width % nx, height % ny) == (ny / nx, 0, 0)
                seen[f"{alert.survey.name} {kind}"] += 1
    assert len(files) == 129
    assert seen == {
        "ztf science": 108,
        "ztf template": 108,
        "ztf difference": 108,
        "atlas science": 10,
        "atlas difference": 10,
        "lsst science": 1,
        "lsst template": 1,
        "lsst difference": 1,
    }
