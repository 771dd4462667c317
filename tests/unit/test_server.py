"""What the server's master process does around its workers."""

import os

import pytest
from pydantic import SecretStr

from stamp_service.demo import demo_alerts
from stamp_service.errors import ConfigurationError
from stamp_service.index import open_index
from stamp_service.probabilities import open_probabilities
from stamp_service.server import bind_address, fill_local_store, local_surveys, prepare_metrics_dir, welcome
from stamp_service.settings import Settings
from stamp_service.stores import open_local


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", app_bind="0.0.0.0", app_port=8087)


@pytest.fixture
def environment(monkeypatch):
    """Undo what the process is told about metrics."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "before")


def test_an_empty_store_is_filled_once(settings, surveys):
    assert fill_local_store(settings, surveys) == 51
    assert fill_local_store(settings, surveys) == 0
    assert (settings.data_dir / "schemas" / "lsst.v9_0.alert.avsc").is_file()
    index = open_index(settings)
    assert {name: len(index.search(name, limit=100).alerts) for name in surveys} == dict.fromkeys(surveys, 17)
    index.close()


def test_classes_of_the_synthetic_objects_are_there_and_likely_right(settings, surveys):
    fill_local_store(settings, surveys)
    index, tables = open_index(settings), open_probabilities(settings, 5)
    ids = {one.object_id for one in index.search("ztf", limit=100).alerts}
    said = {object_id: tables.of_object(object_id) for object_id in ids}
    for (one,) in said.values():
        assert one.classifier_name == "synthetic"
        assert [part.ranking for part in one.classes] == [1, 2, 3, 4, 5]
        assert sum(part.probability for part in one.classes) == pytest.approx(1)
    assert {one.classes[0].class_name for (one,) in said.values()} == {"SN", "VS", "asteroid", "AGN", "bogus"}
    assert said["ZTF25demoaaa"][0].classes[0].class_name == "SN"
    index.close()
    tables.close()


@pytest.mark.parametrize("changed", [{"db_engine": "postgresql"}, {"db_host": "127.0.0.1"}])
def test_nothing_made_up_goes_into_a_database_of_others(settings, surveys, changed):
    assert fill_local_store(settings.model_copy(update=changed), surveys) == 51
    assert not (settings.data_dir / "probabilities.sqlite").exists()


def test_an_index_that_is_away_keeps_it_from_nothing(settings, surveys, caplog):
    changed = {"index_url": SecretStr("sqlite:////nowhere/index.sqlite"), "ztf_bucket_name": "a"}
    away = settings.model_copy(update=changed | {"lsst_bucket_name": "b"})
    assert fill_local_store(away, surveys) == 17
    assert fill_local_store(away, surveys) == 0
    assert "stamp-service index rebuild" in caplog.text


def test_a_store_with_something_in_it_is_left_alone(settings, surveys):
    alert = next(demo_alerts("ztf"))
    open_local(settings).put(surveys["ztf"], alert.alert_id, alert.packet)
    assert fill_local_store(settings, surveys) == 0


def test_filling_that_was_cut_short_is_taken_up_again(settings, surveys):
    alert = next(demo_alerts("ztf"))
    open_local(settings).put(surveys["ztf"], alert.alert_id, alert.packet)
    (settings.data_dir / "demo-unfinished").touch()
    only_ztf = settings.model_copy(update={"atlas_bucket_name": "a", "lsst_bucket_name": "b"})
    assert fill_local_store(only_ztf, surveys) == 16
    assert not (settings.data_dir / "demo-unfinished").exists()


def test_no_demo_is_no_demo(settings, surveys):
    assert fill_local_store(settings.model_copy(update={"demo": False}), surveys) == 0
    assert not settings.data_dir.exists()


def test_only_surveys_without_a_bucket_are_filled(settings, surveys):
    changed = settings.model_copy(update={"ztf_bucket_name": "a", "lsst_bucket_name": "b"})
    assert local_surveys(changed, surveys) == ["atlas"]
    assert fill_local_store(changed, surveys) == 17
    everywhere = changed.model_copy(update={"atlas_bucket_name": "c"})
    assert fill_local_store(everywhere, surveys) == 0


def test_a_data_folder_that_cannot_be_written_to_is_named(surveys, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"^STAMP_DATA_DIR: "):
        fill_local_store(Settings(data_dir=tmp_path / "file" / "data"), surveys)


@pytest.mark.parametrize(
    ("bind", "address", "base"),
    [
        ("0.0.0.0", "0.0.0.0:80", "http://localhost:81"),
        ("::", "[::]:80", "http://localhost:81"),
        ("127.0.0.1", "127.0.0.1:80", "http://127.0.0.1:81"),
        ("::1", "[::1]:80", "http://[::1]:81"),
        ("stamps.example.org", "stamps.example.org:80", "http://stamps.example.org:81"),
    ],
)
def test_addresses_can_be_clicked(surveys, tmp_path, bind, address, base):
    settings = Settings(data_dir=tmp_path, app_bind=bind, app_port=80)
    assert bind_address(settings) == address
    assert f"listens on {base}\n" in welcome(settings, surveys, 81)


def test_the_welcome_names_three_surveys(settings, surveys):
    store, ids = open_local(settings), []
    for name in surveys:
        for alert in list(demo_alerts(name, objects=1))[1:4]:
            store.put(surveys[name], alert.alert_id, alert.packet)
            ids.append(alert.alert_id)
    # A supernova at its brightest, not just any.
    ztf, atlas, lsst = ids[1::3]
    assert welcome(settings, surveys, 8087).splitlines() == [
        "Stamp Service listens on http://localhost:8087",
        "  its API   http://localhost:8087/docs",
        f"  a PNG     http://localhost:8087/v1/stamps/ztf/{ztf}/science.png",
        f"  a FITS    http://localhost:8087/v1/stamps/atlas/{atlas}/science.fits",
        f"  a packet  http://localhost:8087/v1/alerts/lsst/{lsst}.avro",
    ]


def test_the_welcome_makes_do_with_one_alert(settings, surveys):
    alert = next(demo_alerts("atlas"))
    open_local(settings).put(surveys["atlas"], alert.alert_id, alert.packet)
    lines = welcome(settings, surveys, 1).splitlines()
    assert len(lines) == 5
    assert all(f"/atlas/{alert.alert_id}" in line for line in lines[2:])


def test_the_welcome_of_an_empty_or_remote_store_is_short(settings, surveys):
    assert len(welcome(settings, surveys, 1).splitlines()) == 2
    buckets = {"ztf_bucket_name": "a", "lsst_bucket_name": "b", "atlas_bucket_name": "c"}
    assert len(welcome(settings.model_copy(update=buckets), surveys, 1).splitlines()) == 2


def test_a_given_metrics_folder_is_emptied_once(environment, tmp_path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"old")
    assert prepare_metrics_dir(folder) == folder
    assert list(folder.iterdir()) == []
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)
    (folder / "counter_2.db").write_bytes(b"of a worker")
    prepare_metrics_dir(folder)
    assert (folder / "counter_2.db").exists(), "a reload must not lose what workers count"


def test_a_metrics_folder_that_cannot_be_made_is_named(environment, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"^prometheus_multiproc_dir: "):
        prepare_metrics_dir(tmp_path / "file" / "metrics")
