"""What classifiers say of objects, as the early classification step wrote it down."""

from collections.abc import Iterable
from dataclasses import asdict

from flask import Blueprint, Flask, Response, current_app, request

from stamp_service.errors import ObjectNotFound
from stamp_service.probabilities import ObjectClassification, ProbabilityTables, open_probabilities
from stamp_service.settings import Settings
from stamp_service.surveys import Survey
from stamp_service.web.lists import answer_list
from stamp_service.web.openapi import Operation, describe
from stamp_service.web.services import services

blueprint = Blueprint("probabilities", __name__, url_prefix="/v1")

_EXTENSION = "stamp_service.probabilities"
_DATABASE_S = 5.0
_TEXT, _NUMBER, _INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _array(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


_CLASS = _object(class_name=_TEXT, probability=_NUMBER, ranking=_INTEGER)
_CLASSIFICATION = _object(classifier_name=_TEXT, classifier_version=_TEXT, classes=_array(_CLASS))


def install(app: Flask, settings: Settings) -> None:
    """Give an application the database of class probabilities.

    Parameters
    ----------
    app : flask.Flask
        The application.
    settings : Settings
        Name the database.

    Raises
    ------
    ConfigurationError
        If PostgreSQL's client is not installed, or the database is not named.
    """
    app.extensions[_EXTENSION] = open_probabilities(settings, _DATABASE_S)


@blueprint.get("/objects/<survey>/<object_id>/probabilities")
@describe(
    Operation(
        "The class probabilities of an object",
        {"application/json": _object(survey=_TEXT, object_id=_TEXT, classifications=_array(_CLASSIFICATION))},
        failures=(400, 401, 403, 404, 503, 504),
        secured=True,
    )
)
def probabilities(survey: str, object_id: str) -> Response:
    """Answer with what each classifier says of an object, the most probable class first."""
    here = services()
    found = here.surveys.named(survey)
    public = here.access.check(found, "metadata", request.headers.get("Authorization"))
    checked = found.check_object_id(object_id)
    said = [asdict(one) for one in classifications_of(found, checked)]
    return answer_list({"survey": found.name, "object_id": checked, "classifications": said}, public=public)


def probability_tables() -> ProbabilityTables:
    """Give the database of the application that handles the current request.

    Returns
    -------
    ProbabilityTables
        The same for all its requests.
    """
    tables: ProbabilityTables = current_app.extensions[_EXTENSION]
    return tables


def classifications_of(survey: Survey, object_id: str) -> list[ObjectClassification]:
    """Read what classifiers say of an object.

    Parameters
    ----------
    survey : Survey
        The survey.
    object_id : str
        A checked object id.

    Returns
    -------
    list of ObjectClassification
        By name and version of the classifier.

    Raises
    ------
    ObjectNotFound
        If none says anything.
    StoreUnavailable, StoreTimeout
        If the database could not be asked.
    """
    tables = probability_tables()
    if survey.name != tables.survey:
        raise ObjectNotFound(f"no probabilities of {survey.name} objects are kept")
    return tables.of_object(object_id)


def best_classes(survey: Survey, object_ids: Iterable[str]) -> dict[str, list[ObjectClassification]]:
    """Read which class each classifier finds the most probable.

    Parameters
    ----------
    survey : Survey
        The survey.
    object_ids : iterable of str
        Checked object ids.

    Returns
    -------
    dict of str to list of ObjectClassification
        By object; with the most probable class alone. Objects of which nothing is said are not in it.

    Raises
    ------
    StoreUnavailable, StoreTimeout
        If the database could not be asked.
    """
    tables = probability_tables()
    return tables.best_of(object_ids) if survey.name == tables.survey else {}
