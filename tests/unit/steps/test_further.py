"""Where the archive step keeps alerts besides: what targets refuse, and what is wrong with the settings."""

from contextlib import ExitStack

import pytest

from stamp_service.demo import demo_alerts
from stamp_service.errors import ConfigurationError, PacketCorrupt, StoreUnavailable
from stamp_service.index import entry_of
from stamp_service.packets import recognise
from stamp_service.settings import load_settings
from stamp_service.steps import Archived, Item, Message
from stamp_service.steps.further import TargetSink, open_further
from stamp_service.stores.outcomes import ADDED, PRESENT, refused


class Shelf:
    """A target that answers as it is told."""

    def __init__(self, *answers):
        self.answers = answers
        self.given = []

    def add(self, alerts):
        self.given += [alert.alert_id for alert in alerts]
        if isinstance(self.answers[0], Exception):
            raise self.answers[0]
        return list(self.answers)

    def close(self):
        self.given = None


@pytest.fixture(scope="module")
def items(surveys):
    """Three alerts on their way."""
    made = [recognise(surveys, alert.packet) for alert, _ in zip(demo_alerts("ztf"), range(3), strict=False)]
    return [
        Item(Message("topic", 0, offset, alert.packet.data), Archived(alert, entry_of(alert, "local")))
        for offset, alert in enumerate(made)
    ]


def test_what_a_target_refuses_goes_to_the_dead_letters(items):
    shelf = Shelf(ADDED, refused("it is too wide", "width"), PRESENT)
    sink = TargetSink("shelf", shelf)
    (refusal,) = sink.write(items)
    assert refusal.message is items[1].message
    assert refusal.reason == "it is too wide"
    assert shelf.given == [item.value.alert.alert_id for item in items]
    sink.close()
    assert shelf.given is None


def test_a_damaged_target_is_waited_for(items):
    with pytest.raises(StoreUnavailable, match="a file of the lake"):
        TargetSink("shelf", Shelf(PacketCorrupt("a file of the lake is damaged"))).write(items)


def test_a_lake_that_another_hand_damaged_refuses_no_alert(items, surveys, tmp_path):
    settings = load_settings(data_dir=tmp_path, archive_also=("lake",))
    (sink,) = open_further(settings, surveys)
    assert sink.write(items) == []
    (file, *_) = (tmp_path / "lake" / "ztf").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreUnavailable):
        sink.write(items)
    sink.close()


def test_sinks_come_in_the_order_in_which_they_are_named(surveys, tmp_path, monkeypatch):
    monkeypatch.setenv("STAMP_ARCHIVE_ALSO", "lake, packed,duckdb,lake")
    with ExitStack() as stack:
        sinks = open_further(load_settings(data_dir=tmp_path, packed_surveys=("atlas",)), surveys)
        for sink in sinks:
            stack.callback(sink.close)
        assert [sink.name for sink in sinks] == ["lake", "packed", "duckdb"]


def test_what_is_wrong_shows_before_the_first_message(surveys, tmp_path):
    with pytest.raises(ConfigurationError, match="lake"):
        open_further(
            load_settings(data_dir=tmp_path, archive_also=("lake",), archive_lake="gopher://x/y"), surveys
        )
    with pytest.raises(ConfigurationError, match="STAMP_BIGQUERY_PROJECT"):
        open_further(load_settings(data_dir=tmp_path, archive_also=("bigquery",)), surveys)
    with pytest.raises(ConfigurationError, match="STAMP_ARCHIVE_ALSO"):
        load_settings(archive_also=("tables",))
