"""The objects of one survey's packed store in a bucket: whole files in, ranges out.

Ranges are read through `obstore` where it works and through boto3 where it does not, as `stores.s3` reads packets.
"""

import builtins
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import BaseError as ObstoreError

from stamp_service.errors import AlertNotFound, StoreUnavailable
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.retries import Transient, persist
from stamp_service.remote.s3_clients import S3Clients
from stamp_service.remote.s3_errors import explained

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ListObjectsV2RequestTypeDef

T = TypeVar("T")


class Objects:
    """The objects below a prefix; see `stores.s3` for what S3's answers mean.

    Parameters
    ----------
    clients : PerProcess of S3Clients
        The clients.
    bucket : str
        The bucket.
    survey_name : str
        Whose packets they are; also the prefix, after `packed/`.
    attempts : int
        How often a failing request is made in all.
    """

    def __init__(self, clients: PerProcess[S3Clients], bucket: str, survey_name: str, attempts: int) -> None:
        self._clients = clients
        self._bucket = bucket
        self._survey_name = survey_name
        self._prefix = f"packed/{survey_name}/"
        self._attempts = attempts

    def _persist(self, call: Callable[[], T]) -> T:
        def attempt(_number: int) -> T:
            with explained(f"the bucket of {self._survey_name}", AlertNotFound("there is no such pack")):
                return call()

        return persist(attempt, self._attempts)

    def put(self, key: str, data: bytes) -> None:
        """Write a small object.

        Parameters
        ----------
        key : str
            Its key below the prefix.
        data : bytes
            What it holds.

        Raises
        ------
        StoreUnavailable
            If S3 does not take it.
        """
        client = self._clients().boto
        self._persist(lambda: client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data))

    def put_file(self, key: str, file: Path) -> None:
        """Write a file.

        Parameters
        ----------
        key : str
            Its key below the prefix.
        file : pathlib.Path
            The file.

        Raises
        ------
        StoreUnavailable
            If S3 does not take it, or the file cannot be read.
        """
        client = self._clients().boto

        def put() -> None:
            with file.open("rb") as body:
                client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=body)

        try:
            self._persist(put)
        except OSError as error:
            raise StoreUnavailable("the spool could not be read") from error

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Read a range of an object.

        Parameters
        ----------
        key : str
            Its key below the prefix.
        offset : int
            Where to start.
        length : int
            How much, in bytes; at least one.

        Returns
        -------
        bytes
            The range; shorter at the object's end.

        Raises
        ------
        AlertNotFound
            If there is no such object.
        StoreUnavailable
            If S3 does not give it.
        """
        fast = self._read_fast(key, offset, length)
        return fast if fast is not None else self._persist(lambda: self._read_slowly(key, offset, length))

    def _read_fast(self, key: str, offset: int, length: int) -> bytes | None:
        reader = self._clients().reader(self._bucket)
        if reader is None:
            return None
        try:
            return reader.get_range(self._prefix + key, start=offset, length=length).to_bytes()
        except (ObstoreError, OSError, ValueError):
            return None  # whatever it was, boto3 says it better

    def _read_slowly(self, key: str, offset: int, length: int) -> bytes:
        wanted = f"bytes={offset}-{offset + length - 1}"
        answer = self._clients().boto.get_object(Bucket=self._bucket, Key=self._prefix + key, Range=wanted)
        with closing(answer["Body"]) as body:
            return body.read()

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """List objects.

        Parameters
        ----------
        prefix : str
            What their keys start with below the prefix of all.

        Yields
        ------
        tuple of str and int
            Keys and sizes in bytes.

        Raises
        ------
        StoreUnavailable
            If S3 does not answer.
        """
        for page in self._pages(prefix, ""):
            for item in page.get("Contents", []):
                yield item["Key"].removeprefix(self._prefix), item["Size"]

    def folders(self, prefix: str) -> builtins.list[str]:
        """List what looks like folders.

        Parameters
        ----------
        prefix : str
            What they lie in, with a slash at the end.

        Returns
        -------
        list of str
            Their names, sorted.

        Raises
        ------
        StoreUnavailable
            If S3 does not answer.
        """
        found = (item["Prefix"] for page in self._pages(prefix, "/") for item in page.get("CommonPrefixes", []))
        return sorted({key.rstrip("/").rpartition("/")[2] for key in found})

    def _pages(self, prefix: str, delimiter: str) -> "Iterator[ListObjectsV2OutputTypeDef]":
        client = self._clients().boto
        request: ListObjectsV2RequestTypeDef = {
            "Bucket": self._bucket,
            "Prefix": self._prefix + prefix,
            "Delimiter": delimiter,
        }
        while True:
            answer = self._persist(lambda: client.list_objects_v2(**request))
            yield answer
            if not answer.get("IsTruncated"):
                return
            request["ContinuationToken"] = answer["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Delete an object; harmless when it is gone.

        Parameters
        ----------
        key : str
            Its key below the prefix.

        Raises
        ------
        StoreUnavailable
            If S3 does not answer.
        """
        client = self._clients().boto
        self._persist(lambda: client.delete_object(Bucket=self._bucket, Key=self._prefix + key))

    def check(self) -> None:
        """Find out whether the bucket answers.

        Raises
        ------
        StoreUnavailable
            If it does not.
        """
        try:
            next(self.list("index/"), None)
        except (Transient, AlertNotFound) as error:
            raise StoreUnavailable("S3 could not be asked") from error
