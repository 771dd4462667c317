"""End to end: requests per second of the service, as a ratio to a Flask route that returns 5 kB.

Both run under gunicorn with the service's own configuration and two workers; packets come from an S3 stand-in
(nginx serving files on loopback). Needs `nginx`, its echo module (Debian: `libnginx-mod-http-echo`) and `wrk`, and
the real alerts in `../shared/data`.

    python -m benchmarks.serving --seconds 4 --rounds 5
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stamp_service.packets import recognise
from stamp_service.surveys import load_surveys

ROOT = Path(__file__).resolve().parents[1]
ALERTS = ROOT.parent / "shared" / "data" / "alerts" / "ztf"
BUCKET = "alerts"
DELAY_S = 0.02
BASELINE = """
from flask import Flask, Response
app = Flask(__name__)
body = bytes(5000)
@app.get("/")
def five_kilobytes():
    return Response(body, mimetype="image/png")
"""
NGINX = """
load_module modules/ngx_http_echo_module.so;
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_requests 1000000; default_type binary/octet-stream;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    open_file_cache max=1000;
    server {{
        listen 127.0.0.1:{near}; root {dir}/s3;
        error_page 404 @absent;
        location @absent {{
            default_type application/xml;
            return 404 "<Error><Code>NoSuchKey</Code></Error>";
        }}
    }}
    server {{
        listen 127.0.0.1:{far};
        location / {{ echo_sleep {delay}; echo_exec /files$uri; }}
        location /files/ {{ internal; alias {dir}/s3/; }}
    }}
}}
"""


@dataclass(frozen=True)
class Case:
    """One measured row: which server, which addresses, with how many connections."""

    name: str
    port: int
    paths: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 6
    target: str = ""


def cache_in_front(service: int, port: int, folder: Path) -> Path:
    """Write `deploy/nginx.conf` for other ports and folders."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    changes = {
        "server 127.0.0.1:8087": f"server 127.0.0.1:{service}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "/var/cache/stamp-service": f"{folder}/cache",
        "/var/log/nginx/stamp-service.log": f"{folder}/access.log",
        "worker_processes auto;": f"daemon off; pid {folder}/front.pid; error_log {folder}/front.log;",
    }
    for old, new in changes.items():
        if old not in text:
            sys.exit(f"deploy/nginx.conf has no {old!r} any more")
        text = text.replace(old, new)
    (folder / "front.conf").write_text(text)
    return folder / "front.conf"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, cwd: Path, **environment: str) -> Iterator[int]:
    """Run a server until the block ends."""
    log = (cwd / f"{port}.log").open("w")
    process = subprocess.Popen(command, cwd=cwd, env=os.environ | environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} did not start:\n{(cwd / f'{port}.log').read_text()}")
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def gunicorn(app: str, folder: Path, **environment: str) -> contextlib.AbstractContextManager[int]:
    """Serve an application the way the service is served."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), app]
    settings = {"APP_BIND": "127.0.0.1", "APP_PORT": str(port), "APP_WORKERS": "2", "STAMP_DEMO": "false"}
    paths = {"PYTHONPATH": f"{ROOT}:{folder}", "STAMP_DATA_DIR": str(folder / "data")}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    return running(command, port, folder, **(settings | paths | keys | environment))


def requests_per_second(case: Case, seconds: int, folder: Path) -> float:
    """Let wrk ask for the paths of a case in turn."""
    script = folder / "paths.lua"
    paths = ",".join(json.dumps(path) for path in case.paths)
    headers = "".join(f'wrk.headers["{name}"] = {json.dumps(value)}\n' for name, value in case.headers.items())
    script.write_text(
        f"local paths = {{{paths}}}\nlocal i = 0\n{headers}"
        "request = function() i = i % #paths + 1; return wrk.format('GET', paths[i]) end\n"
    )
    url = f"http://127.0.0.1:{case.port}"
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output and "If-None-Match" not in case.headers:
        sys.exit(f"{case.name}: not every answer was a success\n{output}")
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", output)
    return float(rate)


def fill_bucket(folder: Path) -> list[str]:
    """Lay the real ZTF alerts out as a bucket and return their ids."""
    surveys = load_surveys()
    ids = []
    (folder / "s3" / BUCKET).mkdir(parents=True)
    for path in sorted(ALERTS.glob("*.avro")):
        alert = recognise(surveys, path.read_bytes())
        shutil.copy(path, folder / "s3" / BUCKET / alert.survey.object_key(alert.alert_id))
        ids.append(alert.alert_id)
    return ids


def entity_tag(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.headers["ETag"])


@contextlib.contextmanager
def running_s3(folder: Path) -> Iterator[dict[str, str]]:
    """Run an S3 stand-in; gives the settings that lead to it."""
    near, far = free_port(), free_port()
    (folder / "nginx.conf").write_text(NGINX.format(dir=folder, near=near, far=far, delay=DELAY_S))
    with running(["nginx", "-c", str(folder / "nginx.conf"), "-p", "/usr/share/nginx"], near, folder):
        yield {
            "ZTF_BUCKET_NAME": BUCKET,
            "STAMP_S3_ENDPOINT_URL": f"http://127.0.0.1:{near}",
            "FAR_S3": f"http://127.0.0.1:{far}",
        }


def measure(cases: list[Case], seconds: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Measure all cases in turn, round after round, so that noise falls on all of them alike."""
    rates: dict[str, list[float]] = {case.name: [] for case in cases}
    for case in cases:  # a worker reads each schema once, and fills its caches
        requests_per_second(case, 1, folder)
    for _ in range(rounds):
        for case in cases:
            rates[case.name].append(requests_per_second(case, seconds, folder))
    return rates


def report(cases: list[Case], rates: dict[str, list[float]], reference: str) -> None:
    print(f"\n{'':44}{'requests/s':>12}{'ratio':>8}{'target':>8}")
    for case in cases:
        ratios = [rate / base for rate, base in zip(rates[case.name], rates[reference], strict=True)]
        rate, ratio = statistics.median(rates[case.name]), statistics.median(ratios)
        print(f"{case.name:44}{rate:12.0f}{ratio:8.2f}{case.target:>8}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", nargs="*", default=["8"], help="APP_THREADS to try with the delayed store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        ids = fill_bucket(folder)
        (folder / "baseline.py").write_text(BASELINE)
        s3 = stack.enter_context(running_s3(folder))
        uncached = {"STAMP_PACKET_CACHE_BYTES": "0", "STAMP_PICTURE_CACHE_BYTES": "0"}
        plain = stack.enter_context(gunicorn("baseline:app", folder))
        cold = stack.enter_context(gunicorn("app:app", folder, **s3, **uncached))
        warm = stack.enter_context(gunicorn("app:app", folder, **s3))

        front = free_port()
        kept = cache_in_front(warm, front, folder)
        stack.enter_context(running(["nginx", "-c", str(kept), "-p", str(folder)], front, folder))

        def stamps(form: str) -> list[str]:
            return [
                f"/get_stamp?candid={i}&type={k}&format={form}" for i in ids for k in ("science", "difference")
            ]

        one = stamps("png")[:1]
        tag = entity_tag(warm, one[0])
        cases = [
            Case("Flask route, 5 kB", plain, ["/"]),
            Case("PNG, nothing cached", cold, stamps("png"), target="0.20"),
            Case("packet, nothing cached", cold, [f"/get_avro?candid={i}" for i in ids], target="0.30"),
            Case("FITS, nothing cached", cold, stamps("fits"), target="0.30"),
            Case("PNG, cached", warm, stamps("png"), target="0.55"),
            Case("304", warm, one, {"If-None-Match": tag}, target="0.70"),
            Case("PNG, kept by nginx in front", front, stamps("png")),
        ]
        report(cases, measure(cases, options.seconds, options.rounds, folder), cases[0].name)
        slow_s3 = s3 | {"STAMP_S3_ENDPOINT_URL": s3["FAR_S3"]}
        for threads in options.threads:
            with (
                gunicorn("app:app", folder, **s3, **uncached, APP_THREADS=threads) as quick,
                gunicorn("app:app", folder, **slow_s3, **uncached, APP_THREADS=threads) as slow,
            ):
                pair = [
                    Case(f"PNG, 32 clients, {threads} threads", quick, stamps("png"), connections=32),
                    Case(
                        "  the same, 20 ms added to each GET", slow, stamps("png"), connections=32, target="0.50"
                    ),
                ]
                report(pair, measure(pair, options.seconds, options.rounds, folder), pair[0].name)


if __name__ == "__main__":
    main()
