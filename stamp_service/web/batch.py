"""Many stamps at once: a zip with a manifest, NDJSON, or one contact sheet."""

import base64
import io
import json
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import orjson
from flask import Blueprint, Response
from pydantic import BaseModel, Field

from stamp_service.errors import RequestError, StampServiceError
from stamp_service.images import Tile, add_text, draw_contact_sheet
from stamp_service.surveys import KINDS, Kind
from stamp_service.surveys.definition import MAX_ID_LENGTH
from stamp_service.web.answers import Question, ask
from stamp_service.web.errors import failure_of
from stamp_service.web.forms import CutoutForm, Form, StyleQuery, stamp_of
from stamp_service.web.openapi import Operation, describe, parse, read_json
from stamp_service.web.services import Services, services

blueprint = Blueprint("batch", __name__, url_prefix="/v1")

T = TypeVar("T")

MOST_STAMPS = 1000
_MOST_ROWS = 100
_DAY_S, _MINUTE_S = 24 * 3600, 60
_ANY_KIND = f"({'|'.join(KINDS)})"
# Stamps are fetched this many at a time, and at most twice as many wait in memory to be sent.
_FETCHERS = 8


class BatchItem(BaseModel):
    """One stamp of a batch."""

    survey: str = Field(max_length=32)
    alert_id: str = Field(max_length=MAX_ID_LENGTH)
    kind: Kind
    object_id: str | None = Field(None, max_length=MAX_ID_LENGTH)


class BatchRequest(BaseModel):
    """Which stamps, in which form, drawn how."""

    stamps: list[BatchItem] = Field(min_length=1, max_length=MOST_STAMPS)
    output: Literal["zip", "ndjson", "sheet"] = Field("zip", description="What the answer is.")
    form: Form = Field("png", description="Form of each stamp in a zip or in NDJSON.")
    style: StyleQuery = Field(default_factory=StyleQuery, description="How PNGs are drawn.")
    columns: int = Field(3, ge=1, le=100, description="Stamps per row of a contact sheet.")
    tile: int = Field(126, ge=16, le=512, description="Side of a stamp on a contact sheet, in pixels.")


@dataclass(frozen=True, slots=True)
class Job:
    """One stamp to make, or the reason why it is not even tried.

    Parameters
    ----------
    item : BatchItem
        What was asked for.
    question : Question or None
        The same, checked.
    wanted : CutoutForm or None
        In which form.
    error : Exception or None
        Why there is no question.
    """

    item: BatchItem
    question: Question | None = None
    wanted: CutoutForm | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """One stamp that was made, or the reason why not.

    Parameters
    ----------
    item : BatchItem
        What was asked for.
    data : bytes, Tile or None
        The stamp.
    error : Exception or None
        What went wrong.
    """

    item: BatchItem
    data: T | None = None
    error: Exception | None = None

    def entry(self) -> dict[str, Any]:
        """Describe the outcome for a manifest.

        Returns
        -------
        dict
            Which stamp, its status, and for a missing one the reason.
        """
        named = self.item.model_dump(exclude_none=True)
        if self.error is None:
            return named | {"status": 200}
        failure = failure_of(self.error)
        return named | {"status": failure.row.status, "code": failure.row.code, "detail": failure.detail}


@blueprint.post("/stamps")
@describe(
    Operation(
        summary="Many stamps at once",
        produces={"application/zip": {}, "application/x-ndjson": {}, "image/png": {}},
        body=BatchRequest,
        failures=(400, 413, 415),
        secured=True,
    )
)
def many_stamps() -> Response:
    """Answer with up to a thousand stamps; what is missing is named in the answer, with its reason."""
    here = services()
    batch = parse(BatchRequest, read_json())
    jobs = [_job(batch, item) for item in batch.stamps]
    response = _ANSWERS[batch.output](here, batch, jobs)
    response.headers["Cache-Control"] = "no-store"
    return response


class SheetQuery(StyleQuery):
    """Which stamps a contact sheet shows, and how."""

    alerts: str = Field(
        min_length=3,
        max_length=3000,
        description="Up to 100 alerts, `survey/alert_id` each, with commas between them; a row of the sheet each.",
    )
    kinds: str = Field(
        "science,template,difference",
        pattern=f"^{_ANY_KIND}(,{_ANY_KIND}){{0,2}}$",
        description="The kinds of a row, with commas between them.",
    )
    tile: int = Field(126, ge=16, le=512, description="Side of a stamp, in pixels.")

    def batch(self) -> BatchRequest:
        """Ask for the same as a batch.

        Returns
        -------
        BatchRequest
            The stamps, row by row.

        Raises
        ------
        RequestError
            If `alerts` is no list of alerts, or too long.
        """
        kinds = self.kinds.split(",")
        names = [name.partition("/") for name in self.alerts.split(",")]
        if len(names) > _MOST_ROWS or not all(survey and alert_id for survey, _, alert_id in names):
            raise RequestError(f"alerts is not a list of up to {_MOST_ROWS} times survey/alert_id", "alerts")
        stamps = [
            {"survey": survey, "alert_id": alert_id, "kind": kind}
            for survey, _, alert_id in names
            for kind in kinds
        ]
        style = self.model_dump(include=set(StyleQuery.model_fields))
        return parse(
            BatchRequest,
            {"stamps": stamps, "output": "sheet", "style": style, "columns": len(kinds), "tile": self.tile},
        )


@blueprint.get("/stamps/sheet.png")
@describe(
    Operation(
        summary="A contact sheet, with a row for each alert",
        produces={"image/png": {}},
        query=SheetQuery,
        failures=(400, 413),
        secured=True,
    )
)
def sheet(query: SheetQuery) -> Response:
    """Answer with a picture; what is missing on it is an empty frame, and may come."""
    here = services()
    batch = query.batch()
    jobs = [_job(batch, item) for item in batch.stamps]
    response = _sheet(here, batch, jobs)
    is_public = all(job.question is not None and job.question.public for job in jobs)
    max_age_s = _MINUTE_S if response.headers["X-Sheet-Missing"] else _DAY_S
    response.headers["Cache-Control"] = f"public, max-age={max_age_s}" if is_public else "no-store"
    return response


def _job(batch: BatchRequest, item: BatchItem) -> Job:
    try:
        question = ask(item.survey, item.alert_id, "stamps", item.object_id)
        form: Form = "png" if batch.output == "sheet" else batch.form
        wanted = CutoutForm(item.kind, form, batch.style.style(question, item.kind))
    except StampServiceError as error:
        return Job(item, error=error)
    return Job(item, question, wanted)


def _run(make: Callable[[Question, CutoutForm], T], job: Job) -> Outcome[T]:
    if job.question is None or job.wanted is None:
        return Outcome(job.item, error=job.error)
    try:
        return Outcome(job.item, make(job.question, job.wanted))
    except Exception as error:
        return Outcome(job.item, error=error)


def _outcomes(make: Callable[[Question, CutoutForm], T], jobs: list[Job]) -> Iterator[Outcome[T]]:
    """Run jobs side by side and give their outcomes in order, holding few of them at a time."""
    waiting: deque[Future[Outcome[T]]] = deque()
    pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="batch")
    try:
        for job in jobs:
            waiting.append(pool.submit(_run, make, job))
            if len(waiting) >= 2 * _FETCHERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _made(here: Services, jobs: list[Job]) -> Iterator[Outcome[bytes]]:
    return _outcomes(lambda question, wanted: wanted.make(here, question, question.tag(wanted.identity)), jobs)


class _Outbox(io.RawIOBase):
    """A file that only grows: what `zipfile` writes is taken away in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _zip(here: Services, batch: BatchRequest, jobs: list[Job]) -> Response:
    def stream() -> Iterator[bytes]:
        outbox = _Outbox()
        manifest: dict[str, dict[str, Any]] = {}
        # Stamps are compressed already.
        with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as archive:
            for outcome in _made(here, jobs):
                item = outcome.item
                name = f"{item.survey}/{item.alert_id}_{item.kind}.{batch.form}"
                if outcome.data is not None and name not in manifest:
                    archive.writestr(name, outcome.data)
                    yield outbox.take()
                place = {"file": name} if outcome.data is not None else {}
                manifest.setdefault(name, outcome.entry() | place)
            archive.writestr("manifest.json", orjson.dumps({"stamps": list(manifest.values())}))
        yield outbox.take()

    response = Response(stream(), mimetype="application/zip")
    response.headers["Content-Disposition"] = "attachment; filename=stamps.zip"
    return response


def _ndjson(here: Services, batch: BatchRequest, jobs: list[Job]) -> Response:
    def line(outcome: Outcome[bytes]) -> bytes:
        entry: dict[str, Any] = outcome.entry()
        if outcome.data is not None:
            as_json = batch.form == "json"
            entry["data"] = orjson.Fragment(outcome.data) if as_json else base64.b64encode(outcome.data).decode()
        return orjson.dumps(entry) + b"\n"

    return Response(map(line, _made(here, jobs)), mimetype="application/x-ndjson")


def _sheet(here: Services, batch: BatchRequest, jobs: list[Job]) -> Response:
    def make(question: Question, wanted: CutoutForm) -> Tile:
        stamp = stamp_of(here, wanted.cutout(here, question))
        return Tile(stamp, question.survey, wanted.kind, wanted.style)

    outcomes = list(_outcomes(make, jobs))
    tiles = [outcome.data for outcome in outcomes]
    with here.metrics.stage("draw"):
        png, boxes = draw_contact_sheet(
            tiles, columns=batch.columns, tile_px=batch.tile, max_pixels=here.settings.max_stamp_px
        )
    index = [outcome.entry() | {"box": list(box)} for outcome, box in zip(outcomes, boxes, strict=True)]
    response = Response(add_text(png, "stamps", json.dumps(index)), mimetype="image/png")
    response.headers["X-Sheet-Columns"] = str(min(batch.columns, len(tiles)))
    response.headers["X-Sheet-Tile-Px"] = str(batch.tile)
    response.headers["X-Sheet-Missing"] = ",".join(str(place) for place, tile in enumerate(tiles) if tile is None)
    return response


_ANSWERS: dict[str, Callable[[Services, BatchRequest, list[Job]], Response]] = {
    "zip": _zip,
    "ndjson": _ndjson,
    "sheet": _sheet,
}
