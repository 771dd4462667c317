"""Servers for the integration tests, and the credentials that their S3 takes."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from stamp_service.demo import demo_alerts
from stamp_service.index import open_index
from stamp_service.packets import recognise
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.stores import import_schemas, open_schemas, open_stores
from stamp_service.surveys import load_surveys
from tests.conftest import SHARED_DATA
from tests.integration.services.archived import Packets
from tests.integration.services.archiving import Archiving
from tests.integration.services.browser import running_browser
from tests.integration.services.faults import Answer, FaultServer
from tests.integration.services.hdfs import RunningHdfs, running_hdfs
from tests.integration.services.kafka import RunningKafka, running_kafka
from tests.integration.services.mars import MarsServer, running_mars
from tests.integration.services.postgres import RunningPostgres, running_postgres
from tests.integration.services.s3 import running_s3
from tests.integration.services.service import RunningService, running_service

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from playwright.sync_api import Browser


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of nobody, and nothing of this machine's own configuration."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Endpoint of an S3."""
    with running_s3() as url:
        yield url


@pytest.fixture(scope="session")
def s3_client(s3_url: str) -> Iterator["S3Client"]:
    """boto3's client of that S3."""
    session = boto3.Session("tests", "tests", region_name="us-east-1")
    client = session.client("s3", endpoint_url=s3_url)
    yield client
    client.close()


@pytest.fixture
def bucket(s3_client: "S3Client") -> str:
    """Name of a new, empty bucket."""
    name = f"packets-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def kafka() -> Iterator[RunningKafka]:
    """A broker of Kafka; a test that stops it starts it again."""
    with running_kafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[RunningPostgres]:
    """A server of PostgreSQL; a test that stops it starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database_url(postgres: RunningPostgres) -> Iterator[str]:
    """Address of a new, empty database of that server."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def made() -> Packets:
    """A hundred synthetic alerts of ZTF."""
    alerts = islice(demo_alerts("ztf", seed=5, objects=60), 100)
    return {("ztf", alert.alert_id): alert.packet for alert in alerts}


@pytest.fixture
def archiving(kafka: RunningKafka, tmp_path: Path) -> Callable[..., Archiving]:
    """Make a group of archive steps with a topic of its own."""

    def make(partitions: int = 1, **settings: str) -> Archiving:
        topic = kafka.create_topic(partitions=partitions)
        data_dir = tmp_path / "data"
        data_dir.mkdir(exist_ok=True)
        return Archiving(kafka, topic, data_dir, partitions, settings)

    return make


@pytest.fixture
def mars_server() -> Iterator[MarsServer]:
    """MARS, with nothing in it."""
    with running_mars() as server:
        yield server


@pytest.fixture
def fault_server() -> Iterator[Callable[..., FaultServer]]:
    """Make servers that misbehave as told."""
    servers: list[FaultServer] = []

    def make(*answers: Answer) -> FaultServer:
        servers.append(FaultServer(*answers))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def hdfs() -> Iterator[RunningHdfs]:
    """An HDFS with three DataNodes and blocks of 1 MiB."""
    with running_hdfs(dfs_blocksize="1048576") as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A real Chromium."""
    with running_browser() as running:
        yield running


@pytest.fixture(scope="session")
def viewer_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Where that service keeps its alerts, and the schemas of LSST if they are at hand."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("viewer"), log_level="ERROR")
    import_schemas(sorted((SHARED_DATA / "alerts/lsst/schema").glob("*.avsc")), settings.schemas_path)
    return settings


@pytest.fixture(scope="session")
def viewer(viewer_settings: Settings) -> Iterator[RunningService]:
    """The service with its synthetic alerts."""
    with running_service(viewer_settings.data_dir) as service:
        yield service


@pytest.fixture(scope="session")
def show_real(
    viewer: RunningService,  # it fills its store when it starts, if that is empty
    viewer_settings: Settings,
    shared_data: Path,
) -> Iterator[Callable[[str], str]]:
    """Put a real alert into its store, and say where its page is."""
    surveys = load_surveys()
    schemas = open_schemas(viewer_settings)
    with closing(Resolver(open_stores(viewer_settings, surveys), index=open_index(viewer_settings))) as resolver:

        def show(file: str) -> str:
            alert = recognise(surveys, (shared_data / "alerts" / file).read_bytes(), schemas)
            resolver.put(alert)
            return f"/alert/{alert.survey.name}/{alert.alert_id}"

        yield show
