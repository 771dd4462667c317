"""Classifications of alerts: those that the service has, and stamps that are sent to it.

`/get_classification` is the API that ALeRCE's stamp classifier had: stamps and metadata in a form, class
probabilities back. Its older clients expect these alone; later ones expect them below `probabilities`.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app, request
from pydantic import BaseModel, Field

from stamp_service.classifiers import Models, OnnxClassifier, open_models
from stamp_service.errors import RequestError
from stamp_service.settings import Settings
from stamp_service.surveys import Kind, Survey
from stamp_service.web.answers import answer, ask
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.records import write_json
from stamp_service.web.services import services

blueprint = Blueprint("classification", __name__, url_prefix="/v1")
posting = Blueprint("stamp_classifier", __name__)

_EXTENSION = "stamp_service.classifiers"
_SURVEY = "ztf"
_FILES: dict[str, Kind] = {
    "cutoutScience": "science",
    "cutoutTemplate": "template",
    "cutoutDifference": "difference",
}
_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}


class ClassificationQuery(BaseModel):
    """How to classify an alert."""

    model: str | None = Field(None, max_length=32, description="The model; default: the survey's only one.")
    rules: bool = Field(False, description="Whether to apply the rules around the model as well.")


class FormQuery(BaseModel):
    """How to classify what is sent."""

    model: str | None = Field(None, max_length=32, description="The model; default: the only one of ZTF alerts.")
    wrapped: bool = Field(False, description="Whether to answer with `status` and `probabilities`.")


def install(app: Flask, settings: Settings) -> None:
    """Give an application its models.

    Parameters
    ----------
    app : flask.Flask
        The application.
    settings : Settings
        Name the models.

    Raises
    ------
    ConfigurationError
        If the folder of the models does not exist.
    """
    # Requests run side by side already.
    app.extensions[_EXTENSION] = open_models(settings, threads=1)


def model_names() -> tuple[str, ...]:
    """Name the models of the application that handles the current request.

    Returns
    -------
    tuple of str
        Their names, sorted.
    """
    models: Models = current_app.extensions[_EXTENSION]
    return models.names()


def _model(wanted: str | None, survey: str) -> tuple[str, OnnxClassifier]:
    """Find a model, and what it is called here."""
    models: Models = current_app.extensions[_EXTENSION]
    name = models.default_for(survey) if wanted is None else wanted
    model = models.named(name)
    if model.survey != survey:
        raise RequestError(f"model is for alerts of {model.survey}", "model")
    return name, model


@blueprint.get("/alerts/<survey>/<alert_id>/classification")
@describe(
    Operation(
        summary="The classes of an alert, by a model",
        produces={"application/json": {"type": "object"}},
        query=ClassificationQuery,
        failures=(400, 401, 403, 404, 413, 500, 502, 503, 504),
        secured=True,
    )
)
def classification(survey: str, alert_id: str, query: ClassificationQuery) -> Response:
    """Answer with the probabilities of a model's classes, or with the reason why there are none."""
    question = ask(survey, alert_id, "metadata")
    name, model = _model(query.model, question.survey.name)

    def make(_: str) -> bytes:
        alert = services().resolver.alert(question.survey, question.alert_id)
        # A packet that is broken is an error; one that the model cannot take has a reason.
        object_id = alert.object_id
        (found,) = model.classify([alert], rules=query.rules)
        return write_json(
            {
                "model": name,
                "version": model.version,
                "alert_id": question.alert_id,
                "object_id": object_id,
                "probabilities": found.probabilities,
                "reason": found.reason,
            }
        )

    # The alert stays, and the model may be replaced by one of its name.
    form = f"classification {name} {model.definition.fingerprint} {query.rules}"
    filename = f"{question.alert_id}_{model.name}.json"
    return answer(question, form, make, "application/json", filename, lasting=False)


@dataclass(frozen=True, slots=True)
class _SentAlert:
    """An alert that a form holds."""

    survey: Survey
    alert_id: str
    object_id: str | None
    files: Mapping[Kind, bytes]
    metadata: Mapping[str, Any]

    def cutouts(self) -> Mapping[Kind, bytes]:
        return self.files

    def record(self) -> Mapping[str, Any]:
        return self.metadata


@posting.post("/get_classification")
@describe(
    Operation(
        summary="The classes of stamps that are sent",
        produces={"application/json": {"type": "object"}},
        query=FormQuery,
        form={
            "type": "object",
            "required": list(_FILES),
            "properties": dict.fromkeys(_FILES, _BINARY)
            | {"metadata": {"type": "string", "description": "The candidate's fields: JSON, or CSV of one row."}},
        },
        failures=(400, 413, 500),
        error_schema="StampClassifier",
        error_media_type="application/json",
    )
)
def get_classification(query: FormQuery) -> Response:
    """Answer with the probabilities of a model's classes."""
    _, model = _model(query.model, _SURVEY)
    files = {kind: request.files[name].read() for name, kind in _FILES.items() if name in request.files}
    metadata = _metadata()
    object_id = metadata.get("oid", metadata.get("objectId"))
    record = metadata if isinstance(metadata.get("candidate"), dict) else {"candidate": metadata}
    alert = _SentAlert(
        services().surveys[_SURVEY], "", None if object_id is None else str(object_id), files, record
    )
    (found,) = model.classify([alert])
    if found.probabilities is None:
        raise RequestError(found.reason or "")
    body = {"status": "SUCCESS", "probabilities": found.probabilities} if query.wrapped else found.probabilities
    response = Response(write_json(body), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _metadata() -> dict[str, Any]:
    """Read the metadata, which came as a file or as text, in JSON or as ALeRCE's pandas wrote it."""
    upload = request.files.get("metadata")
    text = upload.read() if upload is not None else request.form.get("metadata", "").encode()
    if not text.strip():
        return {}
    try:
        if text.lstrip().startswith((b"{", b"[")):
            values = orjson.loads(text)
        else:
            rows = csv.DictReader(text.decode().splitlines(), strict=True)
            values = {name: _typed(value) for name, value in next(rows, {}).items() if isinstance(value, str)}
    except (orjson.JSONDecodeError, UnicodeDecodeError, csv.Error):
        values = None
    if not isinstance(values, dict):
        raise RequestError("metadata: neither a JSON object nor CSV", "metadata")
    return values


def _typed(text: str) -> object:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text or None
