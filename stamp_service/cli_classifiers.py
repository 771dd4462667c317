"""The commands of the classifiers: `stamp-service classify` and `stamp-service classifier`."""

import click


@click.group()
def classifier() -> None:
    """Stamp classifiers: make model directories."""
