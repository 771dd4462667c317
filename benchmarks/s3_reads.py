"""CPU time of one GET of a 70 kB packet, by several ways of asking S3.

nginx on loopback serves files at `/{bucket}/{key}` and ignores signatures, so what is measured is the client. Each
way is measured several times in turn and its best round counts: the machine may be shared. CPU time is that of
the whole process, obstore's threads included.

    python benchmarks/s3_reads.py [--rounds 7] [--reads 500]
"""

import argparse
import hashlib
import hmac
import http.client
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from obstore.store import S3Store as ObjectReader

from stamp_service.stores import S3Access, S3Store
from stamp_service.surveys import load_surveys

BUCKET, REGION, OBJECT_BYTES, OBJECTS = "packets", "us-east-1", 70_000, 200
ACCESS_KEY, SECRET_KEY = "benchmark", "benchmark"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
ALERT_IDS = [str(1_000_000_000 + number) for number in range(OBJECTS)]
ZTF = load_surveys()["ztf"]
Read = Callable[[str], bytes]

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; keepalive_requests 1000000; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


@contextmanager
def nginx() -> Iterator[str]:
    """Serve random packets; gives the address."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "www" / BUCKET).mkdir(parents=True)
        for alert_id in ALERT_IDS:
            (folder / "www" / BUCKET / ZTF.object_key(alert_id)).write_bytes(random.randbytes(OBJECT_BYTES))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        server = subprocess.Popen([program, "-p", name, "-c", str(folder / "nginx.conf")])
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("nginx did not start")


def sign(host: str, path: str) -> dict[str, str]:
    """Signature version 4 of a GET without query, with nothing but the standard library."""
    now = time.gmtime()
    day, moment = time.strftime("%Y%m%d", now), time.strftime("%Y%m%dT%H%M%SZ", now)
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    names = "host;x-amz-content-sha256;x-amz-date"
    headers = f"host:{host}\nx-amz-content-sha256:{EMPTY_HASH}\nx-amz-date:{moment}\n"
    request = f"GET\n{path}\n\n{headers}\n{names}\n{EMPTY_HASH}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {
        "Host": host,
        "x-amz-content-sha256": EMPTY_HASH,
        "x-amz-date": moment,
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    }


def ways(url: str) -> dict[str, Read]:
    """Every way to read, by name."""
    host = url.removeprefix("http://")
    key, path = ZTF.object_key, lambda alert_id: f"/{BUCKET}/{ZTF.object_key(alert_id)}"
    names = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": REGION}
    config = Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required")
    client = boto3.client("s3", endpoint_url=url, config=config, **names)
    pool = urllib3.HTTPConnectionPool(host, maxsize=4)
    auth = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)
    plain = http.client.HTTPConnection(host)
    reader = ObjectReader(
        BUCKET,
        endpoint=url,
        region=REGION,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    store = S3Store({"ztf": BUCKET}, S3Access(endpoint_url=url), attempts=1, max_packet_bytes=2**25)

    def with_botocore(alert_id: str) -> bytes:
        request = AWSRequest("GET", url + path(alert_id))
        auth.add_auth(request)
        return pool.urlopen("GET", path(alert_id), headers=dict(request.headers.items())).data

    def with_http_client(alert_id: str) -> bytes:
        plain.request("GET", path(alert_id), headers=sign(host, path(alert_id)))
        return plain.getresponse().read()

    return {
        "boto3": lambda alert_id: client.get_object(Bucket=BUCKET, Key=key(alert_id))["Body"].read(),
        "urllib3, signed by botocore": with_botocore,
        "urllib3, signed by hand": lambda alert_id: (
            pool.urlopen("GET", path(alert_id), headers=sign(host, path(alert_id))).data
        ),
        "http.client, signed by hand": with_http_client,
        "obstore": lambda alert_id: reader.get(key(alert_id)).bytes().to_bytes(),
        "S3Store as it is": lambda alert_id: store.get(ZTF, alert_id),
    }


def cpu_us(read: Read, reads: int) -> float:
    start = time.process_time()
    for number in range(reads):
        read(ALERT_IDS[number % OBJECTS])
    return (time.process_time() - start) / reads * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reads", type=int, default=500)
    options = parser.parse_args()
    with nginx() as url:
        readers = ways(url)
        expected = [readers["boto3"](alert_id) for alert_id in ALERT_IDS]
        for name, read in readers.items():
            assert [read(alert_id) for alert_id in ALERT_IDS] == expected, name
        best = dict.fromkeys(readers, float("inf"))
        for _ in range(options.rounds):
            for name, read in readers.items():
                best[name] = min(best[name], cpu_us(read, options.reads))
    for name, cost in best.items():
        print(f"{name:30s} {cost:6.0f} us   {best['boto3'] / cost:5.1f}x")


if __name__ == "__main__":
    main()
