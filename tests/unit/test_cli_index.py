"""`stamp-service index rebuild`: what the stores have and the index lacks."""

import re
from importlib.resources import files
from shutil import copytree

import pytest
from click.testing import CliRunner

from stamp_service.cli import main
from stamp_service.index import entry_of, open_index
from stamp_service.packets import recognise
from stamp_service.settings import Settings, environment_names
from stamp_service.stores import fetch_each, open_local, open_packed, open_schemas
from tests.synthetic import synthetic

ZTF = [alert.alert_id for alert in synthetic("ztf")]


@pytest.fixture
def settings(monkeypatch, tmp_path):
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STAMP_DATA_DIR", str(tmp_path))
    return Settings()


@pytest.fixture
def local(settings, filled):
    """A store like that of the test's own."""
    copytree(filled, settings.data_dir, dirs_exist_ok=True)
    return open_local(settings)


def run(*words, status=0):
    result = CliRunner().invoke(main, ["index", "rebuild", *words])
    assert result.exit_code == status, result.output
    return re.sub(r"; \d+ alerts/s", "", result.stdout).splitlines(), result.stderr


def indexed(settings, survey="ztf"):
    index = open_index(settings)
    try:
        return {one.alert_id: one for one in index.search(survey, limit=1000).alerts}
    finally:
        index.close()


def test_enters_what_the_stores_have(local, settings, surveys):
    lines, _ = run()
    assert lines == ["ztf (local): entered 17", "atlas (local): entered 17", "lsst (local): entered 17"]
    schemas = open_schemas(settings)
    for name in surveys:
        found = indexed(settings, name)
        assert len(found) == 17
        for alert_id, packet in fetch_each(local, surveys[name], local.listed(surveys[name])):
            assert found[alert_id] == entry_of(recognise(surveys, packet, schemas), "local")


def test_reads_only_what_the_index_lacks(local, settings, surveys):
    run("ztf")
    (path,) = settings.data_dir.rglob(f"{ZTF[3]}.avro")
    packet = path.read_bytes()
    path.write_bytes(b"damaged, and not read again")
    assert run("ztf")[0] == ["ztf (local): entered 0, 17 were there already"]
    lines, errors = run("ztf", "--all", status=1)
    assert lines == ["ztf (local): entered 16, refused 1 (1: it is damaged)"]
    assert errors.startswith(f"refused ztf {ZTF[3]}: ")
    path.write_bytes(packet)
    assert run("ztf", "--all")[0] == ["ztf (local): entered 17"]


def test_goes_on_where_it_was_stopped(local, settings, surveys):
    index = open_index(settings)
    index.add([entry_of(recognise(surveys, local.get(surveys["ztf"], ZTF[5])), "local")])
    index.close()
    assert run("ztf")[0] == ["ztf (local): entered 16, 1 were there already"]


def test_names_what_it_refuses_and_why(local, settings, surveys):
    open_local(settings).put(surveys["ztf"], "42", b"Obj\x01 broken")
    local.put(surveys["ztf"], "43", local.get(surveys["ztf"], ZTF[0]))
    lines, errors = run("ztf", status=1)
    assert lines == ["ztf (local): entered 17, refused 2 (2: it is damaged)"]
    assert set(re.findall(r"^refused ztf (\d+): ", errors, re.MULTILINE)) == {"42", "43"}
    # And each time again, as long as they are there.
    assert run("ztf", status=1)[0][0].endswith("17 were there already, refused 2 (2: it is damaged)")


def test_goes_through_all_stores_and_says_where_packets_are(local, settings, surveys, monkeypatch):
    monkeypatch.setenv("STAMP_PACKED_SURVEYS", "ztf")
    packed = open_packed(settings, surveys)
    for alert_id in ZTF[:4]:
        packed.put(surveys["ztf"], alert_id, local.get(surveys["ztf"], alert_id))
    packed.close()
    assert run("ztf")[0] == ["ztf (packed): entered 4", "ztf (local): entered 13, 4 were there already"]
    assert {alert_id for alert_id, one in indexed(settings).items() if one.place == "packed"} == set(ZTF[:4])


def test_packing_tells_the_index_where_packets_are(local, settings, monkeypatch):
    monkeypatch.setenv("STAMP_PACKED_SURVEYS", "ztf")
    run("ztf")
    for words, place in (("pack",), "packed"), (("pack", "--unpack"), "local"):
        assert CliRunner().invoke(main, words).exit_code == 0
        assert {one.place for one in indexed(settings).values()} == {place}


def test_packing_goes_on_without_the_index(local, monkeypatch):
    monkeypatch.setenv("STAMP_INDEX_URL", "sqlite:////nowhere/index.sqlite")
    result = CliRunner().invoke(main, ["pack", "ztf"])
    assert (result.exit_code, result.stdout) == (0, "ztf: copied 17\n")
    assert result.stderr.count("index") == 1


def test_an_index_that_is_away_is_named(local, monkeypatch):
    monkeypatch.setenv("STAMP_INDEX_URL", "sqlite:////nowhere/index.sqlite")
    assert run(status=2) == ([], "Error: the index could not be asked\n")


def test_a_survey_whose_stores_cannot_be_listed_is_named(settings, surveys, monkeypatch, tmp_path):
    definition = (files("stamp_service.surveys") / "ztf.toml").read_text()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "ztf.toml").write_text(definition.replace('["archive", "lake", "mars"]', '["mars"]'))
    monkeypatch.setenv("STAMP_SURVEYS_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("MARS_URL", "http://127.0.0.1:9")
    assert run("ztf", status=2) == ([], "Error: no store of ztf can list what it has\n")
