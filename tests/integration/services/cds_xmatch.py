"""A server that matches uploaded positions as the CDS XMatch service does, and answers in its VOTables."""

import csv
import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

# A row of the catalogue: name, right ascension, declination, magnitude (None: not measured).
Entry = tuple[str, float, float, float | None]

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<RESOURCE name="XMatch" type="results">
<INFO ID="QUERY_STATUS" name="QUERY_STATUS" value="{status}">{reason}</INFO>
"""
_FIELDS = """<TABLE>
<FIELD name="angDist" ID="angDist" datatype="double" unit="arcsec" ucd="pos.angDistance" width="8" precision="6">
<DESCRIPTION>Angular distance between the positions</DESCRIPTION></FIELD>
{uploaded}
<FIELD name="2MASS" ID="_2MASS" datatype="char" arraysize="*" ucd="meta.id;meta.main"/>
<FIELD name="RAJ2000" ID="RAJ2000" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main"/>
<FIELD name="DEJ2000" ID="DEJ2000" datatype="double" unit="deg" ucd="pos.eq.dec;meta.main"/>
<FIELD name="Jmag" ID="Jmag" datatype="float" unit="mag" ucd="phot.mag;em.IR.J"/>
<DATA><TABLEDATA>
"""
_TAIL = "</TABLEDATA></DATA>\n</TABLE>\n{overflow}</RESOURCE>\n</VOTABLE>\n"


class CdsServer(ThreadingHTTPServer):
    """The service, with one catalogue."""

    daemon_threads = True

    def __init__(self, entries: list[Entry], name: str = "vizier:II/246/out") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/xmatch/api/v1/sync"
        self.name = name
        self.entries = entries
        self.max_rows = 2_000_000
        self.statuses: list[int] = []
        self.body: bytes | None = None
        self.pause: threading.Event | None = None
        self.uploads: list[int] = []
        self.requests: list[str] = []

    def answer(self, fields: dict[str, str]) -> tuple[int, str]:
        """Match, as the parameters say."""
        if fields["cat2"] != self.name:
            reason = f"Table '{fields['cat2']}' not found"
            return 400, _HEAD.format(status="ERROR", reason=escape(reason)) + "</RESOURCE>\n</VOTABLE>\n"
        rows = list(csv.DictReader(io.StringIO(fields["cat1"])))
        self.uploads.append(len(rows))
        uploaded = "".join(f'<FIELD name="{name}" datatype="double"/>\n' for name in rows[0]) if rows else ""
        matches = [
            (distance, row, entry)
            for row in rows
            for entry in self.entries
            if (distance := _distance(float(row[fields["colRA1"]]), float(row[fields["colDec1"]]), entry))
            <= float(fields["distMaxArcsec"])
        ]
        lines = "".join(
            "<TR>" + "".join(f"<TD>{_shown(value)}</TD>" for value in (f"{distance:.6f}", *row.values(), *entry))
            + "</TR>\n"
            for distance, row, entry in matches[: self.max_rows]
        )  # fmt: skip
        overflow = "" if len(matches) <= self.max_rows else '<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n'
        head = _HEAD.format(status="OK", reason="") + _FIELDS.format(uploaded=uploaded)
        return 200, head + lines + _TAIL.format(overflow=overflow)


def _shown(value: object) -> str:
    return "" if value is None else escape(str(value))


def _distance(ra: float, dec: float, entry: Entry) -> float:
    """Haversines, in arcsec."""
    ra1, dec1, ra2, dec2 = map(math.radians, (ra, dec, entry[1], entry[2]))
    h = math.sin((dec2 - dec1) / 2) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(h)))) * 3600


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CdsServer

    def do_GET(self) -> None:
        self.server.requests.append(f"GET {self.path}")
        self._send(200, self.server.name.removeprefix("vizier:").encode(), "text/plain")

    def do_POST(self) -> None:
        self.server.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.pause is not None:
            self.server.pause.wait(30)
        if self.server.statuses:
            return self._send(self.server.statuses.pop(0), b"<html>The service is busy.</html>", "text/html")
        if self.server.body is not None:
            return self._send(200, self.server.body, "text/html")
        form = message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        fields = {
            str(part.get_param("name", header="Content-Disposition")): part.get_payload(decode=True).decode()
            for part in form.get_payload()
        }
        status, text = self.server.answer(fields)
        return self._send(status, text.encode(), "text/xml")

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running_cds(entries: list[Entry]) -> Iterator[CdsServer]:
    """Run the service with a catalogue."""
    with CdsServer(entries) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            if server.pause is not None:
                server.pause.set()
            server.shutdown()
            thread.join(5)
