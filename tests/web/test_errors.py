"""The error table."""

import logging

import pytest
from flask import Flask
from werkzeug.exceptions import default_exceptions

from stamp_service import errors as house
from stamp_service.web import errors


def every_subclass(kind):
    for child in kind.__subclasses__():
        yield child
        yield from every_subclass(child)


@pytest.mark.parametrize("kind", sorted(every_subclass(house.StampServiceError), key=lambda kind: kind.__name__))
def test_every_error_has_a_row(kind):
    # What a room calls its own is answered as the house's error that it is one of.
    of_the_house = next(base for base in kind.__mro__ if base.__module__ == house.__name__)
    assert of_the_house in errors.TABLE


def test_codes_are_unique():
    codes = [row.code for row in errors.TABLE.values()]
    assert len(set(codes)) == len(codes)


def test_absent_broken_and_unreachable_differ():
    kinds = (house.AlertNotFound, house.PacketCorrupt, house.StoreUnavailable, house.StoreTimeout)
    assert [errors.row_of(kind).status for kind in kinds] == [404, 502, 503, 504]


def test_a_new_subclass_is_answered_as_its_base():
    class LakeUnavailable(house.StoreUnavailable):
        pass

    assert errors.row_of(LakeUnavailable).status == 503


@pytest.fixture
def failing():
    """An application whose views raise."""
    app = Flask("failing")
    raised = {
        "unknown": ValueError("password=hunter2 in /etc/secret"),
        "down": house.StoreUnavailable("store s3 could not be asked", retry_after_s=7),
    }

    @app.get("/<name>")
    def fail(name):
        raise raised[name]

    errors.install(app, {})
    return app.test_client()


def test_unknown_exceptions_tell_nothing(failing, caplog):
    with caplog.at_level(logging.ERROR, "stamp_service.web"):
        answer = failing.get("/unknown")
    assert answer.status_code == 500
    assert b"hunter2" not in answer.data
    assert "hunter2" in caplog.text  # the operator sees it


def test_unavailable_says_when_to_come_back(failing):
    answer = failing.get("/down")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "7"
    assert answer.json["detail"] == "store s3 could not be asked"


@pytest.mark.parametrize(("status", "code"), [(400, "bad-request"), (404, "not-found"), (413, "too-large")])
def test_flask_s_own_errors_have_our_codes(status, code):
    assert errors.failure_of(default_exceptions[status]()).row == errors.Row(status, code)


def test_other_errors_of_flask_s_are_named_after_their_status():
    assert errors.failure_of(default_exceptions[405]()).row.code == "method-not-allowed"
