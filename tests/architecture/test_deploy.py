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


def variables(container: dict[str, Any]) -> dict[str, str]:
    """List what a container's environment sets."""
    return {entry["name"]: entry["value"] for entry in container["env"]}


def containers(name: str) -> dict[str, dict[str, Any]]:
    """List the containers that a file deploys."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]["containers"][0]
        for document in documents(name)
        if document["kind"] == "Deployment"
    }


def test_what_is_scaled_is_there_and_reads_as_that_group():
    steps = containers("kubernetes-classifiers.yaml")
    scaled = documents("kubernetes-autoscaling.yaml")
    assert len(scaled) == len(steps)
    for document in scaled:
        environment = variables(steps.pop(document["spec"]["scaleTargetRef"]["name"]))
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


def test_the_service_has_the_models_and_the_database_of_the_steps():
    (composed,) = documents("compose.yaml")
    service, step = (composed["services"][name] for name in ("stamps", "early-classification"))
    pairs = [(service["environment"], step["environment"])]
    assert set(service["volumes"]) == set(step["volumes"])
    service = containers("kubernetes.yaml")["stamp-service"]
    step = containers("kubernetes-classifiers.yaml")["early-classification"]
    pairs.append((variables(service), variables(step)))
    assert service["volumeMounts"] == step["volumeMounts"]
    for read, written in pairs:
        shared = {name: value for name, value in written.items() if name.startswith(("DB_", "STAMP_MODEL"))}
        assert len(shared) >= 5
        assert {name: read.get(name) for name in shared} == shared
