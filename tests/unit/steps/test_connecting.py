"""What the settings mean to Kafka's client."""

import json

import pytest

from stamp_service.errors import ConfigurationError
from stamp_service.settings import load_settings
from stamp_service.steps.connecting import consumer_options, producer_options, writes_where_it_reads
from stamp_service.steps.outbox import Outbox

READING = {"CONSUMER_SERVER": "a:1", "CONSUMER_GROUP_ID": "g"}


@pytest.fixture
def settings(monkeypatch):
    def load(**environment: str):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return load


@pytest.mark.parametrize("prefix", ["CONSUMER", "CONSUMER_KAFKA", "KAFKA"])
def test_a_user_name_is_found_under_the_names_that_deployments_use(settings, prefix):
    options = consumer_options(settings(**READING, **{f"{prefix}_USERNAME": "u", f"{prefix}_PASSWORD": "p"}))
    assert {name: options[name] for name in options if name.startswith(("sasl", "security"))} == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
    }


def test_without_a_user_name_there_is_no_sasl(settings):
    options = consumer_options(settings(**READING, CONSUMER_SASL_MECHANISM="PLAIN"))
    assert not [name for name in options if name.startswith(("sasl", "security"))]


@pytest.mark.parametrize("side", ["CONSUMER", "PRODUCER"])
@pytest.mark.parametrize("alone", ["USERNAME", "PASSWORD"])
def test_a_user_name_without_password_is_no_setting(settings, side, alone):
    loaded = settings(**READING, PRODUCER_SERVER="b:2", **{f"{side}_{alone}": "s3cret"})
    with pytest.raises(ConfigurationError, match=f"{side}_USERNAME and {side}_PASSWORD") as caught:
        (consumer_options if side == "CONSUMER" else producer_options)(loaded)
    assert "s3cret" not in str(caught.value)


def test_offsets_are_never_committed_by_the_client_itself(settings):
    options = consumer_options(settings(**READING))
    assert options["enable.auto.commit"] is False
    assert options["enable.auto.offset.store"] is False
    assert options["auto.offset.reset"] == "earliest"


def test_letters_go_to_the_broker_that_is_read_from_as_the_same_user(settings):
    reading = settings(
        **READING, KAFKA_USERNAME="u", KAFKA_PASSWORD="p", STAMP_CONSUMER_OPTIONS='{"ssl.ca.location": "/ca"}'
    )
    options = producer_options(reading)
    assert (options["bootstrap.servers"], options["sasl.username"], options["ssl.ca.location"]) == (
        "a:1",
        "u",
        "/ca",
    )
    assert options["acks"] == "all"
    assert "group.id" not in options


def test_another_broker_to_write_to_has_its_own_user(settings):
    options = producer_options(
        settings(
            **READING,
            KAFKA_USERNAME="u",
            KAFKA_PASSWORD="p",
            PRODUCER_SERVER="b:2",
            PRODUCER_USERNAME="v",
            PRODUCER_PASSWORD="q",
            PRODUCER_SASL_MECHANISM="PLAIN",
        )
    )
    assert (options["bootstrap.servers"], options["sasl.username"], options["sasl.password"]) == ("b:2", "v", "q")
    assert options["sasl.mechanism"] == "PLAIN"


@pytest.mark.parametrize(
    ("server", "same"),
    [(None, True), ("a:1", True), ("b:1, a:1", True), ("a:2", False), ("b:1,b:2", False)],
)
def test_transactions_need_a_broker_in_common(settings, server, same):
    written = {"PRODUCER_SERVER": server} if server else {}
    assert writes_where_it_reads(settings(**READING, **written)) is same


def test_a_transaction_ends_before_the_brokers_give_it_up(settings):
    one, other = (producer_options(settings(**READING), transactional=True) for _ in range(2))
    assert one["transactional.id"] != other["transactional.id"]
    assert "message.timeout.ms" not in one  # the client derives it
    own = '{"transactional.id": "mine"}'
    assert (
        producer_options(settings(**READING, STAMP_PRODUCER_OPTIONS=own), transactional=True)["transactional.id"]
        == "mine"
    )


def test_further_brokers_are_written_to_as_the_same_user(settings):
    given = settings(**READING, PRODUCER_SERVER="b:2", PRODUCER_SASL_USERNAME="v", PRODUCER_SASL_PASSWORD="q")
    options = producer_options(given, "c:3")
    assert (options["bootstrap.servers"], options["sasl.username"], options["sasl.password"]) == ("c:3", "v", "q")


def test_further_options_win_except_over_what_the_loop_relies_on(settings):
    further = {"client.id": "x", "check.crcs": "false", "enable.auto.commit": "true", "group.protocol": "consumer"}
    options = consumer_options(settings(**READING, STAMP_CONSUMER_OPTIONS=json.dumps(further)))
    assert (options["client.id"], options["check.crcs"]) == ("x", "false")
    assert (options["enable.auto.commit"], options["group.protocol"]) == (False, "classic")


def test_an_option_that_there_is_not_is_a_matter_of_configuration(settings):
    options = producer_options(
        settings(**READING, STAMP_PRODUCER_OPTIONS='{"no.such": "1"}', PRODUCER_SERVER="b:2")
    )
    with pytest.raises(ConfigurationError, match=r"refuses its options: .*no\.such"):
        Outbox(options)


def test_secrets_are_not_shown(settings):
    shown = repr(
        settings(**READING, KAFKA_PASSWORD="hidden1", STAMP_PRODUCER_OPTIONS='{"ssl.key.password": "hidden2"}')
    )
    assert "hidden" not in shown


@pytest.mark.parametrize("missing", READING)
def test_broker_and_group_have_to_be_named(settings, missing):
    with pytest.raises(ConfigurationError, match=f"{missing} is not set"):
        consumer_options(settings(**{name: value for name, value in READING.items() if name != missing}))
