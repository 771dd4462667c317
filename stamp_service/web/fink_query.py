"""What Fink's two cutout APIs are asked, and which rows that may mean.

What an object or an alert is called follows from the surveys' definitions, and the survey from what was named.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from stamp_service.errors import RequestError
from stamp_service.images import Kernel, Style, check_colormap
from stamp_service.lake.paths import check_path
from stamp_service.surveys import Kind, StretchName, Survey, Surveys

Output = Literal["list", "array", "FITS", "PNG"]
_KINDS: Mapping[str, Kind] = {"Science": "science", "Template": "template", "Difference": "difference"}
# ZTF's and ATLAS's name for an alert; Fink asks for it only together with its object.
_NEEDS_OBJECT = "candid"


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


_IDS = {
    "objectId": "object_id",
    "candid": "candid",
    "diaObjectId": "dia_object_id",
    "diaSourceId": "dia_source_id",
}
# Checked in `rows`, which knows the patterns of the surveys' ids.
_Id = Annotated[Any, WithJsonSchema({"type": ["string", "integer"]})]
_Percentile = Annotated[float, BeforeValidator(_no_boolean), Field(ge=0, le=100)]


class CutoutQuery(BaseModel):
    """Names a row, which cutout of it, and in what form; further surveys' ids may be named like those here."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["Science", "Template", "Difference", "All"] | None = Field(
        None, description="Which cutout. Needed; `All` gives arrays only."
    )
    object_id: _Id | None = Field(None, alias="objectId", description="ZTF or ATLAS object, or its latest alert.")
    candid: _Id | None = Field(None, description="Alert of that object.")
    dia_object_id: _Id | None = Field(None, alias="diaObjectId", description="Rubin object, or its latest alert.")
    dia_source_id: _Id | None = Field(None, alias="diaSourceId", description="Rubin alert.")
    hdfs_path: str | None = Field(
        None, alias="hdfsPath", description="File of the row, relative to the lake; makes this the cutout API."
    )
    return_type: Literal["array", "FITS"] = Field("array", description="Form of the answer, with `hdfsPath`.")
    output_format: Literal["PNG", "FITS", "array"] = Field(
        "PNG", alias="output-format", description="Form of the answer, without `hdfsPath`."
    )
    stretch: StretchName = Field("sigmoid", description="How a PNG's values become grey.")
    colormap: str | None = Field(None, max_length=32, description="Colour map of a PNG, by its matplotlib name.")
    pmin: _Percentile = Field(0.5, description="Percentile that is black; no effect on `sigmoid`.")
    pmax: _Percentile = Field(99.5, description="Percentile that is white; no effect on `sigmoid`.")
    convolution_kernel: Kernel | None = Field(None, description="What a PNG is smoothed with.")

    @property
    def output(self) -> Output:
        """Form of the answer; `list` is the cutout API's array."""
        if self.hdfs_path is None:
            return self.output_format
        return "list" if self.return_type == "array" else "FITS"

    def kinds(self, survey: Survey) -> tuple[Kind, ...]:
        """Say which cutouts are asked for.

        Parameters
        ----------
        survey : Survey
            The survey of the row.

        Returns
        -------
        tuple of str
            In the order science, template, difference; none if the survey does not publish the one asked for.
        """
        return tuple(kind for kind in survey.kinds if _KINDS.get(self.kind or "", kind) == kind)

    def style(self) -> Style:
        """Say how a PNG is drawn.

        Returns
        -------
        Style
            Everything that decides the picture.

        Raises
        ------
        RequestError
            If an option is out of range.
        """
        if self.colormap is not None:
            check_colormap(self.colormap, "colormap")
        return Style(
            interval="minmax" if self.stretch == "sigmoid" else "percentile",
            pmin=self.pmin,
            pmax=self.pmax,
            stretch=self.stretch,
            cmap=self.colormap or "gray",
            kernel=self.convolution_kernel,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a survey's lakes, as it was asked for.

    Parameters
    ----------
    survey : Survey
        The survey.
    path : str or None
        File that it is in, if that was said.
    alert_id, object_id : str or None
        Ids that match the survey's patterns; at least one.
    name : str
        What a file with the answer is called.
    """

    survey: Survey
    path: str | None
    alert_id: str | None
    object_id: str | None
    name: str


def parameters(survey: Survey) -> tuple[str, str]:
    """Say what the APIs call a survey's ids.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    object_parameter : str
        Name of the parameter for objects, which is the field's.
    alert_parameter : str
        Name of the parameter for alerts.
    """
    return survey.object_id.name, survey.alert_id.name


def rows(query: CutoutQuery, surveys: Surveys, has_lake: Callable[[str], bool]) -> list[Row]:
    """Find out which rows a query may mean: one for each survey whose ids look like the given ones.

    Parameters
    ----------
    query : CutoutQuery
        What was asked.
    surveys : Surveys
        The surveys that are defined.
    has_lake : callable
        Says whether a lake is registered for the survey of this name.

    Returns
    -------
    list of Row
        At least one.

    Raises
    ------
    RequestError
        If something is missing, malformed, or does not go together.
    """
    if query.kind is None:
        raise RequestError(f"kind is missing: one of {', '.join(_KINDS)}, All", "kind")
    if query.kind == "All" and query.output in {"FITS", "PNG"}:
        parameter = "return_type" if query.hdfs_path else "output-format"
        raise RequestError(f"kind=All needs {parameter}=array", "kind")
    query.style()
    path = None if query.hdfs_path is None else check_path(query.hdfs_path)
    given = _given_ids(query, surveys)
    possible = [survey for survey in surveys.values() if given.keys() <= set(parameters(survey))]
    if not possible:
        raise RequestError(f"{' and '.join(given)} are not ids of one survey", next(iter(given)))
    if set(given) == {_NEEDS_OBJECT}:
        needed = parameters(possible[0])[0]
        raise RequestError(f"{_NEEDS_OBJECT} is asked for with its {needed}", needed)
    names_alert = any(parameters(survey)[1] in given for survey in possible)
    if path is not None or not names_alert:  # only a lake can answer
        possible = [survey for survey in possible if has_lake(survey.name)] or possible
    return [_row(survey, path, given) for survey in _matching(possible, given)]


def _given_ids(query: CutoutQuery, surveys: Surveys) -> dict[str, str]:
    further = query.model_extra or {}
    known = dict.fromkeys(name for survey in surveys.values() for name in parameters(survey))
    values = {name: getattr(query, _IDS[name]) if name in _IDS else further.get(name) for name in known}
    given = {name: _as_text(name, value) for name, value in values.items() if value is not None}
    if not given:
        raise RequestError(f"no id is given: one of {', '.join(known)}")
    return given


def _as_text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestError(f"{name} is neither text nor a whole number", name)
    return str(value)


def _matches(survey: Survey, name: str, text: str) -> bool:
    return (survey.object_id if name == parameters(survey)[0] else survey.alert_id).matches(text)


def _matching(possible: list[Survey], given: Mapping[str, str]) -> list[Survey]:
    titles = " or ".join(survey.name for survey in possible)
    for name, text in given.items():
        if not any(_matches(survey, name, text) for survey in possible):
            raise RequestError(f"{name} does not look like an id of {titles}", name)
    found = [survey for survey in possible if all(_matches(survey, *item) for item in given.items())]
    if not found:
        raise RequestError(f"{' and '.join(given)} are not ids of one survey", next(iter(given)))
    return found


def _row(survey: Survey, path: str | None, given: Mapping[str, str]) -> Row:
    object_id, alert_id = (given.get(name) for name in parameters(survey))
    # Fink's cutout API names a file by `objectId` or by `diaSourceId`, its object API by the object.
    names_file = alert_id if path is not None and _NEEDS_OBJECT not in parameters(survey) else object_id
    return Row(survey, path, alert_id, object_id, names_file or object_id or alert_id or "")
