"""Fink's two cutout APIs on one route: with `hdfsPath` the cutout API, without it the object API.

Rows come from the Parquet lakes that are registered here; one alert, named by its id, also from the survey's
other stores.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import orjson
from flask import Blueprint, Response, request

from stamp_service.errors import CutoutAbsent, NotFound, StampServiceError
from stamp_service.images import draw_plain_png, gunzip_cutout, to_json
from stamp_service.lake.lake import Lake
from stamp_service.surveys import Kind, Survey
from stamp_service.web.answers import Question, answer
from stamp_service.web.fink_query import CutoutQuery, Output, Row, rows
from stamp_service.web.forms import stamp_of
from stamp_service.web.openapi import Operation, describe, parse, read_json, read_query
from stamp_service.web.services import services

blueprint = Blueprint("fink", __name__)

T = TypeVar("T")

_ROUTE = "/api/v1/cutouts"
_MEDIA_TYPES: dict[Output, str] = {
    "list": "application/json",
    "array": "application/json",
    "FITS": "application/octet-stream",
    "PNG": "image/png",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A row that was found.

    Parameters
    ----------
    alert_id : str
        Its alert.
    cutouts : dict of str to bytes
        Those that were asked for and are not null.
    time : float
        When it was measured, in the survey's own scale.
    """

    alert_id: str
    cutouts: dict[Kind, bytes]
    time: float = 0.0


def _operation(
    summary: str, query: type[CutoutQuery] | None = None, body: type[CutoutQuery] | None = None
) -> Operation:
    return Operation(
        summary=summary,
        query=query,
        body=body,
        produces={media_type: {} for media_type in dict.fromkeys(_MEDIA_TYPES.values())},
        failures=(400, 401, 403, 404, 413, 502, 503, 504),
        secured=True,
        error_schema="Fink",
        error_media_type="application/json",
    )


@blueprint.get(_ROUTE)
@describe(_operation("Cutouts of a row of a lake, as Fink's APIs give them", query=CutoutQuery))
def cutouts(query: CutoutQuery) -> Response:
    """Answer with one cutout or all of them; with the parameters where none is given."""
    return _answer(query) if query.model_fields_set else _description()


@blueprint.post(_ROUTE)
@describe(_operation("The same, asked for in a body", body=CutoutQuery))
def post_cutouts() -> Response:
    """Answer with one cutout or all of them; what the query says, if it says anything, wins over the body."""
    return _answer(parse(CutoutQuery, read_query() or read_json()))


def _description() -> Response:
    described = [
        {"name": field.alias or name, "required": name == "kind", "description": field.description}
        for name, field in CutoutQuery.model_fields.items()
    ]
    response = Response(orjson.dumps({"args": described}), mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


def _answer(query: CutoutQuery) -> Response:
    here = services()
    candidates = rows(query, here.surveys, lambda survey: bool(here.lakes.of(survey)))
    response = _first([partial(_answer_with, query, row) for row in candidates])
    if request.method == "POST":
        response.headers["Cache-Control"] = "no-store"
    return response


def _answer_with(query: CutoutQuery, row: Row) -> Response:
    """Answer from one survey; an answer about a named alert never changes, one about an object's latest does."""
    public = services().access.check(row.survey, "stamps", request.headers.get("Authorization"))
    kinds = query.kinds(row.survey)
    if not kinds:
        raise NotFound(f"{row.survey.name} alerts are published without {query.kind} cutouts")
    found = None if row.alert_id else _find(row, kinds)
    question = Question(row.survey, found.alert_id if found else row.alert_id or "", row.object_id, public)

    def make(_: str) -> bytes:
        nonlocal found
        found = found or _find(row, kinds)
        return _make(query, row.survey, found)

    suffix = {"PNG": "png", "FITS": "fits"}.get(query.output, "json")
    return answer(
        question,
        f"fink {row.path} {query.kind} {query.output} {query.style() if query.output == 'PNG' else ''}",
        make,
        _MEDIA_TYPES[query.output],
        f"{row.name}.{suffix}" if row.path else f"{row.name}_{query.kind}.{suffix}",
        attachment=suffix != "json",
        lasting=row.alert_id is not None,
    )


def _find(row: Row, kinds: tuple[Kind, ...]) -> Found:
    """Find a row in the survey's lakes, and a named alert wherever else the survey's alerts are."""
    attempts = [partial(_read, lake, row, kinds) for lake in services().lakes.of(row.survey.name)]
    if row.alert_id and row.path is None:
        attempts.append(partial(_resolve, row, kinds))
    if not attempts:
        raise NotFound(f"no lake of {row.survey.name} alerts is registered here")
    found = _first(attempts) if row.alert_id or row.path else _latest(attempts)
    if not found.cutouts:
        raise CutoutAbsent(f"{row.survey.name} alert {found.alert_id} has no cutout {' or '.join(kinds)}")
    return found


def _read(lake: Lake, row: Row, kinds: tuple[Kind, ...]) -> Found:
    read = lake.read(kinds, path=row.path, alert_id=row.alert_id, object_id=row.object_id)
    return Found(read.alert_id, read.cutouts, read.time)


def _resolve(row: Row, kinds: tuple[Kind, ...]) -> Found:
    alert = services().resolver.alert(row.survey, row.alert_id or "", row.object_id)
    there = alert.cutouts()
    return Found(alert.alert_id, {kind: there[kind] for kind in kinds if kind in there})


def _first(attempts: Iterable[Callable[[], T]]) -> T:
    """Take the first that works; *absent* is said only if all of them said so."""
    failures: list[StampServiceError] = []
    for attempt in attempts:
        try:
            return attempt()
        except CutoutAbsent:
            raise
        except StampServiceError as error:
            failures.append(error)
    raise _worst(failures)


def _latest(attempts: Iterable[Callable[[], Found]]) -> Found:
    """Take the latest of all; where one could not be asked, nobody knows which that is."""
    found: list[Found] = []
    failures: list[StampServiceError] = []
    for attempt in attempts:
        try:
            found.append(attempt())
        except StampServiceError as error:
            failures.append(error)
    if not found or any(not isinstance(error, NotFound) for error in failures):
        raise _worst(failures)
    return max(found, key=lambda row: -math.inf if math.isnan(row.time) else row.time)


def _worst(failures: list[StampServiceError]) -> StampServiceError:
    """Choose what to say: anything but *absent*, if there is something else."""
    return next((error for error in failures if not isinstance(error, NotFound)), failures[0])


def _make(query: CutoutQuery, survey: Survey, found: Found) -> bytes:
    here = services()
    if query.output == "FITS":
        (cutout,) = found.cutouts.values()
        return gunzip_cutout(cutout, here.settings.max_cutout_bytes)
    if query.output == "PNG":
        ((kind, cutout),) = found.cutouts.items()
        stamp = stamp_of(here, cutout)
        with here.metrics.stage("draw"):
            return draw_plain_png(stamp, survey, kind, query.style())
    arrays = {
        kind: orjson.Fragment(to_json(stamp_of(here, found.cutouts[kind]))) if kind in found.cutouts else None
        for kind in query.kinds(survey)
    }
    if query.output == "list":
        return orjson.dumps(list(arrays.values()))
    return orjson.dumps({_column(survey, kind): array for kind, array in arrays.items()})


def _column(survey: Survey, kind: Kind) -> str:
    """Name of a cutout's column in Fink's tables, where `b` is what the survey itself published."""
    return f"b:{survey.cutouts[kind].fields[0].replace('.', '_')}"
