"""Who may import whom, wherever in a module the import stands."""

import ast
from collections.abc import Iterator

import pytest

PACKAGE = "stamp_service"

# From the ground up. A room may import its own modules and the rooms of lower layers: not its neighbours.
LAYERS = (
    {"__init__", "errors", "logs", "step_settings", "times"},
    {"extras", "settings", "surveys"},
    {"packets", "images", "remote"},
    {"stores", "lake", "index", "probabilities"},
    {"cache", "observer", "rebuilding", "sources"},
    {"resolver"},
    {"ztf_archive"},
    {"alert_ingestion", "xmatch", "classifiers"},
    {"steps", "web"},
    {"demo"},
    {"server"},
    {
        "cli_archive",
        "cli_classifiers",
        "cli_index",
        "cli_ingest",
        "cli_lake",
        "cli_pack",
        "cli_step",
        "cli_xmatch",
    },
    {"cli", "app.py", "gunicorn.conf.py"},
)
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}

# Modules of others that only these rooms may import.
RESERVED = {
    "flask": {"web"},
    "flask_cors": {"web"},
    "werkzeug": {"web"},
    "prometheus_flask_exporter": {"web"},
    "aiokafka": {"steps"},
    "confluent_kafka": {"steps"},
    "kafka": {"steps"},
    "quixstreams": {"steps"},
}

PURE_ROOMS = {"packets", "images"}
DOES_IO = {
    "aiohttp",
    "asyncio",
    "boto3",
    "botocore",
    "fsspec",
    "ftplib",
    "glob",
    "http",
    "httpx",
    "mmap",
    "multiprocessing",
    "obstore",
    "os",
    "pathlib",
    "requests",
    "shutil",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "urllib",
    "urllib3",
}
READS_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def room_of(path: str) -> str:
    """Name the room of a file: the first word below the package, or the file itself beside it."""
    head, _, tail = path.partition("/")
    return tail.split("/")[0].removesuffix(".py") if head == PACKAGE else head


def imported(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """List the line and the full name of everything that a module imports, at any depth."""
    here = path.removesuffix(".py").split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"import_module", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def rooms_imported(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """List the line and the room of every import of ours."""
    for line, name in imported(path, tree):
        parts = name.split(".")
        if parts[0] == PACKAGE:
            # `from stamp_service import __version__` is the package itself.
            room = parts[1] if len(parts) > 1 else "__init__"
            yield line, "__init__" if room.startswith("__") else room
        elif f"{parts[0]}.py" in HEIGHT:
            yield line, f"{parts[0]}.py"


def upward_imports(sources: dict[str, ast.Module]) -> list[str]:
    """List the imports that the layers forbid."""
    found = []
    for path, tree in sources.items():
        room = room_of(path)
        for line, other in rooms_imported(path, tree):
            if other != room and HEIGHT[other] >= HEIGHT[room]:
                found.append(f"{path}:{line} imports {other}")
    return found


def misplaced_imports(sources: dict[str, ast.Module]) -> list[str]:
    """List the imports of foreign modules by rooms that may not have them."""
    found = []
    for path, tree in sources.items():
        room = room_of(path)
        for line, name in imported(path, tree):
            top = name.split(".")[0]
            if room not in RESERVED.get(top, {room}) or (room in PURE_ROOMS and top in DOES_IO):
                found.append(f"{path}:{line} imports {name}")
    return found


def environment_uses(sources: dict[str, ast.Module]) -> list[str]:
    """List the places that touch the environment, outside settings."""
    found = []
    for path, tree in sources.items():
        if room_of(path) == "settings":
            continue
        # Whatever `os` is called here; WSGI's `environ`, a request, is another thing of that name.
        of_os = names_of_os(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in of_os:
                used = {node.attr}
            elif isinstance(node, ast.ImportFrom) and node.module == "os":
                used = {alias.name for alias in node.names}
            else:
                continue
            if used & READS_ENVIRONMENT:
                found.append(f"{path}:{node.lineno}")
    return found


def names_of_os(tree: ast.Module) -> set[str]:
    """List what a module calls `os`."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    return {alias.asname or alias.name for node in imports for alias in node.names if alias.name == "os"}


def files_opened(sources: dict[str, ast.Module]) -> list[str]:
    """List the calls of `open` in rooms that do no I/O."""
    return [
        f"{path}:{node.lineno}"
        for path, tree in sources.items()
        if room_of(path) in PURE_ROOMS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]


def test_every_room_has_its_layer(sources):
    assert {room_of(path) for path in sources} <= set(HEIGHT), "give the new room its place in LAYERS"


def test_nothing_imports_upward(sources):
    assert upward_imports(sources) == []


def test_flask_stays_in_web_and_io_outside_packets_and_images(sources):
    assert misplaced_imports(sources) == []
    assert files_opened(sources) == []


def test_only_settings_touch_the_environment(sources):
    assert environment_uses(sources) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("stamp_service/errors.py", "import stamp_service.settings"),
        ("stamp_service/packets/alert.py", "def f():\n    from stamp_service.images import decode_stamp"),
        ("stamp_service/packets/alert.py", "from stamp_service import stores"),
        ("stamp_service/packets/alert.py", "from ..stores import local"),
        ("stamp_service/packets/alert.py", "from .. import web"),
        ("stamp_service/stores/s3.py", "class A:\n    def f(self):\n        import stamp_service.resolver as r"),
        ("stamp_service/stores/s3.py", "import importlib\nimportlib.import_module('stamp_service.web')"),
        ("stamp_service/web/views.py", "from stamp_service.demo import fill"),
        ("stamp_service/web/views.py", "if True:\n    import app"),
    ],
)
def test_an_upward_import_is_seen(path, code):
    assert len(upward_imports({path: ast.parse(code)})) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("stamp_service/packets/alert.py", "from stamp_service.packets.ocf import x\nfrom . import wire"),
        (
            "stamp_service/web/views.py",
            "from stamp_service import __version__\nfrom stamp_service.errors import E",
        ),
        ("app.py", "from stamp_service.web import create_app"),
    ],
)
def test_a_downward_import_is_allowed(path, code):
    assert upward_imports({path: ast.parse(code)}) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("stamp_service/resolver.py", "def f():\n    from flask import request"),
        ("app.py", "import werkzeug.serving"),
        ("stamp_service/images/fits.py", "import os.path"),
        ("stamp_service/packets/wire.py", "from urllib.parse import quote"),
        ("stamp_service/web/views.py", "import confluent_kafka"),
    ],
)
def test_a_misplaced_import_is_seen(path, code):
    assert len(misplaced_imports({path: ast.parse(code)})) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ['X']",
        "import os\nos.getenv('X')",
        "from os import environ",
        "import os as o\no.putenv('a', 'b')",
    ],
)
def test_a_use_of_the_environment_is_seen(code):
    assert environment_uses({"stamp_service/web/views.py": ast.parse(code)}) != []
    assert environment_uses({"gunicorn.conf.py": ast.parse(code)}) != []
    assert environment_uses({"stamp_service/settings.py": ast.parse(code)}) == []


def test_an_opened_file_is_seen():
    assert files_opened({"stamp_service/images/fits.py": ast.parse("with open('x') as file: pass")}) != []
