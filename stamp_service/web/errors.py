"""Exceptions to answers: one table, and one body shape per family of clients."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from stamp_service import errors
from stamp_service.web.exchange import REQUEST_ID

_log = logging.getLogger("stamp_service.web")


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of error is answered.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Stable name for programs.
    """

    status: int
    code: str

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


TABLE: dict[type[errors.StampServiceError], Row] = {
    errors.RequestError: Row(400, "bad-request"),
    errors.Unauthenticated: Row(401, "unauthenticated"),
    errors.AccessDenied: Row(403, "access-denied"),
    errors.NotFound: Row(404, "not-found"),
    errors.AlertNotFound: Row(404, "alert-not-found"),
    errors.CutoutAbsent: Row(404, "cutout-absent"),
    errors.ObjectNotFound: Row(404, "object-not-found"),
    errors.LakeFileNotFound: Row(404, "lake-file-not-found"),
    errors.PacketConflict: Row(409, "packet-conflict"),
    errors.TooLarge: Row(413, "too-large"),
    errors.ConfigurationError: Row(500, "misconfigured"),
    errors.PacketCorrupt: Row(502, "packet-corrupt"),
    errors.StoreUnavailable: Row(503, "store-unavailable"),
    errors.StoreTimeout: Row(504, "store-timeout"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way out, before it takes the shape that the client parses.

    Parameters
    ----------
    row : Row
        Status and code.
    detail : str
        What went wrong, in one sentence.
    parameter : str or None
        The offending parameter, if one is to blame.
    """

    row: Row
    detail: str
    parameter: str | None = None


# JSON and its media type; or a whole page.
Shape = Callable[[Failure], tuple[dict[str, Any], str] | Response]


def problem(failure: Failure) -> tuple[dict[str, Any], str]:
    """Shape a failure as RFC 9457 problem details.

    Parameters
    ----------
    failure : Failure
        What happened.

    Returns
    -------
    body : dict
        The JSON body.
    media_type : str
        `application/problem+json`.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": failure.row.title,
        "status": failure.row.status,
        "detail": failure.detail,
        "code": failure.row.code,
    }
    if failure.parameter:
        body["parameter"] = failure.parameter
    return body, "application/problem+json"


def message(failure: Failure) -> tuple[dict[str, Any], str]:
    """Shape a failure as ALeRCE's clients parse it: `message`, and `errors` by parameter.

    Parameters
    ----------
    failure : Failure
        What happened.

    Returns
    -------
    body : dict
        The JSON body.
    media_type : str
        `application/json`.
    """
    body: dict[str, Any] = {"message": failure.detail}
    if failure.parameter:
        body["errors"] = {failure.parameter: failure.detail}
    return body, "application/json"


def detail(failure: Failure) -> tuple[dict[str, Any], str]:
    """Shape a failure as clients of Rubin's alert database parse it.

    Parameters
    ----------
    failure : Failure
        What happened.

    Returns
    -------
    body : dict
        The JSON body.
    media_type : str
        `application/json`.
    """
    return {"detail": failure.detail}, "application/json"


def status_and_text(failure: Failure) -> tuple[dict[str, Any], str]:
    """Shape a failure as Fink's APIs name its parts.

    Parameters
    ----------
    failure : Failure
        What happened.

    Returns
    -------
    body : dict
        The JSON body.
    media_type : str
        `application/json`.
    """
    return {"status": "error", "text": failure.detail}, "application/json"


def status_and_content(failure: Failure) -> tuple[dict[str, Any], str]:
    """Shape a failure as clients of ALeRCE's stamp classifier parse it.

    Parameters
    ----------
    failure : Failure
        What happened.

    Returns
    -------
    body : dict
        The JSON body.
    media_type : str
        `application/json`.
    """
    return {"status": "ERROR", "content": failure.detail}, "application/json"


def row_of(kind: type[errors.StampServiceError]) -> Row:
    """Find the row of an exception class, or of its nearest base.

    Parameters
    ----------
    kind : type
        A `StampServiceError` class.

    Returns
    -------
    Row
        Its status and code.
    """
    return next((TABLE[base] for base in kind.__mro__ if base in TABLE), Row(500, "internal"))


def failure_of(error: Exception) -> Failure:
    """Describe any exception without telling what must not be told.

    Parameters
    ----------
    error : Exception
        What was raised.

    Returns
    -------
    Failure
        Our own words for our own errors, the status for routing errors, nothing but "internal" for the rest.
    """
    if isinstance(error, errors.StampServiceError):
        return Failure(row_of(type(error)), str(error), getattr(error, "parameter", None))
    if isinstance(error, HTTPException) and error.code:
        phrase = HTTPStatus(error.code).phrase
        known = (row.code for row in TABLE.values() if row.status == error.code)
        return Failure(Row(error.code, next(known, phrase.lower().replace(" ", "-"))), phrase)
    return Failure(Row(500, "internal"), "something went wrong inside the service")


def _write(failure: Failure, body: dict[str, Any], media_type: str) -> Response:
    body["request_id"] = request.environ.get(REQUEST_ID)
    return Response(orjson.dumps(body), failure.row.status, mimetype=media_type)


def install(app: Flask, shapes: dict[str, Shape]) -> None:
    """Answer every exception of an application.

    Parameters
    ----------
    app : flask.Flask
        The application.
    shapes : dict of str to callable
        Body shape by blueprint name; problem details for all others.
    """

    def answer(error: Exception) -> Response:
        failure = failure_of(error)
        if failure.row.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            expected = isinstance(error, errors.StampServiceError)
            _log.log(
                logging.WARNING if expected else logging.ERROR,
                "%s: %s",
                failure.row.code,
                failure.detail,
                exc_info=None if expected else error,
            )
        shaped = shapes.get(request.blueprint or "", problem)(failure)
        response = shaped if isinstance(shaped, Response) else _write(failure, *shaped)
        response.headers["Cache-Control"] = "no-store"
        if isinstance(error, errors.StoreUnavailable):
            response.headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, errors.Unauthenticated):
            response.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, HTTPException):
            for name, value in error.get_headers():
                if name == "Allow":
                    response.headers[name] = value
        return response

    app.register_error_handler(Exception, answer)
