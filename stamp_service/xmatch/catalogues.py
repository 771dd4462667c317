"""Catalogues in files on this machine: CSV, VOTable, FITS, Parquet."""

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from astropy.io.fits.verify import VerifyWarning
from astropy.table import Column, MaskedColumn, Table
from astropy.units import UnitsWarning

from stamp_service.errors import ConfigurationError, NotFound, RequestError

# How each format is called by astropy; Parquet is read by pyarrow.
_FORMATS = {
    ".csv": "ascii.csv",
    ".ecsv": "ascii.ecsv",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
    ".fits": "fits",
    ".fit": "fits",
    ".parquet": "parquet",
}
_COMPRESSED = {".gz", ".bz2", ".xz"}


def format_of(path: Path) -> str | None:
    """Tell a catalogue's format by its name.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    str or None
        `ascii.csv`, `ascii.ecsv`, `votable`, `fits` or `parquet`; None for other files.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return _FORMATS.get(suffixes[-1]) if suffixes else None


def read_table(path: Path) -> Table:
    """Read a table from a file.

    Parameters
    ----------
    path : pathlib.Path
        CSV, ECSV, VOTable, FITS (each possibly compressed) or Parquet.

    Returns
    -------
    astropy.table.Table
        The table; of Parquet files, the columns with one value per row.

    Raises
    ------
    NotFound
        If there is no such file.
    RequestError
        If it is not such a table.
    ConfigurationError
        If what reads it is not installed.
    """
    form = format_of(path)
    if form is None:
        raise RequestError(f"{path.name} is not called like a CSV, VOTable, FITS or Parquet file")
    if not path.is_file():
        raise NotFound(f"there is no file {path.name}")
    if form == "parquet":
        return _read_parquet(path)
    if form == "ascii.csv" and path.stat().st_size == 0:
        return Table()
    try:
        with warnings.catch_warnings():
            # Units and cards that are not quite standard do not matter here.
            warnings.simplefilter("ignore", UnitsWarning)
            warnings.simplefilter("ignore", VerifyWarning)
            options = {"use_names_over_ids": True} if form == "votable" else {}
            table = Table.read(path, format=form, **options)
            table.convert_bytestring_to_unicode()  # FITS has bytes where others have text
            return table
    except Exception as error:
        # Astropy's readers raise whatever their parsers meet: KeyError, IndexError, TableParseError, E19, …
        raise RequestError(f"{path.name} could not be read as a table") from error


def _read_parquet(path: Path) -> Table:
    parquet = _import_parquet()
    try:
        return from_arrow(parquet.read_table(path))
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise RequestError(f"{path.name} could not be read as a table") from error


def _import_parquet() -> ModuleType:
    try:
        import pyarrow.parquet  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("Parquet files need pyarrow: install stamp-service[xmatch]") from None
    module: ModuleType = pyarrow.parquet
    return module


def from_arrow(table: Any) -> Table:  # noqa: ANN401 - pyarrow is an extra without types
    """Convert an Arrow table.

    Parameters
    ----------
    table : pyarrow.Table
        The table; columns of lists, structures and bytes are left out.

    Returns
    -------
    astropy.table.Table
        Its columns; nulls are masked.
    """
    converted = Table()
    for name, column in zip(table.column_names, table.columns, strict=True):
        made = _column(column)
        if made is not None:
            converted[name] = made
    return converted


def _column(column: Any) -> Column | None:  # noqa: ANN401 - pyarrow is an extra without types
    from pyarrow import compute, types  # noqa: PLC0415 - an extra, present where there is an Arrow table

    kind = column.type
    if types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    is_text = types.is_string(kind) or types.is_large_string(kind)
    if not (is_text or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        return None
    nulls = np.asarray(compute.is_null(column))
    filler = "" if is_text else False if types.is_boolean(kind) else 0
    values = compute.fill_null(column, filler).to_numpy()
    if is_text:
        values = values.astype(str)
    return MaskedColumn(values, mask=nulls) if nulls.any() else Column(values)
