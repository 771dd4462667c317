"""The index in a real PostgreSQL."""

import logging
import os
import signal
import threading
import time
import traceback
from contextlib import closing, contextmanager
from urllib.parse import quote

import psycopg
import pytest

from stamp_service.errors import StoreTimeout, StoreUnavailable
from stamp_service.index import open_index
from stamp_service.settings import load_settings
from tests.contracts.index import IndexContract, alert, pages
from tests.integration.services.gate import Gate
from tests.integration.services.postgres import PASSWORD


class TestPostgres(IndexContract):
    """Its databases sort by English rules where they are not told otherwise."""


@pytest.fixture
def opened(tmp_path):
    """Open an index that waits for half a second."""
    indexes = []

    def make(url: str):
        indexes.append(open_index(load_settings(data_dir=tmp_path, index_url=url, index_timeout_s=0.5)))
        return indexes[-1]

    yield make
    for index in indexes:
        index.close()


@contextmanager
def takes_at_most(seconds: float):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def signal_all(processes: list[int], what: int) -> None:
    for process in processes:
        os.kill(process, what)


def assert_away(index) -> None:
    for ask in (
        index.check,
        lambda: index.add([alert(3)]),
        lambda: index.alerts_of("ztf", "ZTF181"),
        lambda: index.search("ztf", limit=1),
    ):
        with takes_at_most(5), pytest.raises(StoreUnavailable):
            ask()


def test_a_server_that_is_away_is_found_again(opened, postgres, database_url):
    index = opened(database_url)
    assert index.add([alert(1), alert(2)]) == 2
    postgres.stop()
    assert_away(index)
    never_connected = opened(database_url)
    assert_away(never_connected)
    postgres.start()
    assert index.add([alert(2), alert(3)]) == 1
    assert [one.alert_id for one in pages(never_connected, 1)] == ["1", "2", "3"]


def test_connections_that_are_cut_are_replaced(opened, database_url):
    gate = Gate(database_url)
    index = opened(gate.url)
    index.add([alert(1)])
    gate.close()
    assert_away(index)
    gate.open()
    assert [one.alert_id for one in pages(index, 1)] == ["1"]
    gate.close()


def test_a_server_that_says_nothing_is_not_waited_for(opened, database_url):
    index = opened(database_url)
    index.add([alert(1)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        (others,) = connection.execute(
            "SELECT array_agg(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    signal_all(others, signal.SIGSTOP)
    # Where it is waited for all the same, it goes on after a while, and the test fails instead of hanging.
    later = threading.Timer(8, signal_all, (others, signal.SIGCONT))
    later.start()
    try:
        # One connection is silent; a new one is not.
        with takes_at_most(5):
            index.check()
    finally:
        later.cancel()
        signal_all(others, signal.SIGCONT)


def test_an_answer_that_takes_too_long_is_not_waited_for(opened, database_url):
    index = opened(database_url)
    index.add([alert(1)])
    with psycopg.connect(database_url) as another:
        another.execute("LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE")
        for ask in (index.check, lambda: index.add([alert(2)])):
            with takes_at_most(3), pytest.raises(StoreTimeout):
                ask()
    assert index.add([alert(2)]) == 1


def test_a_writer_waits_for_another_and_tries_again_later(opened, database_url):
    index = opened(database_url)
    index.add([alert(1)])
    with psycopg.connect(database_url) as another:
        another.execute("UPDATE alerts SET band = 'r' WHERE alert_id = '1'")
        with takes_at_most(3), pytest.raises(StoreTimeout):
            index.add([alert(number, magnitude=17.0) for number in range(5)])
        # Nothing of what failed is there, and who reads waits for nobody.
        assert [one.alert_id for one in pages(index, 10)] == ["1"]
    assert index.add([alert(number, magnitude=17.0) for number in range(5)]) == 4
    assert {one.magnitude for one in pages(index, 10)} == {17.0}


def test_a_password_is_in_no_message(opened, postgres, database_url, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "not/this"
    wrong = database_url.replace(quote(PASSWORD, safe=""), quote(secret, safe=""))
    assert wrong != database_url
    elsewhere = [
        wrong,
        postgres.url("no_such_database"),
        database_url.replace(f":{postgres.port}/", ":1/"),
        database_url.replace("127.0.0.1", "no.such.host.invalid"),
    ]
    for url in elsewhere:
        index = opened(url)
        with pytest.raises(StoreUnavailable) as caught:
            index.check()
        told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(index)
        for word in (PASSWORD, secret):
            assert word not in told
            assert quote(word, safe="") not in told


def test_an_index_of_a_newer_program_is_left_alone(opened, database_url):
    with closing(open_index(load_settings(index_url=database_url))) as index:
        index.add([alert(1)])
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer version"):
        opened(database_url).check()
