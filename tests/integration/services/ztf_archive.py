"""A server that serves nights as the ZTF public archive does: an index page by Apache, and files with ranges."""

import io
import re
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/alerts/public/"
# A gzipped tar archive of nothing, 44 bytes long: how the archive says that a night has no alerts.
EMPTY_NIGHT = bytes.fromhex(
    "1f8b0800000000000003edc1010d000000c2a0f74f6d0e37a000000000000000008057031161f8cb00240000"
)

_TOP = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of {path}</title>
 </head>
 <body>
<h1>Index of {path}</h1>
  <table id="indexlist">
   <tr class="indexhead"><th class="indexcolicon"><img src="/icons/blank.gif" alt="[ICO]"></th>\
<th class="indexcolname"><a href="?C=N;O=A">Name</a></th><th class="indexcollastmod"><a href="?C=M;O=A">\
Last modified</a></th><th class="indexcolsize"><a href="?C=S;O=A">Size</a></th></tr>
   <tr class="indexbreakrow"><th colspan="4"><hr></th></tr>
"""
_ROW = """   <tr class="{parity}"><td class="indexcolicon"><img src="/icons/{icon}.gif" alt="[   ]"></td>\
<td class="indexcolname"><a href="{name}">{shown}</a></td><td class="indexcollastmod">2018-06-27 09:10  </td>\
<td class="indexcolsize">{size}</td></tr>
"""
_BOTTOM = """   <tr class="indexbreakrow"><th colspan="4"><hr></th></tr>
</table>
</body></html>
"""


def make_night(packets: Mapping[str, bytes], level: int = 1) -> bytes:
    """Pack packets as the archive does: a .tar.gz with one file each."""
    night = io.BytesIO()
    with tarfile.open(fileobj=night, mode="w:gz", compresslevel=level) as archive:
        for name, packet in packets.items():
            member = tarfile.TarInfo(name)
            member.size = len(packet)
            archive.addfile(member, io.BytesIO(packet))
    return night.getvalue()


def apache_size(size: int) -> str:
    """Write a size as Apache does: four characters, in units of 1024."""
    units = iter("KMGTPE")
    if size < 973:
        return f"{size:>3} "
    value, unit = size, ""
    while value >= 973:
        value, left, unit = value // 1024, value % 1024, next(units)
    if value < 9 or (value == 9 and left < 973):
        tenths = (left * 5 + 256) // 512
        value, tenths = (value + 1, 0) if tenths >= 10 else (value, tenths)
        return f"{value}.{tenths}{unit}"
    return f"{value + (left >= 512):>3}{unit}"


def index_page(sizes: Mapping[str, int], others: tuple[str, ...] = ("MD5SUMS",)) -> str:
    """Write the index page, newest night first, as the archive sorts it."""
    names = [*sorted(sizes, reverse=True), *others]
    rows = "".join(
        _ROW.format(
            parity="odd" if number % 2 else "even",
            icon="compressed" if name in sizes else "unknown",
            name=name,
            # Apache cuts long names short in what it shows.
            shown=name if len(name) < 24 else f"{name[:21]}..>",
            size=apache_size(sizes.get(name, 20000)),
        )
        for number, name in enumerate(names)
    )
    return _TOP.format(path=PATH.rstrip("/")) + rows + _BOTTOM


@dataclass
class Fault:
    """What goes wrong with the next answers for a file; each is used up `times` times."""

    times: int = 1
    status: int | None = None
    cut_after: int | None = None
    announced: int | None = None
    pause_s: float = 0.0
    ignore_range: bool = False


class NightServer(ThreadingHTTPServer):
    """The archive, with the nights that were added to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}{PATH}"
        self.nights: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.page: bytes | None = None
        self.content_encoding: str | None = None
        self.with_validators = True

    def fail(self, name: str, fault: Fault) -> None:
        """Let something go wrong with a file, or with the index (`""`)."""
        self.faults.setdefault(name, []).append(fault)

    def next_fault(self, name: str) -> Fault:
        """Take the fault of the next answer."""
        waiting = self.faults.get(name, [])
        if not waiting:
            return Fault()
        waiting[0].times -= 1
        return waiting.pop(0) if waiting[0].times == 0 else waiting[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: NightServer

    def do_GET(self) -> None:
        name = self.path.removeprefix(PATH)
        self.server.requests.append((name, self.headers["Range"]))
        fault = self.server.next_fault(name)
        if fault.status is not None:
            return self._send(fault.status, b"<html>no</html>", {"Content-Type": "text/html"}, Fault())
        if self.path == PATH:
            sizes = {name: len(night) for name, night in self.server.nights.items()}
            page = self.server.page or index_page(sizes).encode()
            return self._send(200, page, {"Content-Type": "text/html;charset=ISO-8859-1"}, fault)
        night = self.server.nights.get(name)
        if night is None:
            return self._send(404, b"<html>Not Found</html>", {"Content-Type": "text/html"}, fault)
        return self._send_file(night, fault)

    def _send_file(self, night: bytes, fault: Fault) -> None:
        tag = f'"{blake2b(night, digest_size=8).hexdigest()}"'
        headers = {"Content-Type": "application/x-gzip", "Accept-Ranges": "bytes"}
        if self.server.with_validators:
            headers |= {"ETag": tag, "Last-Modified": "Wed, 27 Jun 2018 09:10:00 GMT"}
        if self.server.content_encoding:
            headers["Content-Encoding"] = self.server.content_encoding
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked is None or fault.ignore_range or self.headers["If-Range"] != tag:
            return self._send(200, night, headers, fault)
        start = int(asked[1])
        if start >= len(night):
            return self._send(416, b"", {"Content-Range": f"bytes */{len(night)}"}, fault)
        headers["Content-Range"] = f"bytes {start}-{len(night) - 1}/{len(night)}"
        return self._send(206, night[start:], headers, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: Fault) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if fault.announced is None else fault.announced))
        self.send_header("Connection", "close")
        self.end_headers()
        sent = body if fault.cut_after is None else body[: fault.cut_after]
        with suppress(ConnectionError):
            if fault.pause_s:
                for start in range(0, len(sent), 64):
                    self.wfile.write(sent[start : start + 64])
                    self.wfile.flush()
                    time.sleep(fault.pause_s)
            else:
                self.wfile.write(sent)
            self.wfile.flush()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running_archive() -> Iterator[NightServer]:
    """Run an archive that has no nights yet."""
    with NightServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
