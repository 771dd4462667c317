"""The `stamp-service lake` commands: register lakes, and write them."""

import click


@click.group()
def lake() -> None:
    """Parquet lakes: register the folder trees that alerts are served from, and write such trees."""
