"""What one process talks to S3 with: boto3's client, and `obstore` for fast reads.

Configuration and credentials are boto3's, from wherever AWS's tools find them (environment, files, instance or
container roles), so the two never disagree.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials
from obstore.exceptions import BaseError as ObstoreError
from obstore.store import S3Store as ObjectReader

from stamp_service.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Credential

log = logging.getLogger(__name__)

_CONNECTIONS = 64
# A read that takes longer than this is given up even if bytes keep coming.
_LONGEST_READ = timedelta(minutes=2)
# obstore asks for credentials again 5 minutes before they expire: with these 6 it asks once a minute. boto3
# renews its own 10 minutes before they expire, so what it hands out is good for longer than that.
_CREDENTIALS_LAST = timedelta(minutes=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Where S3 is and how patiently it is asked.

    Attributes
    ----------
    endpoint_url : str or None
        An API other than Amazon's; None leaves it to AWS's configuration.
    region : str or None
        Region where AWS's configuration does not say.
    connect_timeout_s, read_timeout_s : float
        Longest waits.
    """

    endpoint_url: str | None = None
    region: str | None = None
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 10.0


# obstore's threads do not survive a fork, and a forked process that uses it hangs. So it belongs to the first
# process that makes a reader; one that was forked from there has boto3.
_obstore_process: int | None = None


def _claim_obstore() -> bool:
    global _obstore_process  # noqa: PLW0603 - what it guards is as global
    if _obstore_process is None:
        _obstore_process = os.getpid()
    return _obstore_process == os.getpid()


@dataclass(frozen=True, slots=True)
class S3Clients:
    """Clients of one process.

    Attributes
    ----------
    boto : botocore.client.S3
        boto3's client; it makes one attempt per call.
    make_reader : callable
        Makes obstore's reader of a bucket.
    """

    boto: "S3Client"
    make_reader: Callable[[str], ObjectReader]
    _readers: dict[str, ObjectReader] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def read_fast(self, bucket: str, key: str, check_size: Callable[[int], None]) -> bytes | None:
        """Read an object with obstore.

        Parameters
        ----------
        bucket, key : str
            Which object.
        check_size : callable
            Takes the object's size before its body is read, and raises where that is too much.

        Returns
        -------
        bytes or None
            The object; None if there is any reason to ask boto3.
        """

        def read(reader: ObjectReader) -> bytes:
            found = reader.get(key)
            check_size(found.meta["size"])
            return found.bytes().to_bytes()

        return self._try(bucket, key, read)

    def read_range_fast(self, bucket: str, key: str, start: int, length: int, tag: str) -> bytes | None:
        """Read a part of an object with obstore.

        Parameters
        ----------
        bucket, key : str
            Which object.
        start, length : int
            Offset and number of the bytes.
        tag : str
            The entity tag that the object must have; any if empty.

        Returns
        -------
        bytes or None
            Exactly those bytes; None if there is any reason to ask boto3.
        """
        wanted: GetOptions = {"range": (start, start + length)}
        if tag:
            wanted["if_match"] = tag

        def read(reader: ObjectReader) -> bytes | None:
            found = reader.get(key, options=wanted)
            body = found.bytes().to_bytes()
            # Some servers ignore the condition.
            fits = len(body) == length and (not tag or found.meta["e_tag"] == tag)
            return body if fits else None

        return self._try(bucket, key, read)

    def _try(self, bucket: str, key: str, read: Callable[[ObjectReader], bytes | None]) -> bytes | None:
        # obstore drops slashes at either end, which would make it another object.
        if key != key.strip("/"):
            return None
        try:
            reader = self.reader(bucket)
            return None if reader is None else read(reader)
        except FileNotFoundError:
            return None
        except (ObstoreError, OSError, ValueError) as error:
            self._note_failure(bucket, error)
            return None

    def reader(self, bucket: str) -> ObjectReader | None:
        """Find obstore's reader of a bucket.

        Parameters
        ----------
        bucket : str
            The bucket.

        Returns
        -------
        obstore.store.S3Store or None
            The reader, which keeps its connections; None in a process that was forked from one that uses obstore.
        """
        if not _claim_obstore():
            return None
        found = self._readers.get(bucket)
        if found is None:
            found = self._readers[bucket] = self.make_reader(bucket)
        return found

    def _note_failure(self, bucket: str, error: Exception) -> None:
        level = logging.DEBUG if bucket in self._warned else logging.WARNING
        self._warned.add(bucket)
        log.log(level, "fast read from S3 failed, boto3 is asked instead: %s", str(error).partition("\n")[0])


def open_clients(access: S3Access) -> S3Clients:
    """Make this process's clients.

    Parameters
    ----------
    access : S3Access
        Where S3 is.

    Returns
    -------
    S3Clients
        The clients; nothing is connected yet.

    Raises
    ------
    StoreUnavailable
        If there are no credentials.
    """
    core = botocore.session.Session()
    session = boto3.Session(botocore_session=core, region_name=core.get_config_variable("region") or access.region)
    credentials = session.get_credentials()
    if credentials is None:
        raise StoreUnavailable("S3 could not be asked: no AWS credentials are configured")
    client = session.client(
        "s3",
        endpoint_url=access.endpoint_url,
        config=Config(
            connect_timeout=access.connect_timeout_s,
            read_timeout=access.read_timeout_s,
            max_pool_connections=_CONNECTIONS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            # MinIO's and Ceph's older versions refuse the newer checksum headers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    ca_bundle = core.get_config_variable("ca_bundle")
    return S3Clients(client, lambda bucket: _open_reader(client, bucket, credentials, access, ca_bundle))


def _open_reader(
    client: "S3Client", bucket: str, credentials: Credentials, access: S3Access, ca_bundle: str | None
) -> ObjectReader:
    endpoint, virtual_hosted = locate_bucket(client, bucket)

    def provide() -> "S3Credential":
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_LAST,
        }

    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=access.connect_timeout_s),
        "read_timeout": timedelta(seconds=access.read_timeout_s),
        "timeout": _LONGEST_READ,
    }
    if ca_bundle:
        options["root_certificate"] = Path(ca_bundle).read_bytes()
    return ObjectReader(
        bucket,
        endpoint=endpoint,
        region=_signing_region(client),
        virtual_hosted_style_request=virtual_hosted,
        credential_provider=provide,
        client_options=options,
        retry_config={"max_retries": 0, "retry_timeout": _LONGEST_READ},
    )


def _signing_region(client: "S3Client") -> str:
    region = client.meta.region_name
    return region if region and region != "aws-global" else "us-east-1"


def locate_bucket(client: "S3Client", bucket: str) -> tuple[str, bool]:
    """Find a bucket's address as boto3 would.

    Parameters
    ----------
    client : botocore.client.S3
        boto3's client.
    bucket : str
        The bucket.

    Returns
    -------
    endpoint : str
        Where requests go.
    virtual_hosted : bool
        Whether the bucket is part of the host's name (Amazon's), rather than of the path (everyone else's, and
        names that are no host names).
    """
    endpoint = urlsplit(client.meta.endpoint_url)
    style = (getattr(client.meta.config, "s3", None) or {}).get("addressing_style", "auto")
    amazons = (endpoint.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    host_name = "." not in bucket and bucket == bucket.lower()
    virtual_hosted = style == "virtual" or (style == "auto" and amazons and host_name)
    host = f"{bucket}.{endpoint.netloc}" if virtual_hosted else endpoint.netloc
    return f"{endpoint.scheme}://{host}{endpoint.path.rstrip('/')}", virtual_hosted
