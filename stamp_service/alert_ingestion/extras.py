"""The optional packages that tables need, imported where they are first needed."""

from importlib import import_module
from typing import Any, Literal, TypeAlias

from stamp_service.errors import ConfigurationError

# What these packages hand out: they publish no types, or none that say more.
Untyped: TypeAlias = Any


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
    try:
        return import_module(name)
    except ImportError:
        raise ConfigurationError(f"Tables need: pip install 'stamp-service[{needed_for},lake]'") from None
