"""The `stamp-service xmatch` command: which entries of a catalogue lie where alerts are."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stamp_service.errors import RequestError
from stamp_service.settings import load_settings

if TYPE_CHECKING:
    from astropy.table import Table

_TWO_MASS = "vizier:II/246/out"
_FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".vot": "votable", ".xml": "votable", ".fits": "fits"}


@click.command()
@click.argument("positions", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--catalogue", default=_TWO_MASS, show_default=True, help="What to match with; see below.")
@click.option(
    "--distance", default=5.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="arcsec"
)
@click.option("--max-alerts", default=1000, show_default=True, help="Without POSITIONS: how many; 0 for all.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="CSV, ECSV, VOTable or FITS."
)
def xmatch(positions: Path | None, catalogue: str, distance: float, max_alerts: int, output: Path | None) -> None:
    """Match positions with a catalogue.

    POSITIONS is a table's file with `ra` and `dec`; without it, the local ZTF alerts are matched.

    The catalogue is `vizier:` and the name of a VizieR table, or `simbad`, matched by the CDS XMatch service; or a
    CSV, VOTable, FITS or Parquet file, or the folder of a HATS catalogue, matched here; or a name from
    STAMP_CATALOGUES. Without an output, the matches are printed as CSV.
    """
    from stamp_service.xmatch import get_alerts_ra_dec, get_xmatches  # noqa: PLC0415 - a second for astropy's tables

    settings = load_settings()
    form = "ascii.csv" if output is None else _FORMATS.get(output.suffix.lower())
    if form is None:
        raise click.UsageError(f"the output has to end with one of {', '.join(_FORMATS)}")
    if output is not None and not output.parent.is_dir():
        raise click.UsageError(f"there is no folder {output.parent}")
    first = positions if positions is not None else get_alerts_ra_dec(max_alerts=max_alerts, settings=settings)
    found = get_xmatches(first, settings.catalogues.get(catalogue, catalogue), distance, settings=settings)
    _write(found, form, output)


def _write(found: "Table", form: str, output: Path | None) -> None:
    lists = [name for name in found.colnames if found[name].ndim > 1]
    if lists and form == "ascii.csv":
        click.echo(f"left out, because CSV has one value per row: {', '.join(lists)}", err=True)
        found.remove_columns(lists)
    if output is None:
        text = io.StringIO()
        found.write(text, format=form)
        click.echo(text.getvalue(), nl=False)
        return
    try:
        found.write(output, format=form, overwrite=True)
    except OSError as error:
        raise RequestError(f"{output} could not be written: {error.strerror or 'it failed'}") from None
    click.echo(f"{len(found)} matches in {output}")
