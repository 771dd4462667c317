"""What the environment can say, and what it is told when it says it wrongly."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from stamp_service.errors import ConfigurationError
from stamp_service.settings import Settings, environment_names, load_settings, share_metrics_dir

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("STAMP_") or name in environment_names():
            monkeypatch.delenv(name)


def test_nothing_set_runs_on_one_machine():
    settings = load_settings()
    assert settings.data_dir == Path("stamp-data")
    assert settings.schemas_path == Path("stamp-data/schemas")
    assert (settings.app_bind, settings.app_port, settings.app_workers, settings.log_level) == (
        "0.0.0.0",
        8087,
        6,
        "INFO",
    )
    assert settings.mars_url is None
    assert [settings.bucket(name) for name in ("ztf", "atlas", "lsst", "other")] == [None] * 4
    assert settings.demo is True


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("STAMP_DTA_DIR", "STAMP_DATA_DIR"),
        ("STAMP_PACKET_CACHE_BYTE", "STAMP_PACKET_CACHE_BYTES"),
        ("STAMP_APP_PORT", "APP_PORT"),
        ("STAMP_ZTF_BUCKET_NAME", "ZTF_BUCKET_NAME"),
        ("stamp_surveys_dri", "STAMP_SURVEYS_DIR"),
        ("STAMP_TEST", "STAMP_"),
    ],
)
def test_an_unknown_name_stops_with_the_nearest_known_one(monkeypatch, wrong, right):
    monkeypatch.setenv(wrong, SECRET)
    with pytest.raises(ConfigurationError, match=f"Unknown setting {wrong}. Did you mean {right}") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


def test_other_programs_names_are_left_alone(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "TIMESTAMP_STAMP_X", "STAMPEDE", "STAMP_TEST_REQUIRE_SERVICES"):
        monkeypatch.setenv(name, "1")
    assert load_settings() == Settings()


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "0", "no", "off", "f", "n"])
def test_false_is_false(monkeypatch, text):
    monkeypatch.setenv("STAMP_DEMO", text)
    assert load_settings().demo is False


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "on"])
def test_true_is_true(monkeypatch, text):
    monkeypatch.setenv("STAMP_DEMO", text)
    assert load_settings(demo=False).demo is False, "an argument wins over the environment"
    assert load_settings().demo is True


@pytest.mark.parametrize("name", ["STAMP_DEMO", "STAMP_DATA_DIR", "APP_PORT", "MARS_URL", "STAMP_WRITE_TOKENS"])
def test_an_empty_value_is_no_value(monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert load_settings() == Settings()


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("STAMP_MARS_PACKET_HOSTS", " *.example.org, packets.example.net ,,")
    monkeypatch.setenv("STAMP_WRITE_TOKENS", f"{SECRET},second")
    settings = load_settings()
    assert settings.mars_packet_hosts == ("*.example.org", "packets.example.net")
    assert [token.get_secret_value() for token in settings.write_tokens] == [SECRET, "second"]


def test_further_buckets_are_json(monkeypatch):
    monkeypatch.setenv("STAMP_BUCKETS", '{"other": "its-bucket", "ztf": "not-this-one"}')
    monkeypatch.setenv("ZTF_BUCKET_NAME", "ztf-bucket")
    monkeypatch.setenv("ATLAS_BUCKET_NAME", "atlas-bucket")
    monkeypatch.setenv("STAMP_LSST_BUCKET_NAME", "lsst-bucket")
    settings = load_settings()
    assert [settings.bucket(name) for name in ("ztf", "atlas", "lsst", "other", "none")] == [
        "ztf-bucket",
        "atlas-bucket",
        "lsst-bucket",
        "its-bucket",
        None,
    ]


@pytest.mark.parametrize("name", ["prometheus_multiproc_dir", "PROMETHEUS_MULTIPROC_DIR"])
def test_the_metrics_folder_has_two_spellings(monkeypatch, name, tmp_path):
    monkeypatch.setenv(name, str(tmp_path))
    assert load_settings().prometheus_multiproc_dir == tmp_path


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("APP_BIND", "127.0.0.1", "app_bind", "127.0.0.1"),
        ("APP_PORT", "0", "app_port", 0),
        ("APP_WORKERS", "2", "app_workers", 2),
        ("APP_THREADS", "16", "app_threads", 16),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("MARS_URL", "https://mars.example.org/", "mars_url", "https://mars.example.org/"),
        ("STAMP_SCHEMAS_DIR", "/schemas", "schemas_path", Path("/schemas")),
        ("STAMP_PACKET_CACHE_BYTES", "0", "packet_cache_bytes", 0),
        ("STAMP_S3_READ_TIMEOUT_S", "0.5", "s3_read_timeout_s", 0.5),
    ],
)
def test_each_name_sets_its_field(monkeypatch, name, text, field, value):
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("APP_PORT", "99999"),
        ("APP_PORT", "http"),
        ("APP_WORKERS", "0"),
        ("APP_THREADS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("STAMP_DEMO", "perhaps"),
        ("STAMP_BUCKETS", "not json"),
        ("STAMP_BUCKETS", '["a"]'),
        ("STAMP_BUCKETS", '{"ztf": 1}'),
        ("STAMP_PACKET_CACHE_BYTES", "-1"),
        ("STAMP_MAX_PACKET_BYTES", "1e3"),
        ("STAMP_MARS_READ_TIMEOUT_S", "nan"),
        ("STAMP_MARS_READ_TIMEOUT_S", "0"),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_not_repeated(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigurationError, match=f"^Settings: {name}: ") as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    assert len(text) < 3 or text not in str(caught.value)


def test_every_wrong_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("APP_PORT", "x")
    monkeypatch.setenv("APP_WORKERS", "x")
    with pytest.raises(ConfigurationError, match=r"APP_PORT.*APP_WORKERS"):
        load_settings()


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch):
    monkeypatch.setenv("STAMP_JWT_SECRET", SECRET)
    monkeypatch.setenv("STAMP_WRITE_TOKENS", SECRET)
    settings = load_settings()
    assert settings.jwt_secret == SecretStr(SECRET)
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"jwt_secret": [SECRET]},
        {"jwt_secret": {SECRET: 1}},
        {"write_tokens": {SECRET: 1}},
        {"write_tokens": [{SECRET: 1}]},
    ],
)
def test_errors_about_secrets_hold_no_secret(wrong):
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**wrong)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_misspelt_argument_is_refused():
    with pytest.raises(ConfigurationError, match="data_dri"):
        load_settings(data_dri="x")


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        load_settings().app_port = 1


def test_names_are_complete_and_described():
    names = environment_names()
    assert set(names.values()) == set(Settings.model_fields)
    assert all(info.description for info in Settings.model_fields.values())
    assert {name for name in names if not name.startswith("STAMP_")} == {
        "ZTF_BUCKET_NAME",
        "ATLAS_BUCKET_NAME",
        "HADOOP_CONF_DIR",
        "HADOOP_USER_NAME",
        "MARS_URL",
        "APP_BIND",
        "APP_PORT",
        "APP_WORKERS",
        "APP_THREADS",
        "LOG_LEVEL",
        "prometheus_multiproc_dir",
        "PROMETHEUS_MULTIPROC_DIR",
        "CLASSIFIER_STRATEGY",
        "CONSUMER_GROUP_ID",
        "CONSUMER_KAFKA_PASSWORD",
        "CONSUMER_KAFKA_USERNAME",
        "CONSUMER_PASSWORD",
        "CONSUMER_SASL_MECHANISM",
        "CONSUMER_SECURITY_PROTOCOL",
        "CONSUMER_SERVER",
        "CONSUMER_TOPICS",
        "CONSUMER_USERNAME",
        "CONSUME_MESSAGES",
        "CONSUME_TIMEOUT",
        "KAFKA_PASSWORD",
        "KAFKA_SECURITY_PROTOCOL",
        "KAFKA_USERNAME",
        "DB_ENGINE",
        "DB_HOST",
        "DB_NAME",
        "DB_PASSWORD",
        "DB_PORT",
        "DB_USER",
        "METRICS_HOST",
        "METRICS_PORT",
        "METRICS_SERVER",
        "METRICS_TOPIC",
        "MODEL_NAME",
        "MODEL_VERSION",
        "PRODUCER_CHANGE_HOUR",
        "PRODUCER_DATE_FORMAT",
        "PRODUCER_KAFKA_PASSWORD",
        "PRODUCER_KAFKA_USERNAME",
        "PRODUCER_PASSWORD",
        "PRODUCER_RETENTION_DAYS",
        "PRODUCER_SASL_MECHANISM",
        "PRODUCER_SASL_PASSWORD",
        "PRODUCER_SASL_USERNAME",
        "PRODUCER_SECURITY_PROTOCOL",
        "PRODUCER_SERVER",
        "PRODUCER_TOPIC",
        "PRODUCER_TOPIC_FORMAT",
        "PRODUCER_USERNAME",
        "SCRIBE_SERVER",
        "SCRIBE_TOPIC",
        "STEP_COMMENTS",
        "STEP_ID",
        "STEP_NAME",
        "STEP_VERSION",
        "TOPIC_STRATEGY_FORMAT",
    }


def test_the_metrics_folder_reaches_prometheus_client(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "before")
    share_metrics_dir(tmp_path)
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path)
