"""Lakes in S3, or in anything that speaks its API.

A read is one ranged GET with `If-Match`, so a replaced object is noticed by the request that would have read it.
`obstore` makes it; whenever it has any answer but the bytes, boto3 asks again and S3's error code decides, as for
packets (see `stamp_service.stores.s3`).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from stamp_service.errors import LakeFileNotFound, StoreUnavailable
from stamp_service.lake.files import FileChanged, FileVersion, Range
from stamp_service.lake.paths import is_parquet
from stamp_service.lake.ranges import read_merged
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.retries import Transient, persist
from stamp_service.remote.s3_clients import S3Access, S3Clients, open_clients
from stamp_service.remote.s3_errors import error_code, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

_BUCKET = "the lake's bucket"
_THREADS = 16
# What S3 says when an object is not what it was.
_CHANGED = {"PreconditionFailed", "InvalidRange", "412", "416"}


class S3Files:
    """A folder tree in a bucket; see `Filesystem` for what the methods promise.

    Parameters
    ----------
    bucket : str
        The bucket.
    prefix : str
        What the keys start with; a slash follows.
    access : S3Access
        Where S3 is and how patiently it is asked.
    attempts : int
        How often a failing request is made in all. A fast read is the first, and is followed by at least one more.
    """

    def __init__(self, bucket: str, prefix: str, access: S3Access, *, attempts: int) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._attempts = attempts
        self._clients = PerProcess(lambda: open_clients(access))
        self._threads = PerProcess(lambda: ThreadPoolExecutor(_THREADS, "s3"))

    @property
    def url(self) -> str:
        """The root's address."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def _open(self) -> S3Clients:
        try:
            return self._clients()
        except BotoCoreError as error:
            raise StoreUnavailable("S3 could not be asked: its configuration or credentials are wrong") from error

    def version(self, path: str) -> FileVersion:
        """Find a file.

        Parameters
        ----------
        path : str
            Which.

        Returns
        -------
        FileVersion
            Its version now, with its entity tag.

        Raises
        ------
        LakeFileNotFound
            If there is no such object.
        StoreUnavailable, StoreTimeout
            If S3 could not be asked.
        """
        client, key = self._open().boto, self._prefix + path

        def find(_attempt: int) -> FileVersion:
            with explained(_BUCKET, LakeFileNotFound(f"the lake has no file {path}")):
                return _find(client, self._bucket, key)

        return persist(find, self._attempts)

    def read(self, path: str, version: FileVersion, ranges: Sequence[Range]) -> list[bytes]:
        """Read runs of bytes.

        Parameters
        ----------
        path : str
            Which file.
        version : FileVersion
            The version that the ranges are meant for.
        ranges : sequence of Range
            What to read.

        Returns
        -------
        list of bytes
            One for each range.

        Raises
        ------
        FileChanged
            If the object is another version or gone.
        StoreUnavailable, StoreTimeout
            If S3 could not be asked.
        """
        return read_merged(ranges, version, lambda piece: self._read(path, version, piece), self._threads())

    def _read(self, path: str, version: FileVersion, piece: Range) -> bytes:
        clients, key = self._open(), self._prefix + path
        body = clients.read_range_fast(self._bucket, key, piece.start, piece.length, version.tag)
        if body is not None:
            return body

        def read(_attempt: int) -> bytes:
            with explained(_BUCKET, FileChanged(path)):
                return _read_range(clients.boto, self._bucket, key, piece, version.tag)

        return persist(read, max(1, self._attempts - 1))

    def walk(self, below: str = "") -> Iterator[tuple[str, FileVersion]]:
        """List the Parquet files below a folder, in order of their keys.

        Parameters
        ----------
        below : str
            The folder; the root if empty.

        Yields
        ------
        path : str
            A file.
        version : FileVersion
            Its version, with its entity tag.

        Raises
        ------
        LakeFileNotFound
            If no key starts with the folder's name.
        StoreUnavailable, StoreTimeout
            If S3 could not be asked.
        """
        prefix = f"{self._prefix}{below}/" if below else self._prefix
        empty = True
        for page in self._pages(prefix):
            for found in page.get("Contents", []):
                empty = False
                path = found["Key"].removeprefix(self._prefix)
                if is_parquet(path):
                    yield path, _version_of(found["Size"], found["LastModified"], found["ETag"])
        if empty and prefix:
            raise LakeFileNotFound(f"the lake has no folder {below}")

    def _pages(self, prefix: str) -> "Iterator[ListObjectsV2OutputTypeDef]":
        page = self._list(prefix)
        yield page
        while page["IsTruncated"]:
            page = self._list(prefix, page["NextContinuationToken"])
            yield page

    def _list(self, prefix: str, token: str | None = None, most: int = 1000) -> "ListObjectsV2OutputTypeDef":
        client = self._open().boto

        def ask(_attempt: int) -> "ListObjectsV2OutputTypeDef":
            with explained(_BUCKET, LakeFileNotFound("the lake has no such folder")):
                if token is None:
                    return client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=most)
                return client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, ContinuationToken=token)

        return persist(ask, self._attempts)

    def put(self, path: str, source: Path) -> FileVersion:
        """Copy a local file here, in parts if it is large; it is seen whole or not at all.

        Parameters
        ----------
        path : str
            Where to; an object that is there is replaced.
        source : pathlib.Path
            The local file.

        Returns
        -------
        FileVersion
            The version that was written.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it could not be written.
        """
        client, key = self._open().boto, self._prefix + path

        def write(_attempt: int) -> FileVersion:
            with explained(_BUCKET, StoreUnavailable("what was written to S3 was deleted meanwhile")):
                _upload(client, self._bucket, key, source)
                return _find(client, self._bucket, key)

        return persist(write, self._attempts)

    def check(self) -> None:
        """Find out whether the bucket can be listed now.

        Raises
        ------
        StoreUnavailable, StoreTimeout
            If it cannot.
        """
        self._list(self._prefix, most=1)

    def close(self) -> None:
        """Close this process's connections and end its threads."""
        clients, threads = self._clients.take(), self._threads.take()
        if clients is not None:
            clients.boto.close()
        if threads is not None:
            threads.shutdown()


def _version_of(size_bytes: int, modified: datetime, tag: str) -> FileVersion:
    # Some servers list fractions of a second that the object's own header lacks.
    seconds = int(modified.astimezone(UTC).timestamp())
    return FileVersion(size_bytes, seconds * 1_000_000_000, tag)


def _find(client: "S3Client", bucket: str, key: str) -> FileVersion:
    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            # An answer to HEAD has no body that would say what is absent; this raises what says it.
            client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
        raise
    return _version_of(found["ContentLength"], found["LastModified"], found["ETag"])


def _read_range(client: "S3Client", bucket: str, key: str, piece: Range, tag: str) -> bytes:
    asked = f"bytes={piece.start}-{sum(piece) - 1}"
    try:
        # Any object that exists matches `*`.
        answer = client.get_object(Bucket=bucket, Key=key, Range=asked, IfMatch=tag or "*")
    except ClientError as error:
        if error_code(error) in _CHANGED:
            raise FileChanged(key) from error
        raise
    with answer["Body"] as body:
        if tag and answer["ETag"] != tag:
            raise FileChanged(key)
        if answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PARTIAL_CONTENT:
            raise StoreUnavailable("S3 does not answer with the range that is asked for")
        # A range's announced length is checked by boto3; that it is the right range, by nobody else.
        data = body.read(piece.length + 1)
    if not answer.get("ContentRange", "").startswith(f"bytes {asked.removeprefix('bytes=')}/"):
        raise Transient(StoreUnavailable("S3 answered with another range"))
    if len(data) != piece.length:
        raise Transient(StoreUnavailable("S3 cut its answer short"))
    return data


def _upload(client: "S3Client", bucket: str, key: str, source: Path) -> None:
    try:
        client.upload_file(str(source), bucket, key)
    except S3UploadFailedError as error:
        # It hides the answer that it was raised for.
        if error.__context__ is not None:
            raise error.__context__ from None
        raise StoreUnavailable("S3 could not be written to") from error
