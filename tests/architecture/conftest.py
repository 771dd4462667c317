"""The project's own source, parsed."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _parse(folder: Path) -> dict[str, ast.Module]:
    files = {file.relative_to(ROOT): file for file in sorted(folder.rglob("*.py"))}
    return {path.as_posix(): ast.parse(file.read_text(encoding="utf-8")) for path, file in files.items()}


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def sources() -> dict[str, ast.Module]:
    """Every module that is run in production, by path."""
    top = {
        name: ast.parse((ROOT / name).read_text(encoding="utf-8"))
        for name in ("app.py", "gunicorn.conf.py")
        if (ROOT / name).is_file()
    }
    return _parse(ROOT / "stamp_service") | top


@pytest.fixture(scope="session")
def test_sources() -> dict[str, ast.Module]:
    """Every module of the tests, by path."""
    return _parse(ROOT / "tests")
