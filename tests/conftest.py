"""Fixtures that every test may use."""

from pathlib import Path

import pytest

from stamp_service.surveys import Surveys, load_surveys

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real alerts, lakes and models; tests that read it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def surveys() -> Surveys:
    """The built-in surveys."""
    return load_surveys()
