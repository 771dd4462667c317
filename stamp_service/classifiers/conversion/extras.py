"""The optional packages that conversion needs, imported where they are first needed."""

from importlib import import_module
from typing import Any, TypeAlias

from stamp_service.errors import ConfigurationError

# What these packages hand out: they publish no types, or none that say more.
Untyped: TypeAlias = Any


def extra(name: str) -> Untyped:
    """Import a module of the `convert` extra.

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
        raise ConfigurationError("Converting models needs: pip install 'stamp-service[convert]'") from None
