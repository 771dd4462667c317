"""The settings of the stream steps, a part of `Settings`; and settings that are lists."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, NoDecode


def _split(value: object) -> object:
    """Read a comma-separated environment value as a tuple; leave anything else to pydantic."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


# NoDecode: without it pydantic-settings insists on JSON for anything that is not a scalar.
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Besides = Literal["packed", "duckdb", "bigquery", "lake"]


class StepSettings(BaseSettings):
    """What the steps read, write and keep."""

    # Kafka
    consumer_server: str | None = Field(
        None, validation_alias="CONSUMER_SERVER", description="Kafka brokers to read from: `host:port`, …"
    )
    consumer_group_id: str | None = Field(
        None, validation_alias="CONSUMER_GROUP_ID", description="Consumer group of the step."
    )
    consumer_topics: Words = Field(
        (),
        validation_alias="CONSUMER_TOPICS",
        description="Topics to read; one that starts with `^` is a pattern.",
    )
    topic_strategy_format: Words = Field(
        (),
        validation_alias="TOPIC_STRATEGY_FORMAT",
        description="Topics of which there is one for every night, with `%s` where the date stands.",
    )
    topic_date_format: str = Field("%Y%m%d", description="How that date is written, as `strftime` takes it.")
    topic_change_hour: int = Field(
        23, ge=0, le=23, description="Hour (UTC) from which on the topic of the next day is read."
    )
    topic_retention_days: PositiveInt = Field(8, description="Of how many days the topics are read.")
    consume_messages: PositiveInt = Field(
        1000, validation_alias="CONSUME_MESSAGES", description="Most messages of a batch."
    )
    consume_timeout_s: PositiveFloat = Field(
        10.0, validation_alias="CONSUME_TIMEOUT", description="Longest wait for a batch to fill, in seconds."
    )
    consumer_username: str | None = Field(
        None,
        validation_alias=AliasChoices("CONSUMER_USERNAME", "CONSUMER_KAFKA_USERNAME", "KAFKA_USERNAME"),
        description="SASL user name for reading.",
    )
    consumer_password: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("CONSUMER_PASSWORD", "CONSUMER_KAFKA_PASSWORD", "KAFKA_PASSWORD"),
        description="SASL password for reading.",
    )
    consumer_security_protocol: str = Field(
        "SASL_SSL",
        validation_alias=AliasChoices("CONSUMER_SECURITY_PROTOCOL", "KAFKA_SECURITY_PROTOCOL"),
        description="How to connect for reading, once there is a user name.",
    )
    consumer_sasl_mechanism: str = Field(
        "SCRAM-SHA-512",
        validation_alias="CONSUMER_SASL_MECHANISM",
        description="SASL mechanism for reading.",
    )
    consumer_options: dict[str, SecretStr] = Field(
        default_factory=dict, description="Further options of librdkafka for reading, as JSON."
    )
    producer_server: str | None = Field(
        None,
        validation_alias="PRODUCER_SERVER",
        description="Kafka brokers to write to; default: those that are read from.",
    )
    producer_topic: str | None = Field(
        None, validation_alias="PRODUCER_TOPIC", description="Topic that results are written to."
    )
    producer_topic_format: str | None = Field(
        None,
        validation_alias="PRODUCER_TOPIC_FORMAT",
        description="Instead of `PRODUCER_TOPIC`: a topic for every night, with `%s` where the date stands.",
    )
    producer_date_format: str = Field(
        "%Y%m%d",
        validation_alias="PRODUCER_DATE_FORMAT",
        description="How that date is written, as `strftime` takes it.",
    )
    producer_change_hour: int = Field(
        23,
        ge=0,
        le=23,
        validation_alias="PRODUCER_CHANGE_HOUR",
        description="Hour (UTC) from which on the topic of the next day is written to.",
    )
    producer_retention_days: PositiveInt = Field(
        8,
        validation_alias="PRODUCER_RETENTION_DAYS",
        description="How long the topic of a night, which the step makes, keeps its messages.",
    )
    producer_username: str | None = Field(
        None,
        validation_alias=AliasChoices("PRODUCER_USERNAME", "PRODUCER_KAFKA_USERNAME", "PRODUCER_SASL_USERNAME"),
        description="SASL user name for writing.",
    )
    producer_password: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("PRODUCER_PASSWORD", "PRODUCER_KAFKA_PASSWORD", "PRODUCER_SASL_PASSWORD"),
        description="SASL password for writing.",
    )
    producer_security_protocol: str = Field(
        "SASL_SSL",
        validation_alias="PRODUCER_SECURITY_PROTOCOL",
        description="How to connect for writing, once there is a user name.",
    )
    producer_sasl_mechanism: str = Field(
        "SCRAM-SHA-512",
        validation_alias="PRODUCER_SASL_MECHANISM",
        description="SASL mechanism for writing.",
    )
    producer_options: dict[str, SecretStr] = Field(
        default_factory=dict, description="Further options of librdkafka for writing, as JSON."
    )
    transactions: bool = Field(
        True,
        description="Let classifying steps write results and acknowledge alerts in one transaction, "
        "where both are on the same brokers.",
    )
    scribe_topic: str | None = Field(
        None, validation_alias="SCRIBE_TOPIC", description="Topic of the commands to ALeRCE's scribe, if any."
    )
    scribe_server: str | None = Field(
        None,
        validation_alias="SCRIBE_SERVER",
        description="Kafka brokers of that topic; default: those that are written to.",
    )
    metrics_topic: str | None = Field(
        None, validation_alias="METRICS_TOPIC", description="Topic of a step's metrics, if any."
    )
    metrics_server: str | None = Field(
        None,
        validation_alias=AliasChoices("METRICS_SERVER", "METRICS_HOST"),
        description="Kafka brokers of that topic; default: those that are written to.",
    )
    classifier_strategy: str | None = Field(
        None,
        validation_alias="CLASSIFIER_STRATEGY",
        description="Survey whose alerts are classified: `ZTF`, `ATLAS`; default: the model's.",
    )
    model_name: str | None = Field(
        None,
        validation_alias="MODEL_NAME",
        description="Model that a step asks: a folder in `STAMP_MODEL_DIR`, or `demo`; published under this name.",
    )
    model_version: str | None = Field(
        None,
        validation_alias="MODEL_VERSION",
        description="Version that is published; default: the one that the model's `model.toml` says.",
    )
    archive_also: Annotated[tuple[Besides, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Where the archive step keeps alerts besides store and index: "
        "`packed`, `duckdb`, `bigquery`, `lake`.",
    )
    archive_lake: str | None = Field(
        None, description="Folder or address of the lakes that it fills; default: `lake` in the data folder."
    )
    dead_letter_topic: str = Field("stamp-dead-letters", description="Topic of the messages that a step refuses.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, validation_alias="METRICS_PORT", description="Port where a step answers Prometheus."
    )

    # The database of class probabilities
    db_engine: Literal["sqlite", "postgresql"] | None = Field(
        None,
        validation_alias="DB_ENGINE",
        description="Database of class probabilities: `sqlite` or `postgresql`; default: PostgreSQL once "
        "`DB_HOST` is set, and `probabilities.sqlite` in the data folder without it.",
    )
    db_host: str | None = Field(None, validation_alias="DB_HOST", description="Host of that PostgreSQL.")
    db_port: int = Field(5432, ge=1, le=65535, validation_alias="DB_PORT", description="Its port.")
    db_user: str | None = Field(None, validation_alias="DB_USER", description="Who asks it.")
    db_password: SecretStr | None = Field(
        None, validation_alias="DB_PASSWORD", description="Password of that user."
    )
    db_name: str | None = Field(None, validation_alias="DB_NAME", description="Name of the database there.")
    step_id: str = Field(
        "stamp_classification",
        validation_alias="STEP_ID",
        description="Key of the early classification step in the table `step`.",
    )
    step_name: str = Field(
        "stamp_classification", validation_alias="STEP_NAME", description="What that table calls the step."
    )
    step_version: str | None = Field(
        None, validation_alias="STEP_VERSION", description="Version of the step there; default: this program's."
    )
    step_comments: str | None = Field(
        None, validation_alias="STEP_COMMENTS", description="What else that table says of the step."
    )
