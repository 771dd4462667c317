"""Survey definitions from TOML files: the built-in ones, and a folder of the user's."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from stamp_service.errors import ConfigurationError, RequestError
from stamp_service.surveys.definition import Survey


class Surveys(Mapping[str, Survey]):
    """The surveys that are defined, by name.

    Parameters
    ----------
    surveys : iterable of Survey
        The definitions; a later one replaces an earlier one of its name.
    """

    def __init__(self, surveys: Iterable[Survey]) -> None:
        self._by_name = {survey.name: survey for survey in surveys}

    def __getitem__(self, name: str) -> Survey:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def named(self, name: str, parameter: str = "survey") -> Survey:
        """Find the survey that a request names, in any case.

        Parameters
        ----------
        name : str
            The name as it was given.
        parameter : str
            What the request calls it, for the error.

        Returns
        -------
        Survey
            The definition.

        Raises
        ------
        RequestError
            If no survey has this name.
        """
        survey = self._by_name.get(name.lower())
        if survey is None:
            raise RequestError(f"{parameter} is not one of {', '.join(self._by_name)}", parameter)
        return survey


def _read(file: Traversable | Path) -> Survey:
    try:
        return Survey.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Survey file {file.name}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"Survey file {file.name}: {place}: {first['msg']}") from None


def load_surveys(directory: Path | None = None) -> Surveys:
    """Load the built-in surveys, then those of a folder.

    Parameters
    ----------
    directory : pathlib.Path, optional
        Folder of further `*.toml` files; one with a built-in survey's name replaces it.

    Returns
    -------
    Surveys
        All of them.

    Raises
    ------
    ConfigurationError
        If a file is not a survey definition, or the folder does not exist.
    """
    if directory is not None and not directory.is_dir():
        raise ConfigurationError(f"STAMP_SURVEYS_DIR: {directory} is not a folder")
    built_in = [files("stamp_service.surveys") / f"{name}.toml" for name in ("ztf", "atlas", "lsst")]
    own = sorted(directory.glob("*.toml")) if directory else []
    return Surveys(_read(file) for file in (*built_in, *own))
