"""Small functions, small modules, names that say something, and tests that leave our modules alone."""

import ast
from collections.abc import Iterator

import pytest

MAX_FUNCTION_LINES = 40
MAX_MODULE_LINES = 400
SAYS_NOTHING = {"common", "helper", "helpers", "misc", "util", "utils"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """List every function and method."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring and those of the functions within."""
    lines = function.end_lineno - function.lineno + 1
    for inner in functions(function):
        if ast.get_docstring(inner) is not None:
            lines -= inner.body[0].end_lineno - inner.body[0].lineno + 1
    return lines


def long_functions(sources: dict[str, ast.Module]) -> list[str]:
    """List the functions that are too long."""
    return [
        f"{path}:{function.lineno} {function.name} has {length(function)} lines"
        for path, tree in sources.items()
        for function in functions(tree)
        if length(function) > MAX_FUNCTION_LINES
    ]


def patched(tree: ast.Module) -> list[int]:
    """List the lines that patch something not known to be another project's module.

    `monkeypatch.setattr` may change attributes of imported foreign modules only: a class or an instance of ours
    may hide behind any other name. `unittest.mock` is not needed at all.
    """
    foreign = set()
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.asname or alias.name.split(".")[0] for alias in node.names if not _ours(alias.name)}
            foreign |= names
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            if any(name.startswith("unittest.mock") for name in origin):
                lines.append(node.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            lines += [node.lineno] * (not _foreign(node.args[0], foreign))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            lines += [node.lineno] * (not _foreign(node.args[0], foreign))
    return sorted(lines)


def _ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in {"stamp_service", "app", "tests"}


def _foreign(target: ast.expr, foreign: set[str]) -> bool:
    if isinstance(target, ast.Constant):
        return not _ours(str(target.value))
    while isinstance(target, ast.Attribute):
        target = target.value
    return isinstance(target, ast.Name) and target.id in foreign


def test_functions_are_short(sources):
    assert long_functions(sources) == []


def test_modules_are_short(root, sources):
    lines = {path: len((root / path).read_text(encoding="utf-8").splitlines()) for path in sources}
    assert {path: count for path, count in lines.items() if count > MAX_MODULE_LINES} == {}


def test_modules_have_names_that_say_something(sources, test_sources):
    words = {path: set(path.removesuffix(".py").split("/")) for path in [*sources, *test_sources]}
    assert [path for path, parts in words.items() if parts & SAYS_NOTHING] == []


def test_modules_say_what_they_are(sources, test_sources):
    assert [
        path for path, tree in (sources | test_sources).items() if tree.body and not ast.get_docstring(tree)
    ] == []


def test_tests_leave_our_modules_alone(test_sources):
    assert {path: patched(tree) for path, tree in test_sources.items() if patched(tree)} == {}


def test_a_long_function_is_seen():
    body = "\n".join(f"    a{number} = {number}" for number in range(MAX_FUNCTION_LINES))
    docstring = '    """' + "Text.\n" * MAX_FUNCTION_LINES + '    """\n'
    (seen,) = long_functions({"m.py": ast.parse(f"class A:\n  pass\ndef f():\n{body}")})
    assert seen == "m.py:3 f has 41 lines"
    shorter = body.partition("\n")[2]
    assert long_functions({"m.py": ast.parse(f"def f():\n{docstring}{shorter}")}) == []


@pytest.mark.parametrize(
    "code",
    [
        "def test(monkeypatch):\n    monkeypatch.setattr('stamp_service.settings.PREFIX', 'x')",
        "from stamp_service import settings\ndef test(m):\n    m.setattr(settings, 'PREFIX', 'x')",
        "import stamp_service.web\ndef test(monkeypatch):\n    monkeypatch.setattr(stamp_service.web, 'x', 1)",
        "from stamp_service.stores import LocalStore\ndef test(m):\n    m.setattr(LocalStore, 'get', None)",
        "def test(monkeypatch, store):\n    monkeypatch.setattr(store, 'get', None)",
        "def test(store):\n    setattr(store, 'get', None)",
        "from unittest.mock import patch",
        "import unittest.mock",
    ],
)
def test_a_patch_of_ours_is_seen(code):
    assert len(patched(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import socket\ndef test(monkeypatch):\n    monkeypatch.setattr(socket, 'getaddrinfo', None)",
        "def test(monkeypatch):\n    monkeypatch.setattr('time.sleep', None)",
        "def test(monkeypatch):\n    monkeypatch.setenv('APP_PORT', '1')",
    ],
)
def test_a_patch_at_the_edge_is_allowed(code):
    assert patched(ast.parse(code)) == []
