"""BigQuery's errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests

from stamp_service.alert_ingestion.extras import Untyped, extra
from stamp_service.errors import ConfigurationError, StoreTimeout, StoreUnavailable

_QUOTA = {"quotaExceeded", "rateLimitExceeded"}
_QUOTA_PAUSE_S = 60


def reasons_of(error: Untyped) -> list[str]:
    """List the reasons that an error of the API names.

    Parameters
    ----------
    error : google.api_core.exceptions.GoogleAPICallError
        The error.

    Returns
    -------
    list of str
        Such as `rateLimitExceeded`.
    """
    return [str(item.get("reason", "")) for item in error.errors if isinstance(item, dict)]


@contextmanager
def bigquery_asked(what: str) -> Iterator[None]:
    """Put errors of BigQuery's client into our words.

    Parameters
    ----------
    what : str
        What it was asked about, such as `dataset stamps`.

    Yields
    ------
    None
        While it is asked.

    Raises
    ------
    ConfigurationError
        If there are no credentials, or they do not allow this, or there is no such dataset.
    StoreUnavailable
        If it did not do it; `StoreTimeout` if it did not answer in time.
    """
    api, auth = extra("google.api_core.exceptions", "bigquery"), extra("google.auth.exceptions", "bigquery")
    try:
        yield
    except api.RetryError as error:
        raise _given_up(error.cause, api) from error
    except api.GoogleAPICallError as error:
        if _QUOTA & set(reasons_of(error)):
            raise _given_up(error, api) from error
        if isinstance(error, api.Forbidden | api.Unauthorized):
            raise ConfigurationError(f"BigQuery does not let these credentials write to {what}") from error
        if isinstance(error, api.NotFound):
            raise ConfigurationError(f"BigQuery has no {what}, or hides it from these credentials") from error
        raise _given_up(error, api) from error
    except (auth.DefaultCredentialsError, auth.RefreshError) as error:
        raise ConfigurationError("there are no credentials for BigQuery that are valid") from error
    except (requests.RequestException, auth.TransportError, TimeoutError, ConnectionError) as error:
        raise _given_up(error, api) from error


def _given_up(error: object, api: Untyped) -> StoreUnavailable:
    if isinstance(error, requests.Timeout | TimeoutError | api.DeadlineExceeded):
        return StoreTimeout("BigQuery did not answer in time")
    if isinstance(error, api.GoogleAPICallError):
        if _QUOTA & set(reasons_of(error)) or isinstance(error, api.TooManyRequests):
            return StoreUnavailable("BigQuery's quota is used up", _QUOTA_PAUSE_S)
        reasons = ", ".join(reasons_of(error)) or error.code
        return StoreUnavailable(f"BigQuery refused a request: {reasons}")
    return StoreUnavailable("BigQuery could not be reached")
