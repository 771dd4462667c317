"""What doc/classifiers.md says about model.toml is all of it, and true."""

import re
import tomllib

import pytest
from pydantic import BaseModel

from stamp_service.classifiers import ModelDefinition
from stamp_service.classifiers.definition import (
    AsteroidRule,
    Feature,
    Metadata,
    Output,
    Rules,
    Stamps,
    SupernovaRule,
)
from tests.conftest import ROOT

DOCUMENT = (ROOT / "doc" / "classifiers.md").read_text(encoding="utf-8")


def test_the_example_is_a_definition():
    (example,) = re.findall(r"^```toml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    definition = ModelDefinition.model_validate(tomllib.loads(example))
    assert definition.stamps[0].fed_shape == (41, 41)
    assert len(definition.metadata.features) == 5


@pytest.mark.parametrize(
    "part", [ModelDefinition, Stamps, Output, Metadata, Feature, Rules, AsteroidRule, SupernovaRule]
)
def test_every_field_is_documented(part: type[BaseModel]):
    assert [name for name in part.model_fields if not re.search(rf"\b{name}\b", DOCUMENT)] == []
