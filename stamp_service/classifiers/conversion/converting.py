"""From somebody's files to a model directory."""

import hashlib
import secrets
import shutil
from pathlib import Path

from pydantic import ValidationError

from stamp_service.classifiers.conversion.alerce import convert_checkpoint
from stamp_service.classifiers.conversion.checkpoints import read_checkpoint
from stamp_service.classifiers.conversion.converted import Converted
from stamp_service.classifiers.conversion.keras import Normalisation, choose_normalisation, convert_keras
from stamp_service.classifiers.conversion.sources import (
    archive_files,
    find_checkpoint,
    folder_files,
    read_file,
)
from stamp_service.classifiers.definition import (
    DEFINITION_FILE,
    GRAPH_FILE,
    ModelDefinition,
    write_definition,
)
from stamp_service.errors import ConfigurationError

DEFAULT_VERSION = "1.0.0"
_SURVEY = "ztf"
_ZIP_MAGIC = b"PK\x03\x04"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_FILES = {GRAPH_FILE, DEFINITION_FILE}


def convert(
    source: Path,
    target: Path,
    *,
    name: str | None = None,
    version: str = DEFAULT_VERSION,
    checkpoint: str | None = None,
    normalisation: Normalisation | None = None,
    replace: bool = False,
) -> ModelDefinition:
    """Make a model directory out of a network's files.

    Parameters
    ----------
    source : pathlib.Path
        A folder with a TensorFlow checkpoint in it, a zip archive with one in it, or a Keras HDF5 file.
    target : pathlib.Path
        The directory to make: it is there whole, or not at all.
    name : str, optional
        What the model is called; by default as the directory.
    version : str
        Its version.
    checkpoint : str, optional
        Which checkpoint of the source, where it has several: its path without the ends of its files' names.
    normalisation : str, optional
        How the stamps of a Keras file are normalised, where that is not known.
    replace : bool
        Whether a model directory that is there may be replaced.

    Returns
    -------
    ModelDefinition
        What was written to `model.toml`.

    Raises
    ------
    ConfigurationError
        If the source is damaged or not a network that is known, the target is there or cannot be written, or the
        `convert` extra is missing.
    TooLarge
        If a file of the source is larger than any network.
    """
    _check_target(target, replace=replace)
    converted, digest = _read(source, checkpoint, normalisation)
    try:
        definition = ModelDefinition(
            name=target.absolute().name if name is None else name,
            version=version,
            description=converted.description,
            survey=_SURVEY,
            classes=converted.classes,
            model_sha256=hashlib.sha256(converted.graph).hexdigest(),
            source=source.absolute().name.encode(errors="replace").decode(),
            source_sha256=digest,
            output=converted.output,
            stamps=(converted.stamps,),
            metadata=converted.metadata,
            rules=converted.rules,
        )
    except ValidationError as error:
        field = error.errors(include_input=False, include_url=False)[0]["loc"][0]
        raise ConfigurationError(f"This cannot be a model's {field}: choose one with --{field}") from None
    write_model(target, converted.graph, definition)
    return definition


def _read(source: Path, checkpoint: str | None, normalisation: Normalisation | None) -> tuple[Converted, str]:
    """Read the source, and identify it by SHA-256: a file's, or that of a folder's index and data in turn."""
    if source.is_dir():
        index, data = find_checkpoint(folder_files(source), checkpoint)
        digest = hashlib.sha256(index + data).hexdigest()
    else:
        content = read_file(source)
        digest = hashlib.sha256(content).hexdigest()
        if content.startswith(_HDF5_MAGIC):
            how, remark = choose_normalisation(source.name, digest, normalisation)
            return convert_keras(content, how, remark), digest
        if not content.startswith(_ZIP_MAGIC):
            raise ConfigurationError(f"{source.name} is neither a zip archive nor an HDF5 file")
        index, data = find_checkpoint(archive_files(content), checkpoint)
    if normalisation is not None:
        raise ConfigurationError("How stamps are normalised is known for checkpoints, and cannot be chosen")
    return convert_checkpoint(read_checkpoint(index, data)), digest


def _check_target(target: Path, *, replace: bool) -> None:
    try:
        there = {path.name for path in target.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{target.name} cannot be written to: {error.strerror}") from None
    if there - _FILES:
        raise ConfigurationError(f"{target.name} holds other files than a model's, and stays as it is")
    if there and not replace:
        raise ConfigurationError(f"{target.name} is there already, and is replaced only with --replace")


def write_model(target: Path, graph: bytes, definition: ModelDefinition) -> None:
    """Write a model directory beside its place, then put it there: half a model is never seen.

    Parameters
    ----------
    target : pathlib.Path
        The directory; one that is there is replaced, with all that is in it.
    graph : bytes
        `model.onnx`.
    definition : ModelDefinition
        What `model.toml` is to say.

    Raises
    ------
    ConfigurationError
        If it cannot be written.
    """
    target = target.absolute()
    token = secrets.token_hex(8)
    new, old = (target.with_name(f".{target.name}.{token}.{state}") for state in ("new", "old"))
    try:
        new.mkdir(parents=True)
        (new / GRAPH_FILE).write_bytes(graph)
        write_definition(new, definition)
        if target.exists():
            target.rename(old)
        new.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise ConfigurationError(f"{target.name} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
