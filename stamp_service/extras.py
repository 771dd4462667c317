"""Optional packages, imported where they are first needed."""

from importlib import import_module
from typing import Any, TypeAlias

from stamp_service.errors import ConfigurationError

# What such packages hand out: they publish no types, or none that say more.
Untyped: TypeAlias = Any


def import_extra(name: str, needed: str, extras: str) -> Untyped:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Its full name.
    needed : str
        Who needs it, as the first words of the error.
    extras : str
        The extras to install where it is missing, with commas between them.

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
        raise ConfigurationError(f"{needed}: pip install 'stamp-service[{extras}]'") from None
