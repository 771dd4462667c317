"""The page of status: what is here, and whether it answers."""

from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from flask import Flask, Response, current_app

from stamp_service import __version__
from stamp_service.errors import StampServiceError, StoreUnavailable
from stamp_service.index import Holding
from stamp_service.remote.processes import PerProcess
from stamp_service.surveys import PERMISSIONS, Survey
from stamp_service.web.classification import model_names
from stamp_service.web.health import Questions
from stamp_service.web.probabilities import probability_tables
from stamp_service.web.services import Services, services
from stamp_service.web.viewer.pages import blueprint, page

# Nobody waits longer for the page, whatever hangs.
_PATIENCE_S = 1.0
_SILENT = "it has not answered yet"
_EXTENSION = "stamp_service.status"
_INDEX, _CLASSES = "index", "database of classes"
_LIBRARIES = (
    "flask",
    "gunicorn",
    "numpy",
    "pillow",
    "astropy",
    "fastavro",
    "sqlalchemy",
    "obstore",
    "pyarrow",
    "onnxruntime",
    "confluent-kafka",
)


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """What the page says of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    access : str
        Who may read it.
    places : list of str
        Stores and lakes that it is looked up in.
    is_told : bool
        Whether everybody may know how much there is.
    holding : Holding or None
        How much there is; None if that is not told, or not known.
    """

    survey: Survey
    access: str
    places: list[str]
    is_told: bool
    holding: Holding | None

    @property
    def last(self) -> datetime | None:
        """When the last alert came."""
        if self.holding is None or self.holding.last_s is None:
            return None
        return datetime.fromtimestamp(self.holding.last_s, UTC)


def install(app: Flask) -> None:
    """Give an application what asks its stores.

    Parameters
    ----------
    app : flask.Flask
        The application.
    """
    app.extensions[_EXTENSION] = PerProcess(Questions)


@blueprint.get("/status")
def status() -> Response:
    """Answer with the page."""
    here = services()
    places, holdings = _ask_all(here)
    return page(
        "status.html",
        now=datetime.now(UTC),
        surveys=[_row(here, survey, holdings) for survey in here.surveys.values()],
        places=places,
        is_counted=places[_INDEX] is None,
        silent=[name for name, problem in places.items() if problem],
        models=model_names(),
        versions={"Stamp Service": __version__, "Python": python_version(), **_library_versions()},
    )


def _ask_all(here: Services) -> tuple[dict[str, str | None], Mapping[str, Holding]]:
    """Ask everything at once, and wait for a moment only.

    Returns
    -------
    places : dict of str to str or None
        What keeps each store, and the databases, from answering.
    holdings : mapping of str to Holding
        How much there is, by survey.
    """
    process: PerProcess[Questions] = current_app.extensions[_EXTENSION]
    questions = process()
    checks = {name: questions.ask(f"store {name}", check) for name, check in here.resolver.checks().items()}
    index = questions.ask(_INDEX, here.index.holdings)
    classes = questions.ask(_CLASSES, partial(probability_tables().best_of, ["of none"]))
    asked: list[Future[Any]] = [*checks.values(), index, classes]
    wait(asked, _PATIENCE_S)
    places: dict[str, str | None] = {}
    for name, check in checks.items():
        found, problem = _answer(check)
        places |= {name: problem} if found is None else found
    holdings, places[_INDEX] = _answer(index)
    _, places[_CLASSES] = _answer(classes)
    return places, holdings or {}


def _answer(question: "Future[Any]") -> tuple[Any, str | None]:
    """Take an answer that may have come, or say why there is none."""
    if not question.done():
        return None, _SILENT
    try:
        return question.result(), None
    except StampServiceError as error:
        return None, str(error)


def _row(here: Services, survey: Survey, holdings: Mapping[str, Holding]) -> SurveyRow:
    # How much there is follows from metadata.
    is_told = here.access.is_public(survey, "metadata")
    try:
        places = here.resolver.store_names(survey)
    except StoreUnavailable:
        places = []
    return SurveyRow(
        survey, _access(here, survey), places, is_told, holdings.get(survey.name) if is_told else None
    )


def _access(here: Services, survey: Survey) -> str:
    """Say who may read a survey."""
    is_open = {permission: here.access.is_public(survey, permission) for permission in PERMISSIONS}
    free, closed = (", ".join(name for name in PERMISSIONS if is_open[name] is wanted) for wanted in (True, False))
    if not closed:
        return "open to all"
    return f"{free} open to all; {closed} with a token" if free else "with a token"


@cache
def _library_versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # it came with an extra that is not installed
    return found
