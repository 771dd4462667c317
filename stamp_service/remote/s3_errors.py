"""What S3's failures mean, told by boto3's exceptions and S3's own error codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as S3ConnectionError

from stamp_service.errors import StoreTimeout, StoreUnavailable
from stamp_service.remote.retries import Transient

_THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
_BAD_CREDENTIALS = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}


@contextmanager
def explained(bucket: str, absent: Exception) -> Iterator[None]:
    """Turn what boto3 raises into the house's errors.

    Parameters
    ----------
    bucket : str
        What to call the bucket in messages.
    absent : Exception
        What to raise if S3 says `NoSuchKey`; nothing else is absence.

    Yields
    ------
    None
        To the code that calls boto3.

    Raises
    ------
    Transient
        Where asking again may help.
    StoreUnavailable
        Where it will not.
    """
    try:
        yield
    except ClientError as error:
        raise _explain_answer(error, bucket, absent) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise StoreUnavailable("S3 could not be asked: there are no valid AWS credentials") from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise Transient(StoreTimeout("S3 did not answer in time")) from error
    except IncompleteReadError as error:
        raise Transient(StoreUnavailable("S3 cut its answer short")) from error
    except (S3ConnectionError, HTTPClientError) as error:
        raise Transient(StoreUnavailable("the connection to S3 failed")) from error
    except BotoCoreError as error:
        raise StoreUnavailable("S3 could not be asked: its configuration is wrong") from error


def error_code(error: ClientError) -> str:
    """Find S3's word for an error.

    Parameters
    ----------
    error : botocore.exceptions.ClientError
        What boto3 raised.

    Returns
    -------
    str
        Such as `NoSuchKey`; empty if the answer has none.
    """
    return str(error.response.get("Error", {}).get("Code", ""))


def _explain_answer(error: ClientError, bucket: str, absent: Exception) -> Exception:
    """Tell an error answer's meaning by its code; the status alone does not say what is absent."""
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchKey":
        return absent
    if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return Transient(StoreUnavailable("S3 asks for fewer requests"), pause_s=0.2)
    # The last two: another writer was faster, and the next attempt sees what it wrote.
    if status >= 500 or code in {"RequestTimeout", "PreconditionFailed", "ConditionalRequestConflict"}:
        return Transient(StoreUnavailable(f"S3 failed with status {status} for {bucket}"))
    if code == "NoSuchBucket":
        return StoreUnavailable(f"S3 does not have {bucket}")
    if code in _BAD_CREDENTIALS:
        return StoreUnavailable(f"S3 refused the credentials for {bucket}")
    how = "denied access to" if status == HTTPStatus.FORBIDDEN else f"answered with status {status} for"
    return StoreUnavailable(f"S3 {how} {bucket}")
