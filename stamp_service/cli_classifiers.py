"""The commands of the classifiers: `stamp-service classify` and `stamp-service classifier`."""

from pathlib import Path
from typing import get_args

import click

from stamp_service.classifiers.conversion import DEFAULT_VERSION, Normalisation, convert


@click.group()
def classifier() -> None:
    """Stamp classifiers: make model directories."""


@classifier.command("convert")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The directory to make.")
@click.option("--name", help="What the model is called; as the directory by default.")
@click.option("--version", default=DEFAULT_VERSION, show_default=True, help="Its version.")
@click.option("--checkpoint", help="Which checkpoint, where SOURCE has several.")
@click.option("--normalisation", type=click.Choice(get_args(Normalisation)), help="Of the stamps of a Keras file.")
@click.option("--replace", is_flag=True, help="Replace a model directory that is there.")
def convert_model(
    source: Path,
    target: Path,
    *,
    name: str | None,
    version: str,
    checkpoint: str | None,
    normalisation: Normalisation | None,
    replace: bool,
) -> None:
    """Make a model directory out of SOURCE.

    SOURCE is a folder or a zip archive with a TensorFlow 1 checkpoint of one of ALeRCE's stamp classifiers in it,
    such as the model.zip of their releases, or a Keras HDF5 file of a real/bogus network, such as braai's. What it
    is, is seen from its content. How the stamps of a Keras file are normalised is not written in it: that is known
    for the published files, taken from names such as d6_m9, which is then said, and asked for otherwise.
    """
    made = convert(
        source,
        target,
        name=name,
        version=version,
        checkpoint=checkpoint,
        normalisation=normalisation,
        replace=replace,
    )
    click.echo(f"{made.name} {made.version}: {', '.join(made.classes)}")
    click.echo(made.description)
