"""What tests of several modules share."""

from pathlib import Path

import pytest

from stamp_service.demo import fill
from stamp_service.settings import Settings
from stamp_service.stores import open_local
from stamp_service.surveys import Surveys


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, surveys: Surveys) -> Path:
    """A data folder with the synthetic alerts in its local store, and no index; copied by who changes it."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("filled"))
    fill(dict.fromkeys(surveys, open_local(settings)), surveys, settings.schemas_path)
    return settings.data_dir
