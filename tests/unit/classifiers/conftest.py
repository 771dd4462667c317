"""The published models, converted once, and the real ZTF packets."""

import json
from pathlib import Path

import pytest

from stamp_service.classifiers.conversion import convert
from stamp_service.packets import Alert, recognise

PUBLISHED = {
    "best_model_new_bogus_reg": "best_model_new_bogus_reg",
    "best_model_new_bogus": "best_model_new_bogus",
    "best_model_so_far": "best_model_so_far",
    "staging_synthetic": "staging_synthetic",
    "d6_m9": "braai_d6_m9.h5",
    "d6_m7": "d6_m7.h5",
}


@pytest.fixture(scope="session")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model directories of the published weights, by name."""
    root = tmp_path_factory.mktemp("published")
    for name, source in PUBLISHED.items():
        convert(shared_data / "models" / source, root / name)
    return {name: root / name for name in PUBLISHED}


@pytest.fixture(scope="session")
def ztf_alerts(shared_data: Path, surveys) -> dict[str, Alert]:
    """Every real ZTF packet, by alert id."""
    files = [file for folder in ("ztf", "ztf_snappy") for file in (shared_data / "alerts" / folder).glob("*.avro")]
    alerts = [recognise(surveys, file.read_bytes()) for file in files]
    return {alert.alert_id: alert for alert in alerts}


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> dict[str, dict]:
    """What the originals say, by the name of the file."""
    folder = shared_data / "models"
    return {file.stem: json.loads(file.read_bytes()) for file in folder.glob("golden_*.json")}
