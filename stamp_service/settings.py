"""Typed settings from the environment: the only module that reads it.

`Settings` is built once, in `app.py` or in a command's main, and passed down. Every field has a description
and stands in `doc/configuration.md`; a test fails when one does not.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import SettingsConfigDict, SettingsError

from stamp_service.errors import ConfigurationError
from stamp_service.step_settings import Secrets, StepSettings, Words

PREFIX = "STAMP_"
_MIB = 1024 * 1024


class Settings(StepSettings):
    """Everything that can be configured; see `doc/configuration.md` for the same as a table."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    # Where things are
    data_dir: Path = Field(Path("stamp-data"), description="Folder of everything local: alerts, schemas.")
    surveys_dir: Path | None = Field(
        None, description="Folder of further survey definitions (TOML); one may replace a built-in of its name."
    )
    schemas_dir: Path | None = Field(
        None, description="Folder of .avsc files for wire-format packets; default: `schemas` in the data folder."
    )
    schema_registry_url: str | None = Field(
        None, description="Confluent schema registry to ask for schemas that the folder lacks."
    )
    demo: bool = Field(True, description="Fill an empty local store once with synthetic alerts.")

    # S3
    ztf_bucket_name: str | None = Field(
        None, validation_alias="ZTF_BUCKET_NAME", description="Bucket of ZTF packets; S3 is used once set."
    )
    atlas_bucket_name: str | None = Field(
        None, validation_alias="ATLAS_BUCKET_NAME", description="Bucket of ATLAS packets; S3 is used once set."
    )
    lsst_bucket_name: str | None = Field(None, description="Bucket of LSST packets; S3 is used once set.")
    buckets: dict[str, str] = Field(
        default_factory=dict,
        description='Buckets of further surveys, as JSON: `{"survey": "bucket"}`.',
    )
    s3_endpoint_url: str | None = Field(None, description="S3 API other than Amazon's: MinIO, Ceph, …")
    s3_region: str | None = Field(None, description="Region, where AWS's own configuration does not say.")
    s3_connect_timeout_s: PositiveFloat = Field(2.0, description="Longest wait for a connection to S3.")
    s3_read_timeout_s: PositiveFloat = Field(10.0, description="Longest wait for bytes from S3.")
    s3_attempts: PositiveInt = Field(3, description="How often a failed S3 request is tried in all.")

    # The packed store
    packed_surveys: Words = Field((), description="Surveys whose packets are kept in packs of some 64 MB.")
    packed_codec: Literal["zstandard", "deflate"] = Field(
        "zstandard", description="How new packs are compressed; old ones are read whatever this says."
    )

    # HDFS
    hadoop_conf_dir: Path | None = Field(
        None,
        validation_alias="HADOOP_CONF_DIR",
        description="Folder of Hadoop's `core-site.xml` and `hdfs-site.xml`, for lakes on HDFS.",
    )
    hdfs_user: str | None = Field(
        None,
        validation_alias="HADOOP_USER_NAME",
        description="Who asks an HDFS without Kerberos; default: this process's user.",
    )
    hdfs_timeout_s: PositiveFloat = Field(10.0, description="Longest wait for an answer from HDFS.")

    # The index
    index_url: SecretStr | None = Field(
        None,
        description="Database of the index, `postgresql://user:password@host/name`; "
        "default: `index.sqlite` in the data folder.",
    )
    index_timeout_s: PositiveFloat = Field(5.0, description="Longest wait for the index.")

    # MARS
    mars_url: str | None = Field(
        None, validation_alias="MARS_URL", description="Address of a MARS-like API to look alerts up in."
    )
    mars_packet_hosts: Words = Field(
        (),
        description="Hosts that packets may be fetched from, `*.` allowed; default: MARS's own and "
        "`*.amazonaws.com`.",
    )
    mars_connect_timeout_s: PositiveFloat = Field(3.0, description="Longest wait for a connection to MARS.")
    mars_read_timeout_s: PositiveFloat = Field(10.0, description="Longest wait for bytes from MARS.")
    mars_total_timeout_s: PositiveFloat = Field(30.0, description="Longest time for one lookup and download.")
    mars_attempts: PositiveInt = Field(3, description="How often a failed MARS request is tried in all.")

    # The ZTF public archive
    ztf_archive_url: str = Field(
        "https://ztf.uw.edu/alerts/public/", description="Address of the archive of nights."
    )
    ztf_archive_timeout_s: PositiveFloat = Field(60.0, description="Longest wait for bytes from that archive.")

    # Cross-matches
    catalogues: dict[Annotated[str, Field(max_length=32)], str] = Field(
        default_factory=dict,
        description="Catalogues that the service matches with, as JSON: "
        '`{"name": "file, HATS folder or vizier:…"}`.',
    )
    xmatch_url: str = Field(
        "http://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync", description="Address of the CDS XMatch service."
    )
    xmatch_timeout_s: PositiveFloat = Field(120.0, description="Longest wait for bytes from that service.")

    # Tables in BigQuery
    bigquery_project: str | None = Field(None, description="Project of the tables in BigQuery.")
    bigquery_dataset: str = Field("stamps", description="Dataset of these tables, which has to exist.")
    bigquery_url: str | None = Field(
        None, description="API other than Google's, such as an emulator's; it is asked without credentials."
    )

    # Classifiers
    model_dir: Path | None = Field(None, description="Folder of model directories; each is a model of its name.")
    classifier_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="Batches classified at a time; 0: as many as there are cores, one in a web worker.",
    )
    classifier_batch: int = Field(32, ge=1, le=4096, description="Most alerts that a model is given at a time.")
    classifier_providers: Words = Field(
        (), description="What ONNX Runtime runs models on, by its own names; default: `CPUExecutionProvider`."
    )

    # Limits against hostile input
    max_packet_bytes: PositiveInt = Field(
        32 * _MIB, description="Largest packet, as stored and after each decompression."
    )
    max_cutout_bytes: PositiveInt = Field(32 * _MIB, description="Largest cutout after decompression.")
    max_stamp_px: PositiveInt = Field(
        4096 * 4096, description="Most pixels of a stamp that is drawn, and of a picture."
    )

    # Caches, per process
    packet_cache_bytes: int = Field(64 * _MIB, ge=0, description="Packets kept in memory; 0 keeps none.")
    picture_cache_bytes: int = Field(32 * _MIB, ge=0, description="Drawn PNGs kept in memory; 0 keeps none.")

    # Access
    jwt_secret: SecretStr | None = Field(None, description="Key of HS256 bearer tokens.")
    jwt_jwks_file: Path | None = Field(None, description="JWKS file with the public keys of RS256/ES256 tokens.")
    jwt_audience: str | None = Field(None, description="`aud` that tokens must carry, if any.")
    jwt_issuer: str | None = Field(None, description="`iss` that tokens must carry, if any.")
    write_tokens: Secrets = Field((), description="Tokens that may put packets; none: nobody may.")

    # The server
    app_bind: str = Field("0.0.0.0", validation_alias="APP_BIND", description="Address to listen on.")  # noqa: S104 - a container's service must be reachable
    app_port: int = Field(8087, ge=0, le=65535, validation_alias="APP_PORT", description="Port to listen on.")
    app_workers: PositiveInt = Field(6, validation_alias="APP_WORKERS", description="Worker processes.")
    app_threads: PositiveInt = Field(16, validation_alias="APP_THREADS", description="Threads per worker.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", validation_alias="LOG_LEVEL", description="Least severe level that is logged."
    )
    prometheus_multiproc_dir: Path | None = Field(
        None,
        validation_alias=AliasChoices("prometheus_multiproc_dir", "PROMETHEUS_MULTIPROC_DIR"),
        description="Folder where workers share their metrics; default: a temporary one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _upper_log_level(cls, values: object) -> object:
        """Accept `info` for `INFO`, as deployments write it."""
        if isinstance(values, dict):
            return {
                key: value.upper() if key in {"LOG_LEVEL", "log_level"} and isinstance(value, str) else value
                for key, value in values.items()
            }
        return values

    @property
    def schemas_path(self) -> Path:
        """Folder of the schemas of wire-format packets."""
        return self.schemas_dir or self.data_dir / "schemas"

    def bucket(self, survey: str) -> str | None:
        """Bucket of a survey's packets.

        Parameters
        ----------
        survey : str
            The survey's name.

        Returns
        -------
        str or None
            The bucket's name; None where the survey is kept in the local directory.
        """
        named = {
            "ztf": self.ztf_bucket_name,
            "atlas": self.atlas_bucket_name,
            "lsst": self.lsst_bucket_name,
        }
        return named.get(survey) or self.buckets.get(survey)


def environment_names() -> dict[str, str]:
    """Name every environment variable that is read.

    Returns
    -------
    dict of str to str
        Environment variable to field name.
    """
    names: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        if isinstance(alias, AliasChoices):
            names |= {str(choice): field for choice in alias.choices}
        else:
            names[str(alias or f"{PREFIX}{field.upper()}")] = field
    return names


# Read by the tests' fixtures and by `.ci/run`, never by the service.
_FOREIGN = ("STAMP_TEST_",)


def _refuse_unknown_names(environment: Mapping[str, str]) -> None:
    known = environment_names()
    without_prefix = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(environment):
        upper = name.upper()  # pydantic-settings reads names in any case
        if not upper.startswith(PREFIX) or upper in known or upper.startswith(_FOREIGN):
            continue
        close = difflib.get_close_matches(upper.removeprefix(PREFIX), without_prefix, n=1, cutoff=0.0)
        raise ConfigurationError(f"Unknown setting {name}. Did you mean {without_prefix[close[0]]}?")


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment.

    Parameters
    ----------
    **overrides : object
        Field values that win over the environment.

    Returns
    -------
    Settings
        The validated settings.

    Raises
    ------
    ConfigurationError
        If a `STAMP_*` name is unknown or a value does not fit.
    """
    _refuse_unknown_names(os.environ)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        by_field = {field: name for name, field in environment_names().items()}
        details = "; ".join(
            f"{by_field.get(str(item['loc'][0]), item['loc'][0]) if item['loc'] else 'settings'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"Settings: {details}") from None
    except SettingsError as error:
        # Raised for what has to be JSON and is not; it names the field, and repeats no value.
        by_field = {field: name for name, field in environment_names().items()}
        field = re.search(r'field "(\w+)"', str(error))
        name = by_field.get(field[1], "settings") if field else "settings"
        raise ConfigurationError(f"Settings: {name}: Input should be JSON") from None


def share_metrics_dir(path: Path) -> None:
    """Tell `prometheus_client`, which reads the environment at import, where workers share metrics.

    Parameters
    ----------
    path : pathlib.Path
        An existing, empty folder.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)
