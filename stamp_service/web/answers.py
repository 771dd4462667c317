"""Answers about alerts: checked question in, cacheable response out.

An alert never changes, so an entity tag follows from what was asked (identity, form, options) and is known before
anything is fetched: a client that has the answer gets its 304 without a store being touched.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response, g, has_request_context, request
from werkzeug.datastructures import Headers

from stamp_service import __version__
from stamp_service.errors import AccessDenied, Unauthenticated
from stamp_service.lake.side_index import Tier
from stamp_service.surveys import Permission, Survey
from stamp_service.web.metrics import Metrics
from stamp_service.web.services import services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_YEAR_S = 365 * 24 * 3600
_LASTING = f"max-age={_YEAR_S}, immutable"


class _NotModified(Response):
    """A 304 with the headers it is given: looking for some to take away is a tenth of such an answer's cost."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:  # noqa: ARG002 - werkzeug's signature
        """Give the headers as they are."""
        return self.headers


@dataclass(frozen=True, slots=True)
class Names:
    """What an API calls the parts of a question, for its error messages.

    Parameters
    ----------
    survey, alert_id, object_id : str
        Parameter names.
    """

    survey: str = "survey"
    alert_id: str = "alert_id"
    object_id: str = "object_id"


@dataclass(frozen=True, slots=True)
class Question:
    """One alert that a reader may have.

    Parameters
    ----------
    survey : Survey
        The survey.
    alert_id : str
        Checked alert id.
    object_id : str or None
        Checked object id, if the reader gave one; the alert must be of this object.
    public : bool
        Whether everybody may have it, so that shared caches may keep the answer.
    """

    survey: Survey
    alert_id: str
    object_id: str | None
    public: bool

    def tag(self, form: str) -> str:
        """Entity tag of an answer, from what was asked alone.

        Parameters
        ----------
        form : str
            Everything that decides the bytes besides the alert: format and options.

        Returns
        -------
        str
            The opaque tag, without quotes.
        """
        identity = "\0".join((__version__, self.survey.fingerprint, self.alert_id, self.object_id or "", form))
        return hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()


def ask(
    survey: str, alert_id: str, permission: Permission, object_id: str | None = None, names: Names | None = None
) -> Question:
    """Check a question before anything is looked up.

    Parameters
    ----------
    survey : str
        The survey's name as it was given.
    alert_id : str
        The alert id as it was given.
    permission : str
        What the answer is: `stamps`, `metadata` or `packets`.
    object_id : str, optional
        The object id as it was given; empty counts as not given.
    names : Names, optional
        What the API calls these.

    Returns
    -------
    Question
        The checked question.

    Raises
    ------
    RequestError
        If the survey is unknown or an id malformed.
    Unauthenticated, AccessDenied
        If the reader may not have it.
    """
    names = names or Names()
    here = services()
    found = here.surveys.named(survey, names.survey)
    checked_id = found.check_alert_id(alert_id, names.alert_id)
    checked_object = found.check_object_id(object_id, names.object_id) if object_id else None
    public = here.access.check(found, permission, request.headers.get("Authorization"))
    return Question(found, checked_id, checked_object, public)


def is_allowed(survey: Survey, permission: Permission) -> bool:
    """Say whether the reader may have something; for pages that leave out the rest.

    Parameters
    ----------
    survey : Survey
        The survey asked about.
    permission : str
        `stamps`, `metadata` or `packets`.

    Returns
    -------
    bool
        True if neither a token is missing nor the one that came too weak.
    """
    try:
        services().access.check(survey, permission, request.headers.get("Authorization"))
    except (Unauthenticated, AccessDenied):
        return False
    return True


def note_lake_read(metrics: Metrics, tier: Tier, seconds: float) -> None:
    """Count a read out of a lake, and note how it went for the answer that it is for.

    Parameters
    ----------
    metrics : Metrics
        Who counts.
    tier : str
        How it was read.
    seconds : float
        How long that took.
    """
    metrics.lake_read(tier, seconds)
    if has_request_context():  # batches read in threads of their own
        g.lake_tier = tier


def answer(
    question: Question,
    form: str,
    make: Callable[[str], bytes],
    media_type: str,
    filename: str,
    *,
    attachment: bool = False,
    lasting: bool = True,
) -> Response:
    """Answer with bytes about one alert, or with 304.

    Parameters
    ----------
    question : Question
        What was asked.
    form : str
        Format and options, as text.
    make : callable
        Makes the bytes, given the entity tag; not called where 304 will do.
    media_type : str
        Content type.
    filename : str
        Name to save under.
    attachment : bool
        Whether browsers should save rather than show.
    lasting : bool
        Whether it is always this alert that answers the question; if not, caches have to ask each time.

    Returns
    -------
    flask.Response
        200, 206 or 304.
    """
    tag = question.tag(form)
    headers = [
        ("ETag", f'"{tag}"'),
        ("Cache-Control", f"{'public' if question.public else 'private'}, {_LASTING if lasting else 'no-cache'}"),
        *([] if question.public else [("Vary", "Authorization")]),
    ]
    if_none_match = request.headers.get("If-None-Match")
    # The tag in quotes, weak or strong, alone or among others. `*` asks whether there is anything, which only
    # a store can say.
    if if_none_match and f'"{tag}"' in if_none_match and request.method != "POST":
        return _NotModified(status=304, headers=headers)
    headers += [
        ("Content-Disposition", _disposition(filename, attachment=attachment)),
        ("Accept-Ranges", "bytes"),
    ]
    response = Response(make(tag), mimetype=media_type, headers=headers)
    if "lake_tier" in g:
        response.headers["X-Lake-Tier"] = g.lake_tier
    if "Range" in request.headers or if_none_match:
        response.make_conditional(request, accept_ranges=True, complete_length=response.content_length)
    return response


def _disposition(filename: str, *, attachment: bool) -> str:
    # Ids match their survey's pattern, which a user's survey may have made permissive.
    return f"{'attachment' if attachment else 'inline'}; filename={quote(filename, safe='')}"
