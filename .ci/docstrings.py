"""Validate the docstrings of everything public, as objects: numpydoc's own hook reads the source, and so
takes properties for functions and dataclasses for classes without parameters.

The checks and the names to leave out stand in pyproject.toml, `[tool.numpydoc_validation]`.
"""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from numpydoc.validate import validate

import stamp_service

TABLE = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["numpydoc_validation"]
CHECKS = set(TABLE["checks"])
EXCLUDED = re.compile("|".join(TABLE["exclude"]))


def public_names(module: ModuleType) -> Iterator[tuple[str, object]]:
    """List what a module defines: classes, their methods and properties, functions."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            yield f"{module.__name__}.{name}", value
            for member, function in vars(value).items():
                if inspect.isfunction(function) or isinstance(function, property | classmethod | staticmethod):
                    yield f"{module.__name__}.{name}.{member}", function
        elif inspect.isfunction(value):
            yield f"{module.__name__}.{name}", value


def explains_its_parameters(value: object) -> bool:
    """Say whether an object must list its parameters: models, protocols and exceptions describe fields instead."""
    if not inspect.isclass(value):
        return True
    lists_attributes = "\n    Attributes\n    ---" in (value.__doc__ or "")
    is_protocol = getattr(value, "_is_protocol", False)
    has_own = dataclasses.is_dataclass(value) or "__init__" in vars(value)
    return has_own and not is_protocol and not lists_attributes


def main() -> int:
    """Print every violation; return how many there are."""
    count = 0
    for found in pkgutil.walk_packages(stamp_service.__path__, "stamp_service."):
        module = importlib.import_module(found.name)
        for name, value in public_names(module):
            if EXCLUDED.search(name):
                continue
            for code, message in validate(name)["errors"]:
                if code in CHECKS and (code != "PR01" or explains_its_parameters(value)):
                    print(f"{name}: {code} {message}")
                    count += 1
    return count


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
