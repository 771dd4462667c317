"""The settings' document says what the settings are."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from stamp_service.settings import Settings, environment_names

ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"\b[A-Za-z]+(?:_[A-Za-z0-9]+)+\b")
# Names in the document that other programs read, and a value of Kafka's.
FOREIGN = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "SASL_SSL",
    "STAMP_TEST_SCREENSHOTS",
    "STAMP_TEST_REQUIRE_SERVICES",
}


def rows(document: str) -> dict[str, tuple[str, str]]:
    """Read the default and the description of each name in the document's tables."""
    found = {}
    for names, default, description in ROW.findall(document):
        for name in re.findall("`([^`]+)`", names):
            assert name not in found, f"{name} stands in the document twice"
            found[name] = (default, description)
    return found


def written_default(info: FieldInfo) -> str:
    """Write a default as the document does."""
    value = info.get_default(call_default_factory=True)
    if value is None or value == () or value == {}:
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def differences(document: str, names: Mapping[str, str], fields: Mapping[str, FieldInfo]) -> list[str]:
    """List where the document and the settings disagree."""
    table = rows(document)
    found = [f"{name} is not in the document" for name in names if name not in table]
    for name, (default, description) in table.items():
        if name not in names:
            found.append(f"{name} is no setting")
            continue
        info = fields[names[name]]
        # A remark may follow a default in brackets, and further sentences a description.
        if default.partition(" (")[0] != written_default(info):
            found.append(f"{name}: the default is {written_default(info)}")
        if not description.startswith(str(info.description)):
            found.append(f"{name}: the description is {info.description}")
    return found


@pytest.fixture(scope="module")
def document(root: Path) -> str:
    """The settings' document."""
    return (root / "doc" / "configuration.md").read_text(encoding="utf-8")


def test_the_document_says_what_the_settings_are(document):
    assert differences(document, environment_names(), Settings.model_fields) == []


def test_every_name_in_the_document_exists(document):
    upper = {name for name in NAME.findall(document) if name.isupper()}
    assert upper - set(environment_names()) - FOREIGN == set()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("| `APP_PORT` | `8087` |", "| `APP_PORT` | `8080` |", "APP_PORT: the default is `8087`"),
        ("| `APP_PORT` | `8087` |", "| `APP_PROT` | `8087` |", "APP_PORT is not in the document"),
        ("| `MARS_URL` | none |", "| `MARS_URL` | `x` |", "MARS_URL: the default is none"),
        ("| `STAMP_DEMO` | `true` |", "| `STAMP_DEMO` | `false` |", "STAMP_DEMO: the default is `true`"),
        ("Address to listen on.", "Where.", "APP_BIND: the description is Address to listen on."),
        (", `PROMETHEUS_MULTIPROC_DIR` |", " |", "PROMETHEUS_MULTIPROC_DIR is not in the document"),
        ("## Tests", "| `STAMP_GONE` | none | Gone. |\n", "STAMP_GONE is no setting"),
    ],
)
def test_a_difference_is_seen(document, old, new, says):
    assert document.count(old) == 1
    assert says in differences(document.replace(old, new), environment_names(), Settings.model_fields)
