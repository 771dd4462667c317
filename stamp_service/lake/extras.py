"""The optional packages that lakes need, imported where they are first needed."""

from importlib import import_module
from types import ModuleType
from typing import Any, TypeAlias

from stamp_service.errors import ConfigurationError

# What these packages hand out: they publish no types.
Untyped: TypeAlias = Any


def extra(name: str) -> ModuleType:
    """Import a module of the `lake` extra.

    Parameters
    ----------
    name : str
        Its full name.

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
        raise ConfigurationError("Parquet lakes need: pip install 'stamp-service[lake]'") from None
