"""What a model directory says about its model: `model.toml`, beside `model.onnx`.

Everything that is needed to use somebody's stamp classifier is written there: which stamps the graph wants and how
they are prepared, which numbers of the alert it is fed with, what its output means, and the rules around it.
"""

import hashlib
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stamp_service.errors import ConfigurationError
from stamp_service.surveys import Kind

GRAPH_FILE = "model.onnx"
DEFINITION_FILE = "model.toml"

Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Tensor = Annotated[str, Field(min_length=1, max_length=256)]
# Dotted paths into an alert's record, in order of preference: the first that is there is used.
Paths = Annotated[tuple[str, ...], Field(min_length=1)]
Size = Annotated[int, Field(ge=1, le=4096)]
Derivation = Literal["ra", "dec", "ecl_long", "ecl_lat", "gal_long", "gal_lat"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Stamps(_Part):
    """An input of stamps: float32, one image for each kind.

    What is done, in this order: stamps of another `shape` (ny, nx) are refused, unless `pad` is given and they are
    smaller; the central `crop` is cut out, the centre of an odd remainder being the lower one; each image is
    normalised; what `pad` adds is added at the end of each axis; the images are stacked in the order of `kinds`.

    `minmax` subtracts the least value, then divides by the greatest that is left, then turns NaN into 0. `l2`
    makes NaN 0 and infinities finite, then divides by the image's Euclidean norm; `l2-rows` by the norm of each
    row, rows of zeros left alone. `none` takes the pixels as published.
    """

    input: Tensor
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    shape: tuple[Size, Size]
    crop: tuple[Size, Size] | None = None
    normalisation: Literal["minmax", "l2", "l2-rows", "none"] = "none"
    pad: float | None = None
    layout: Literal["NHWC", "NCHW", "NHW"] = "NHWC"

    @property
    def fed_shape(self) -> tuple[int, int]:
        """Shape (ny, nx) of an image as the graph gets it."""
        return self.crop or self.shape

    @model_validator(mode="after")
    def _fits(self) -> "Stamps":
        if any(cut > whole for cut, whole in zip(self.fed_shape, self.shape, strict=True)):
            raise ValueError("crop is larger than shape")
        if self.crop is not None and self.pad is not None:
            raise ValueError("crop and pad exclude each other")
        if self.layout == "NHW" and len(self.kinds) > 1:
            raise ValueError("layout NHW has room for one kind")
        return self


class Feature(_Part):
    """A number of an alert.

    Where it comes from is one of: `fields`, of which `minus` is subtracted; a `card` of the header of the stamp of
    kind `header`; or what is `derived` from the survey's own position: right ascension and declination, ecliptic
    or galactic longitude and latitude (J2000, degrees). `categories` turns words, and numbers as they are written,
    into numbers: that is where a model says which isdiffpos it was trained on. Then the value is clipped to
    `minimum` and `maximum`, `mean` is subtracted and the result divided by `std`, in float64; the graph gets
    float32.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    fields: Paths | None = None
    minus: Paths | None = None
    card: Annotated[str, Field(pattern="^[A-Z0-9_-]{1,8}$")] | None = None
    header: Kind = "science"
    derived: Derivation | None = None
    categories: dict[str, float] | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float = 0.0
    std: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _has_one_source(self) -> "Feature":
        if sum(source is not None for source in (self.fields, self.card, self.derived)) != 1:
            raise ValueError("give one of fields, card and derived")
        if self.minus is not None and self.fields is None:
            raise ValueError("minus needs fields")
        return self


class Metadata(_Part):
    """The input of an alert's numbers: (N, features), float32."""

    input: Tensor
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]


class Output(_Part):
    """What the graph gives.

    `probabilities` of the classes, (N, classes); their `logits`, which softmax turns into probabilities; or a
    `score`, (N, 1) or (N,): the probability of the first of two classes.
    """

    name: Tensor
    holds: Literal["probabilities", "logits", "score"] = "probabilities"


class AsteroidRule(_Part):
    """An alert with a known Solar System object nearby is of one class for certain, and the model is not asked.

    `fields` hold the distance to it; null and `no_match` say that there is none.
    """

    class_name: str
    fields: Paths = ("candidate.ssdistnr",)
    no_match: float = -999.0


class SupernovaRule(_Part):
    """A supernova does not get fainter than its template, and does not lie on a star: such a result is dropped.

    That is: where `class_name` is the most probable class and `isdiffpos` is one of `negative`, or the nearest
    source's star score is above `star_score_above` and its distance below `distance_below_arcsec`.
    """

    class_name: str
    isdiffpos: Paths = ("candidate.isdiffpos",)
    negative: tuple[str, ...] = ("f", "0", "-1")
    star_score: Paths = ("candidate.sgscore1",)
    star_score_above: float = 0.5
    distance: Paths = ("candidate.distpsnr1",)
    distance_below_arcsec: float = 1.0


class Rules(_Part):
    """The rules around a model; applied where they are asked for."""

    asteroid: AsteroidRule | None = None
    supernova: SupernovaRule | None = None


class ModelDefinition(_Part):
    """Everything about a model but its graph.

    `classes` are in the order of the graph's output. `model_sha256` is of `model.onnx`; `source` says what it was
    made from, and `source_sha256` identifies that.
    """

    name: Name
    version: Annotated[str, Field(min_length=1, max_length=32)]
    description: str = ""
    survey: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,31}$")]
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    model_sha256: Digest
    source: str = ""
    source_sha256: Digest | None = None
    output: Output
    stamps: Annotated[tuple[Stamps, ...], Field(min_length=1)]
    metadata: Metadata | None = None
    rules: Rules = Rules()

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the definition and so of the graph: what another gave is another answer."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=8).hexdigest()

    @model_validator(mode="after")
    def _is_consistent(self) -> "ModelDefinition":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        if self.output.holds == "score" and len(self.classes) != 2:
            raise ValueError("a score has two classes")
        for rule in (self.rules.asteroid, self.rules.supernova):
            if rule is not None and rule.class_name not in self.classes:
                raise ValueError("a rule is about a class that the model does not have")
        return self


def read_definition(folder: Path) -> ModelDefinition:
    """Read what a model directory says, and hold its graph against it.

    Parameters
    ----------
    folder : pathlib.Path
        The directory.

    Returns
    -------
    ModelDefinition
        The definition.

    Raises
    ------
    ConfigurationError
        If a file is missing, `model.toml` is not a definition, or `model.onnx` is not the file it was written for.
    """
    return read_model(folder)[0]


def read_model(folder: Path) -> tuple[ModelDefinition, bytes]:
    """Read a model directory; the graph that is handed out is the one that was held against its checksum.

    Parameters
    ----------
    folder : pathlib.Path
        The directory.

    Returns
    -------
    tuple of ModelDefinition and bytes
        The definition and `model.onnx`.

    Raises
    ------
    ConfigurationError
        If a file is missing, `model.toml` is not a definition, or `model.onnx` is not the file it was written for.
    """
    place = f"Model {folder.name}"
    try:
        text = (folder / DEFINITION_FILE).read_bytes().decode()
        definition = ModelDefinition.model_validate(tomllib.loads(text))
        graph = (folder / GRAPH_FILE).read_bytes()
    except OSError as error:
        missing = Path(str(error.filename)).name
        raise ConfigurationError(f"{place}: {missing} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place}: {DEFINITION_FILE} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{place}: {DEFINITION_FILE}: {where}: {first['msg']}") from None
    if hashlib.sha256(graph).hexdigest() != definition.model_sha256:
        raise ConfigurationError(f"{place}: {GRAPH_FILE} is not the file that {DEFINITION_FILE} was written for")
    return definition, graph


def write_definition(folder: Path, definition: ModelDefinition) -> None:
    """Write `model.toml`.

    Parameters
    ----------
    folder : pathlib.Path
        The directory, which exists.
    definition : ModelDefinition
        What to write; what is as it is by default is left out.
    """
    values = definition.model_dump(mode="json", exclude_defaults=True)
    (folder / DEFINITION_FILE).write_text("".join(_lines(values)), encoding="utf-8")


def _lines(values: dict[str, object], table: str = "") -> list[str]:
    """Write a table, then the tables in it; a list of tables inside a table is one line for each item."""
    lines, below = [], []
    for key, value in values.items():
        if isinstance(value, dict) and not table:
            below += [f"\n[{key}]\n", *_lines(value, key)]
        elif isinstance(value, list) and value and isinstance(value[0], dict) and not table:
            for item in value:
                below += [f"\n[[{key}]]\n", *_lines(item, key)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{key} = [\n", *(f"    {_inline(item)},\n" for item in value), "]\n"]
        else:
            lines.append(f"{key} = {_inline(value)}\n")
    return lines + below


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    # Every JSON text, number and boolean is one of TOML's.
    return orjson.dumps(value).decode()


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
    return name if bare else orjson.dumps(name).decode()
