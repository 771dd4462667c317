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


def documents(name: str) -> list[dict[str, Any]]:
    """Read the documents of a file."""
    (file,) = [file for file in FILES if file.name == name]
    return list(yaml.safe_load_all(file.read_text()))


def test_what_is_scaled_is_there_and_reads_as_that_group():
    containers = {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]["containers"][0]
        for document in documents("kubernetes-classifiers.yaml")
    }
    scaled = documents("kubernetes-autoscaling.yaml")
    assert len(scaled) == len(containers)
    for document in scaled:
        container = containers.pop(document["spec"]["scaleTargetRef"]["name"])
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        (trigger,) = document["spec"]["triggers"]
        metadata = trigger["metadata"]
        assert metadata["consumerGroup"] == environment["CONSUMER_GROUP_ID"]
        assert metadata["bootstrapServers"] == environment["CONSUMER_SERVER"]
        assert metadata.get("topic") == environment.get("CONSUMER_TOPICS")
        # As the steps start with a topic that their group has not read.
        assert metadata["offsetResetPolicy"] == "earliest"


def test_composed_steps_can_be_multiplied():
    (composed,) = documents("compose.yaml")
    steps = {
        name: service
        for name, service in composed["services"].items()
        if service.get("command", [])[:2] == ["stamp-service", "step"]
    }
    assert steps.keys() == {"archive", "early-classification", "stamp-classifier"}
    groups = set()
    for name, service in steps.items():
        # A name, or a port of the host, there is only once.
        assert not service.keys() & {"container_name", "ports"}, name
        groups.add(service["environment"]["CONSUMER_GROUP_ID"])
    assert len(groups) == len(steps)
