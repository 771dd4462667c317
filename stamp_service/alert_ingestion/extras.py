"""The optional packages that tables need."""

from typing import Literal

from stamp_service.extras import Untyped, import_extra

__all__ = ["Untyped", "extra"]


def extra(name: str, needed_for: Literal["duckdb", "bigquery"] = "duckdb") -> Untyped:
    """Import a module that tables need.

    Parameters
    ----------
    name : str
        Its full name.
    needed_for : str
        The extra to name where it is missing.

    Returns
    -------
    module
        The module.

    Raises
    ------
    ConfigurationError
        If it is not installed.
    """
    return import_extra(name, "Tables need", f"{needed_for},lake")
