"""An application over a local store with real alerts in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from stamp_service.packets import Alert, recognise
from stamp_service.settings import Settings
from stamp_service.stores import import_schemas, open_schemas
from stamp_service.web import create_app

AppMaker = Callable[..., Flask]


@dataclass(frozen=True)
class RealAlert:
    """A real alert as it lies in the shared folder."""

    survey: str
    alert_id: str
    object_id: str | None
    packet: bytes
    alert: Alert


def make_settings(data_dir: Path, **values: object) -> Settings:
    return Settings(data_dir=data_dir, demo=False, log_level="CRITICAL", **values)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def real_alerts(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, surveys) -> dict[str, RealAlert]:
    """One real alert of each kind, by a short name."""
    settings = make_settings(tmp_path_factory.mktemp("real-schemas"))
    import_schemas(sorted((shared_data / "alerts/lsst/schema").glob("*.avsc")), settings.schemas_path)
    files = {
        "ztf": "ztf/820128985515010010.avro",
        "ztf_edge": "ztf_snappy/000010510166461127.avro",
        "atlas": "atlas/01a59897o0020c_000002.avro",
        "atlas_plain": "atlas/02a59543o0040o_006230.avro",
        "lsst": "lsst/7912941781254298.wire",
        "elasticc": "lsst_elasticc/alert_mjd59583.0511_obj1131_src2262001.avro",
    }
    found = {}
    for name, file in files.items():
        packet = (shared_data / "alerts" / file).read_bytes()
        alert = recognise(surveys, packet, open_schemas(settings))
        found[name] = RealAlert(alert.survey.name, alert.alert_id, alert.object_id, packet, alert)
    return found


@pytest.fixture(scope="session")
def make_app(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, real_alerts) -> Iterator[AppMaker]:
    """Make applications, each over a store of its own that holds the real alerts."""
    apps: list[Flask] = []

    def make(*, filled: bool = True, **values: object) -> Flask:
        settings = make_settings(tmp_path_factory.mktemp("data"), **values)
        import_schemas(sorted((shared_data / "alerts/lsst/schema").glob("*.avsc")), settings.schemas_path)
        app = create_app(settings)
        here = app.extensions["stamp_service"]
        for real in real_alerts.values() if filled else ():
            here.resolver.put(real.alert)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.extensions["stamp_service"].resolver.close()


@pytest.fixture(scope="session")
def app(make_app: AppMaker) -> Flask:
    """An application without tokens: everything is open, nothing can be written."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
