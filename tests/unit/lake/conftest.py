"""Fixtures of the lake's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stamp_service.surveys import Surveys
from tests.unit.lake.registered import House


@pytest.fixture
def house(tmp_path: Path, surveys: Surveys) -> Iterator[House]:
    """A data folder and a lake's folder, both empty."""
    made = House(tmp_path, surveys)
    made.root.mkdir()
    yield made
    made.close()
