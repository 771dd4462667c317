"""Packets from MARS, the archive of ZTF alerts at Las Cumbres Observatory, or from a service that answers like it.

First a look-up, `GET {MARS_URL}?candid={alert_id}&format=json`, whose one result names the packet's address in
`avro`; then the packet. An empty list of results is absence. Any other answer than one result of the alert
asked for means that MARS could not be asked, not that it lacks the alert.

The packet's address comes from outside, so `HostRules` decide about it. Names are resolved by the operating
system, whose own time limit applies.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from stamp_service.errors import AlertNotFound, StoreUnavailable, TooLarge
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.retries import persist
from stamp_service.stores.fetching import Fetcher
from stamp_service.stores.hosts import HostRules, host_of
from stamp_service.surveys import Survey

AMAZON = "*.amazonaws.com"
_MAX_LOOKUP_BYTES = 8 * 1024 * 1024
# No survey has it: asking for it shows that MARS answers.
_PROBE = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarsPatience:
    """How patiently MARS is asked.

    Attributes
    ----------
    connect_timeout_s, read_timeout_s : float
        Longest waits for a connection and for bytes.
    total_timeout_s : float
        Longest time for a look-up and a download together.
    attempts : int
        How often a failing request is made in all.
    """

    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    total_timeout_s: float = 30.0
    attempts: int = 3


class MarsStore:
    """Packets that MARS knows of, read-only; see `Store` for what the methods promise.

    Parameters
    ----------
    url : str
        Address of the API.
    packet_hosts : iterable of str
        Hosts that packets may be fetched from; empty: MARS's own and `*.amazonaws.com`.
    patience : MarsPatience
        Timeouts and attempts.
    max_packet_bytes : int
        The largest packet that is handed out.
    """

    name = "mars"
    writable = False

    def __init__(
        self, url: str, packet_hosts: Iterable[str] = (), *, patience: MarsPatience, max_packet_bytes: int
    ) -> None:
        own = host_of(url)
        listed = tuple(packet_hosts) or (own, AMAZON)
        self._url = url
        self._own_host = HostRules([own])
        self._packet_hosts = HostRules(listed)
        self._patience = patience
        self._max_packet_bytes = max_packet_bytes
        self._fetcher = PerProcess(
            lambda: Fetcher("MARS", HostRules([own, *listed]), patience.connect_timeout_s, patience.read_timeout_s)
        )

    def get(self, survey: Survey, alert_id: str, object_id: str | None = None) -> bytes:
        """Fetch a packet.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        object_id : str, optional
            What MARS must call the alert's object.

        Returns
        -------
        bytes
            The packet.

        Raises
        ------
        AlertNotFound
            If MARS has no such alert, or has it under another object.
        StoreUnavailable
            If MARS could not be asked, answered anything else, or named an address that is not allowed.
        TooLarge
            If the packet exceeds the limit.
        """
        deadline = time.monotonic() + self._patience.total_timeout_s
        results = self._look_up(alert_id, deadline, self._patience.attempts)
        missing = AlertNotFound(f"there is no {survey.name} alert {alert_id}")
        if not results:
            raise missing
        result = results[0]
        if len(results) > 1 or not isinstance(result, dict) or str(result.get("candid")) != alert_id:
            raise StoreUnavailable("MARS answered with other alerts than it was asked for")
        if object_id is not None and result.get("objectId") != object_id:
            raise missing
        return self._download(result.get("avro"), deadline)

    def _look_up(self, alert_id: str, deadline: float, attempts: int) -> list[Any]:
        query = {"candid": alert_id, "format": "json"}
        try:
            answer = persist(
                lambda _: self._fetcher().fetch(
                    self._url, self._own_host, limit_bytes=_MAX_LOOKUP_BYTES, deadline=deadline, params=query
                ),
                attempts,
                deadline,
            )
        except TooLarge as error:
            raise StoreUnavailable("MARS answered with more than a look-up can be") from error
        if answer.status != 200:  # ok
            raise StoreUnavailable(f"MARS answered with status {answer.status}")
        try:
            results = orjson.loads(answer.body)["results"]
        except (ValueError, TypeError, KeyError) as error:
            raise StoreUnavailable("MARS answered with something that is not its JSON") from error
        if not isinstance(results, list):
            raise StoreUnavailable("MARS answered with something that is not its JSON")
        return results

    def _download(self, address: object, deadline: float) -> bytes:
        if not isinstance(address, str):
            raise StoreUnavailable("MARS named no address of the packet")
        answer = persist(
            lambda _: self._fetcher().fetch(
                address, self._packet_hosts, limit_bytes=self._max_packet_bytes, deadline=deadline
            ),
            self._patience.attempts,
            deadline,
        )
        if answer.status != 200:  # ok
            raise StoreUnavailable(f"MARS names a packet that cannot be fetched: status {answer.status}")
        return answer.body

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:  # noqa: ARG002 - the protocol's
        """Refuse: MARS cannot be written to.

        Parameters
        ----------
        survey : Survey
            Not used.
        alert_id : str
            Not used.
        packet : bytes
            Not used.
        object_id : str, optional
            Not used.

        Returns
        -------
        bool
            Never.

        Raises
        ------
        StoreUnavailable
            Always.
        """
        raise StoreUnavailable("MARS cannot be written to")

    def check(self) -> None:
        """Find out whether MARS answers look-ups.

        Raises
        ------
        StoreUnavailable
            If it does not.
        """
        self._look_up(_PROBE, time.monotonic() + self._patience.total_timeout_s, attempts=1)

    def close(self) -> None:
        """Close this process's connections."""
        fetcher = self._fetcher.take()
        if fetcher is not None:
            fetcher.close()
