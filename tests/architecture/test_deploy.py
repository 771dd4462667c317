"""What stands in `deploy` fits the program: every setting and every command that it names exists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from stamp_service.cli import main
from stamp_service.settings import environment_names

FILES = sorted((Path(__file__).parents[2] / "deploy").glob("*.yaml"))


def parts(node: object) -> Iterator[dict[str, Any]]:
    """Walk all mappings of a document."""
    if isinstance(node, dict):
        yield node
        yield from (part for value in node.values() for part in parts(value))
    elif isinstance(node, list):
        yield from (part for value in node for part in parts(value))


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def mappings(request):
    return [part for document in yaml.safe_load_all(request.param.read_text()) for part in parts(document)]


def test_only_settings_that_exist_are_set(mappings):
    known = environment_names()
    named: set[str] = set()
    for part in mappings:
        named |= set(part["environment"]) if "environment" in part else set()
        named |= {entry["name"] for entry in part.get("env", ())}
    assert named - set(known) == set()


def test_commands_exist(mappings):
    for part in mappings:
        words = part.get("command") or part.get("args") or ()
        if isinstance(words, list) and words[:1] == ["stamp-service"]:
            command: click.Command = main
            for word in words[1:]:
                assert isinstance(command, click.Group)
                command = command.commands[word]
            assert not isinstance(command, click.Group)
