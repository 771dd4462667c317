"""One pooled HTTP session per process for addresses that cannot be trusted.

What it adds to `requests`: hosts and connected addresses are checked (`hosts.py`), redirects are followed a few
times and only to hosts that are allowed, bodies have a size limit, and the whole exchange has a deadline. Timeouts
alone do not give one: a server that sends a byte a second never exceeds them, so a timer cuts the connection.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from stamp_service.errors import StoreTimeout, StoreUnavailable, TooLarge
from stamp_service.remote.retries import Transient
from stamp_service.stores.hosts import HostRules, Refused, is_public

_POOL_SIZE = 32
_MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_WORTH_REPEATING = {429, 500, 502, 503, 504}
_LONGEST_RETRY_AFTER_S = 5.0
_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes
    ----------
    status : int
        HTTP status, never a redirect and none that is worth asking again for.
    body : bytes
        The body as it was sent.
    """

    status: int
    body: bytes


class _Cut:
    """Cuts the connection that is being used, once."""

    def __init__(self) -> None:
        self.happened = False
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()

    def watch(self, sock: socket.socket | None) -> None:
        with self._lock:
            self._sock = sock
            self._shut_if_due()

    def now(self) -> None:
        with self._lock:
            self.happened = True
            self._shut_if_due()

    def _shut_if_due(self) -> None:
        if self.happened and self._sock is not None:
            try:
                # The plain socket's: SSLSocket.shutdown is not made for another thread.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already


class _Current(threading.local):
    cut: _Cut | None = None


_current = _Current()


@contextmanager
def _cut_after(seconds: float) -> Iterator[_Cut]:
    cut = _current.cut = _Cut()
    timer = threading.Timer(max(seconds, 0.0), cut.now)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()
        cut.watch(None)
        _current.cut = None


def _guarded_pools(named: HostRules) -> dict[str, type[HTTPConnectionPool]]:
    """Make urllib3's pools with connections that check whom they are connected to."""

    class Guarded(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            if not named.is_named(self.host) and not is_public(sock.getpeername()[0]):
                sock.close()
                raise Refused("an address leads into a private network")
            return sock

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 itself overrides it
            if _current.cut is not None:
                _current.cut.watch(self.sock)
            return super().getresponse()

    class GuardedTLS(Guarded, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Guarded

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = GuardedTLS

    return {"http": Pool, "https": TLSPool}


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, named: HostRules) -> None:
        self._named = named
        super().__init__(pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._named)


class Fetcher:
    """A session that can be pointed at addresses from outside.

    Parameters
    ----------
    who : str
        Whom messages name as the one who did not answer.
    named : HostRules
        Hosts that may be at any address.
    connect_timeout_s, read_timeout_s : float
        Longest waits.
    """

    def __init__(self, who: str, named: HostRules, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._who = who
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._session = requests.Session()
        # No proxy, which would connect on our behalf unchecked, and no passwords from ~/.netrc.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Bodies are limited as they are sent: nothing is decompressed on the way.
        self._session.headers.update({"User-Agent": "stamp-service", "Accept-Encoding": "identity"})
        adapter = _GuardedAdapter(named)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def fetch(
        self,
        url: str,
        rules: HostRules,
        *,
        limit_bytes: int,
        deadline: float,
        params: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Make one GET, with its redirects.

        Parameters
        ----------
        url : str
            Whom to ask.
        rules : HostRules
            Whom that may be, and whom it may redirect to.
        limit_bytes : int
            The largest body allowed.
        deadline : float
            When it must be over, on `time.monotonic`'s clock.
        params : mapping of str to str, optional
            The query.
        auth : tuple of str, optional
            User and password, sent to this address only.

        Returns
        -------
        Answer
            The last answer.

        Raises
        ------
        StoreUnavailable
            If an address was refused.
        TooLarge
            If the body exceeds the limit.
        Transient
            If it failed in a way that may pass.
        """
        with _cut_after(deadline - time.monotonic()) as cut:
            try:
                answer = self._follow(
                    url, rules, limit_bytes=limit_bytes, deadline=deadline, params=params, auth=auth
                )
            except (Refused, OSError, ValueError, urllib3.exceptions.HTTPError) as error:
                raise (self._too_late() if cut.happened else self._explain(error)) from error
            if cut.happened:
                # Without a Content-Length a connection that was cut looks like one that ended.
                raise self._too_late()
        return answer

    def _follow(
        self,
        url: str,
        rules: HostRules,
        *,
        limit_bytes: int,
        deadline: float,
        params: Mapping[str, str] | None,
        auth: tuple[str, str] | None,
    ) -> Answer:
        for _ in range(_MAX_REDIRECTS + 1):
            checked = rules.check(url)
            read_timeout_s = min(self._read_timeout_s, max(deadline - time.monotonic(), 0.001))
            with self._session.get(
                checked,
                params=params,
                auth=auth,
                timeout=(self._connect_timeout_s, read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code not in _REDIRECTS:
                    return self._read(response, limit_bytes)
                url, params, auth = urljoin(checked, response.headers.get("Location", "")), None, None
        raise Refused("it redirects too often")

    def _read(self, response: requests.Response, limit_bytes: int) -> Answer:
        if response.status_code in _WORTH_REPEATING:
            error = StoreUnavailable(f"{self._who} failed with status {response.status_code}")
            raise Transient(error, pause_s=_retry_after_s(response))
        announced = response.headers.get("Content-Length", "")
        body = bytearray()
        if not (announced.isdecimal() and int(announced) > limit_bytes):
            for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                body += chunk
                if len(body) > limit_bytes:
                    break
            else:
                return Answer(response.status_code, bytes(body))
        raise TooLarge(f"what {self._who} sent is larger than {limit_bytes} bytes")

    def _too_late(self) -> StoreTimeout:
        return StoreTimeout(f"{self._who} did not answer in time")

    def _explain(self, error: Exception) -> Exception:
        """Turn what `requests` and `urllib3` raise into the house's errors."""
        if isinstance(error, Refused):
            return StoreUnavailable(f"{self._who} could not be asked: {error}")
        if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
            return Transient(self._too_late())
        if isinstance(error, requests.ConnectionError | urllib3.exceptions.HTTPError):
            return Transient(StoreUnavailable(f"the connection to {self._who} failed"))
        return StoreUnavailable(f"{self._who} could not be asked")


def _retry_after_s(response: requests.Response) -> float:
    named = response.headers.get("Retry-After", "")
    return min(float(named), _LONGEST_RETRY_AFTER_S) if named.isdecimal() else 0.0
