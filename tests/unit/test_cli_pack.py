"""`stamp-service pack`: there and back, again, and after a stop."""

import pytest
from click.testing import CliRunner

from stamp_service.cli_pack import pack
from stamp_service.errors import RequestError
from stamp_service.settings import Settings, environment_names
from stamp_service.stores import open_local, open_packed
from tests.contracts.packed import FIRST_ID, packet_of, packs_of, spooled, stored_once


@pytest.fixture
def settings(monkeypatch, tmp_path):
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STAMP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("STAMP_PACKED_SURVEYS", "ztf")
    return Settings()


@pytest.fixture
def local(settings, surveys):
    store = open_local(settings)
    for number in range(12):
        store.put(surveys["ztf"], str(FIRST_ID + number), packet_of(number))
    store.put(surveys["lsst"], "7", b"of LSST")
    return store


def run(*arguments, status=0):
    result = CliRunner().invoke(pack, arguments)
    assert result.exit_code == status, result.output
    return result


def test_packs_what_is_there_and_leaves_it_there(local, settings, surveys, tmp_path):
    assert run().output == "ztf: copied 12\n"
    assert len(packs_of(tmp_path / "packed")) == 2
    assert spooled(tmp_path / "packed") == []
    store = open_packed(settings, surveys)
    for number in range(12):
        assert store.get(surveys["ztf"], str(FIRST_ID + number)) == packet_of(number)
        assert local.get(surveys["ztf"], str(FIRST_ID + number)) == packet_of(number)
    store.close()


def test_goes_on_where_it_was_stopped(local, settings, surveys, tmp_path):
    store = open_packed(settings, surveys)
    for number in range(5):
        store.put(surveys["ztf"], str(FIRST_ID + number), packet_of(number))
    store.close()
    assert run("ztf").output == "ztf: copied 7, 5 were there already\n"
    assert run("ztf").output == "ztf: copied 0, 12 were there already\n"
    assert len(stored_once(tmp_path / "packed")) == 12


def test_unpacks_to_the_same_bytes(local, settings, surveys):
    run("ztf", "lsst")
    for path in [*(local._root / "ztf").rglob("*.avro"), *(local._root / "lsst").rglob("*.avro")]:
        path.unlink()
    assert run("--unpack", "ztf", "lsst").output == "ztf: copied 12\nlsst: copied 1\n"
    for number in range(12):
        assert local.get(surveys["ztf"], str(FIRST_ID + number)) == packet_of(number)
    assert local.get(surveys["lsst"], "7") == b"of LSST"
    assert run("--unpack").output == "ztf: copied 0, 12 were there already\n"


def test_says_what_is_refused_and_goes_on(local, settings, surveys):
    store = open_packed(settings, surveys)
    store.put(surveys["ztf"], str(FIRST_ID + 3), b"another")
    store.close()
    result = run(status=1)
    assert "ztf: copied 11, refused 1" in result.output
    assert f"refused ztf {FIRST_ID + 3}: a different packet" in result.output
    assert "refused 1" in run("--unpack", status=1).output


def test_a_damaged_packet_keeps_none_of_the_others_back(settings, surveys, tmp_path):
    store = open_packed(settings, surveys)
    for number in range(12):
        store.put(surveys["ztf"], str(FIRST_ID + number), packet_of(number))
    store.flush(surveys["ztf"])
    store.close()
    largest = max(packs_of(tmp_path / "packed"), key=lambda pack: pack.stat().st_size)
    damaged = bytearray(largest.read_bytes())
    damaged[-40] ^= 0xFF  # in the last packet's block
    largest.write_bytes(damaged)
    result = run("--unpack", status=1)
    assert "ztf: copied 11, refused 1" in result.output
    assert "the stored packet is damaged" in result.output


def test_empties_the_spool_on_request(settings, surveys, tmp_path):
    store = open_packed(settings, surveys)
    store.put(surveys["ztf"], "1", b"packet")
    assert run("--flush").output == "ztf: the spool is empty\n"
    assert len(packs_of(tmp_path / "packed")) == 1
    assert run("--reindex").output == "ztf: scanned 0 packs\n"
    store.close()


def test_wants_a_survey(settings, monkeypatch):
    monkeypatch.delenv("STAMP_PACKED_SURVEYS")
    assert isinstance(run(status=1).exception, RequestError)
