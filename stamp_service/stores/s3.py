"""Packets in S3, or in anything that speaks its API.

Reads go through `obstore`, everything else through boto3. CPU time of one GET of a 70 kB packet from nginx on
loopback (`benchmarks/s3_reads.py`, best of 7 rounds): boto3 1,674 us, `urllib3` with botocore's signature 556,
with a signature by hand 389, `http.client` with one by hand 230, obstore 160; `S3Store.get` as it stands takes
185. What obstore does, it does outside the interpreter's lock.

What went wrong, though, obstore tells only in texts that are no interface. So a fast read has one answer, the
packet; whenever it has any other, boto3 is asked too, and S3's error code decides: only `NoSuchKey` is absence.

A reader who may get objects but not list the bucket is answered 403 instead of `NoSuchKey` for a key that does not
exist. That is not absence, S3 refuses to say; such a store is unavailable for every alert that it lacks, and
`check` says so.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from stamp_service.errors import AlertNotFound, PacketConflict, StoreUnavailable
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.retries import Transient, persist
from stamp_service.remote.s3_clients import S3Access, S3Clients, open_clients
from stamp_service.remote.s3_errors import error_code, explained
from stamp_service.stores.gzipped import gunzip_packet, gzip_packet, limit_gzipped
from stamp_service.stores.protocol import check_packet_size
from stamp_service.surveys import Survey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# No survey's key: asking for it shows that the bucket exists and that its absence is told.
_PROBE = "stamp-service-readiness-probe"


class S3Store:
    """Packets in buckets; see `Store` for what the methods promise.

    Parameters
    ----------
    buckets : mapping of str to str
        Survey name to bucket.
    access : S3Access
        Where S3 is and how patiently it is asked.
    attempts : int
        How often a failing request is made in all. A fast read is the first, and is followed by at least one more.
    max_packet_bytes : int
        The largest packet that is taken or handed out.
    """

    name = "s3"
    writable = True

    def __init__(
        self, buckets: Mapping[str, str], access: S3Access, *, attempts: int, max_packet_bytes: int
    ) -> None:
        self._buckets = dict(buckets)
        self._attempts = attempts
        self._max_packet_bytes = max_packet_bytes
        self._clients = PerProcess(lambda: open_clients(access))

    def get(self, survey: Survey, alert_id: str, object_id: str | None = None) -> bytes:
        """Fetch a packet.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        object_id : str, optional
            A checked object id, needed where the survey's keys have it.

        Returns
        -------
        bytes
            The packet as it was put.

        Raises
        ------
        AlertNotFound
            If S3 says `NoSuchKey`.
        StoreUnavailable
            If it says anything else, or nothing.
        TooLarge
            If the packet exceeds the limit.
        RequestError
            If the survey's keys need an object id and none is given.
        """
        key = survey.object_key(alert_id, object_id)
        if not key.endswith(".gz"):
            return self._fetch(survey.name, key, alert_id, self._max_packet_bytes)
        stored = self._fetch(survey.name, key, alert_id, limit_gzipped(self._max_packet_bytes))
        return gunzip_packet(stored, self._max_packet_bytes)

    def _fetch(self, survey_name: str, key: str, alert_id: str, limit_bytes: int) -> bytes:
        clients, bucket = self._open(), self._buckets[survey_name]
        stored = clients.read_fast(bucket, key, lambda size: check_packet_size(alert_id, size, limit_bytes))
        if stored is not None:
            return stored

        def read(_attempt: int) -> bytes:
            with _explained(survey_name, alert_id):
                return _get_object(clients.boto, bucket, key, alert_id, limit_bytes)

        return persist(read, max(1, self._attempts - 1))

    def _open(self) -> S3Clients:
        try:
            return self._clients()
        except BotoCoreError as error:
            raise StoreUnavailable("S3 could not be asked: its configuration or credentials are wrong") from error

    def put(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None = None) -> bool:
        """Store a packet unless it is there.

        The key is read first, because older servers ignore the condition with which it is then written; on those
        that honour it, of two writers at the same time exactly one wins.

        Parameters
        ----------
        survey : Survey
            The survey of the alert.
        alert_id : str
            A checked alert id.
        packet : bytes
            The packet as it came.
        object_id : str, optional
            A checked object id, needed where the survey's keys have it.

        Returns
        -------
        bool
            True if it was stored, False if the same bytes were there already.

        Raises
        ------
        PacketConflict
            If a different packet is there.
        StoreUnavailable
            If S3 could not be asked or refused.
        TooLarge
            If the packet exceeds the limit.
        """
        check_packet_size(alert_id, len(packet), self._max_packet_bytes)
        key = survey.object_key(alert_id, object_id)
        stored = gzip_packet(packet) if key.endswith(".gz") else packet
        client, bucket = self._open().boto, self._buckets[survey.name]

        def write(_attempt: int) -> bool:
            if self._is_stored(survey, alert_id, packet, object_id):
                return False
            with _explained(survey.name, alert_id):
                _put_object(client, bucket, key, stored)
            return True

        # At least two: losing to another writer is found out by the second.
        return persist(write, max(2, self._attempts))

    def _is_stored(self, survey: Survey, alert_id: str, packet: bytes, object_id: str | None) -> bool:
        try:
            there = self.get(survey, alert_id, object_id)
        except AlertNotFound:
            return False
        if there != packet:
            raise PacketConflict(f"a different packet of {survey.name} alert {alert_id} is stored already")
        return True

    def listed(self, survey: Survey) -> Iterator[tuple[str, str | None]]:
        """Name the alerts that are stored, in the order of their keys; see `ListedStore`.

        Parameters
        ----------
        survey : Survey
            The survey.

        Returns
        -------
        iterator of tuple of str and (str or None)
            Alert ids, and object ids where keys have them.

        Raises
        ------
        StoreUnavailable
            If the bucket cannot be listed.
        """
        return filter(None, map(survey.read_key, self._keys(survey)))

    def _keys(self, survey: Survey) -> Iterator[str]:
        client, last = self._open().boto, ""
        bucket, prefix = self._buckets[survey.name], survey.key_prefix

        def page(_attempt: int) -> list[str]:
            with _explained(survey.name, "to list"):
                answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=last)
            return [item["Key"] for item in answer.get("Contents", [])]

        while keys := persist(page, self._attempts):
            yield from keys
            last = keys[-1]

    def check(self) -> None:
        """Find out whether every bucket answers and tells absence.

        Raises
        ------
        StoreUnavailable
            If one does not.
        """
        client = self._open().boto
        for survey_name, bucket in self._buckets.items():
            try:
                with _explained(survey_name, _PROBE):
                    _get_object(client, bucket, _PROBE, _PROBE, self._max_packet_bytes)
            except AlertNotFound:
                continue
            except Transient as failure:
                raise failure.error from failure.__cause__

    def close(self) -> None:
        """Close this process's connections."""
        clients = self._clients.take()
        if clients is not None:
            clients.boto.close()


def _get_object(client: "S3Client", bucket: str, key: str, alert_id: str, limit_bytes: int) -> bytes:
    answer = client.get_object(Bucket=bucket, Key=key)
    body, size = answer["Body"], answer.get("ContentLength")
    try:
        check_packet_size(alert_id, size or 0, limit_bytes)
        # Without a length there is nothing to compare with, only a limit.
        stored = body.read() if size is not None else body.read(limit_bytes + 1)
        check_packet_size(alert_id, len(stored), limit_bytes)
    finally:
        body.close()
    return stored


def _put_object(client: "S3Client", bucket: str, key: str, stored: bytes) -> None:
    try:
        client.put_object(Bucket=bucket, Key=key, Body=stored, IfNoneMatch="*")
    except ClientError as error:
        if error_code(error) != "NotImplemented":
            raise
        client.put_object(Bucket=bucket, Key=key, Body=stored)


def _explained(survey_name: str, alert_id: str) -> AbstractContextManager[None]:
    return explained(f"the bucket of {survey_name}", AlertNotFound(f"there is no {survey_name} alert {alert_id}"))
