"""What the documents promise, tried out on a running service."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT
from tests.integration.services.service import RunningService, running_service

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "doc").glob("*.md"))]
START = "from stamp_service.cli import main; main()"
ADDRESS = "http://localhost:8087"


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


# Programs that need another server are marked `py`, which pages colour alike and which is not run here.
PROGRAMS = [(path, program) for path in DOCUMENTS for program in blocks(path, "python")]
CURLS = [
    (path, command)
    for path in DOCUMENTS
    for block in blocks(path, "bash")
    for command in re.split(r"\n(?=\w)", block.strip())
    if command.startswith("curl") and ADDRESS in command
]
LAKE_COMMANDS = [
    command
    for block in blocks(DOCUMENTS[0], "bash")
    for command in block.strip().split("\n")
    if command.startswith(".venv/bin/stamp-service lake")
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service with its synthetic alerts, and the lake of the README."""
    data = tmp_path_factory.mktemp("data")
    with running_service(data) as running:
        for command in LAKE_COMMANDS:
            subprocess.run(
                [sys.executable, "-c", START, *shlex.split(command)[1:]],
                cwd=data,
                env=os.environ | {"STAMP_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)},
                check=True,
                timeout=60,
            )
        yield running


def name(value: object) -> str:
    return value.name if isinstance(value, Path) else ""


@pytest.mark.filterwarnings("ignore:Keyword name 'STAMP_TYPE'")  # a card of the `alerce` package's own
@pytest.mark.parametrize(("path", "program"), PROGRAMS, ids=name)
def test_python_examples_run(service, path, program, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    exec(compile(program.replace(ADDRESS, service.url), path.name, "exec"), {})


@pytest.mark.parametrize(("path", "command"), CURLS, ids=name)
def test_curl_examples_run(service, path, command, tmp_path):
    words = shlex.split(command.replace("\\\n", " ").replace(ADDRESS, service.url))
    subprocess.run([*words, "--fail", "--silent", "--show-error"], cwd=tmp_path, check=True, timeout=20)
    (written,) = tmp_path.iterdir()
    assert written.stat().st_size > 1000


def test_addresses_in_pages_answer(service):
    found = [url for path in DOCUMENTS for url in re.findall(rf'src="{ADDRESS}([^"]*)"', path.read_text())]
    assert found
    for path in found:
        answer = requests.get(service.url + path, timeout=10)
        assert answer.headers["Content-Type"].split(";")[0] in {"image/png", "image/gif", "text/javascript"}, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, target


def test_every_route_is_documented(service):
    document = (ROOT / "doc" / "api.md").read_text()
    for path in requests.get(f"{service.url}/openapi.json", timeout=10).json()["paths"]:
        if path == "/stamps_api/get_avro":  # an alias, for one client
            continue
        start = re.split(r"[{]", path)[0].rstrip("/")
        assert start in document, path


def test_documented_metrics_exist(service):
    requests.get(f"{service.url}/get_stamp?candid=1&type=science&format=png", timeout=10)
    text = requests.get(f"{service.url}/metrics", timeout=10).text
    document = (ROOT / "doc" / "operations.md").read_text()
    names = set(re.findall(r"\b(?:stamp|flask)_\w+_(?:seconds|total)\b", document))
    assert len(names) >= 5
    for metric in names:
        assert f"# HELP {metric}" in text, metric
