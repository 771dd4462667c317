"""The pinned requirements are what pyproject.toml asks for."""

import re
import tomllib
from collections.abc import Iterable

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = ("requirements.txt", "requirements-test.txt")


def pins(text: str) -> dict[str, Requirement]:
    """Read a requirements file's pins by canonical name."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and line != "-e ."]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def unpinned(wanted: Iterable[str], text: str) -> list[str]:
    """List the requirements that no pin fulfils."""
    pinned = pins(text)
    found = []
    for requirement in map(Requirement, wanted):
        pin = pinned.get(canonicalize_name(requirement.name))
        versions = [specifier.version for specifier in pin.specifier if specifier.operator == "=="] if pin else []
        if len(versions) != 1 or not requirement.specifier.contains(versions[0], prereleases=True):
            found.append(str(requirement))
    return found


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(params=FILES)
def pinned_file(request, root):
    return (root / request.param).read_text(encoding="utf-8")


def test_what_serving_needs_is_pinned(project, pinned_file):
    assert unpinned(project["dependencies"], pinned_file) == []


def test_every_extra_is_pinned_for_the_tests(project, root):
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    assert extras
    assert unpinned(extras, (root / "requirements-test.txt").read_text(encoding="utf-8")) == []


def test_serving_installs_no_test_tools(project, root):
    lean = pins((root / "requirements.txt").read_text(encoding="utf-8"))
    wanted = {canonicalize_name(Requirement(requirement).name) for requirement in project["dependencies"]}
    tools = {
        canonicalize_name(Requirement(requirement).name)
        for name in ("test", "lint")
        for requirement in project["optional-dependencies"][name]
    }
    assert (tools - wanted) & set(lean) == set()


def test_both_files_agree(root):
    lean, full = (pins((root / name).read_text(encoding="utf-8")) for name in FILES)
    assert {name: str(pin) for name, pin in lean.items()} == {name: str(full[name]) for name in lean}


def test_everything_is_pinned_exactly_and_from_no_particular_place(pinned_file):
    assert all(
        re.fullmatch(r"==[^,*]+", str(pin.specifier)) and pin.url is None for pin in pins(pinned_file).values()
    )
    assert "://" not in pinned_file
    assert "--" not in pinned_file


def test_the_project_itself_is_installed(pinned_file):
    assert pinned_file.splitlines()[-1] == "-e ."


def test_the_header_says_how_the_file_was_made(pinned_file):
    assert "bash .ci/pin" in pinned_file.partition("==")[0]


@pytest.mark.parametrize("text", ["", "numpy>=2", "numpy==1.26.4", "numpy==2.*", "Numpy_extra==2.1"])
def test_a_missing_pin_is_seen(text):
    assert unpinned(["numpy>=2.1"], text) == ["numpy>=2.1"]


def test_a_pin_is_seen():
    assert unpinned(["pyjwt[crypto]>=2.10", "Flask>=3"], "PyJWT==2.15.1  # via x\nflask==3.1.3\n-e .") == []
