"""A server that answers as MARS does: look-ups at `/`, packets below `/packets`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class MarsServer(ThreadingHTTPServer):
    """MARS with the alerts that were added to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.packets: dict[str, bytes] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[str] = []

    def add(self, alert_id: str, packet: bytes, object_id: str | None = None) -> dict[str, Any]:
        """Add an alert; gives its result, which may be changed."""
        address = f"/packets/{alert_id}.avro"
        self.packets[address] = packet
        candid = int(alert_id) if alert_id.isdecimal() else alert_id
        result = {"avro": self.url.rstrip("/") + address, "candid": candid, "objectId": object_id, "candidate": {}}
        self.results[alert_id] = [result]
        return result


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MarsServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        address = urlsplit(self.path)
        if address.path in self.server.packets:
            return self._answer(200, self.server.packets[address.path], "application/octet-stream")
        query = parse_qs(address.query)
        if address.path != "/" or query.get("format") != ["json"]:
            return self._answer(404, b"<html>not found</html>", "text/html")
        results = self.server.results.get(query["candid"][0], [])
        body = {"has_next": False, "has_prev": False, "results": results}
        return self._answer(200, json.dumps(body).encode(), "application/json")

    def _answer(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running_mars() -> Iterator[MarsServer]:
    """Run a MARS that knows nothing yet."""
    with MarsServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
