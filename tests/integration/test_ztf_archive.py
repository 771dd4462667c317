"""The nightly archive, from its page to the store: downloads that are cut, damaged, slow or absent."""

import gzip
import math
import os
import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from stamp_service.cli import main
from stamp_service.errors import NotFound, PacketCorrupt, RequestError, StoreTimeout, StoreUnavailable
from stamp_service.settings import Settings, environment_names
from stamp_service.stores import open_local
from stamp_service.ztf_archive import (
    download_data,
    download_data_date,
    download_recent_data,
    get_local_release_list,
    get_number_local_releases,
    get_remote_release_list,
    iter_night,
    list_releases,
    nights_folder,
)
from tests.integration.services.ztf_archive import EMPTY_NIGHT, Fault, NightServer, make_night, running_archive

NIGHT = "ztf_public_20180626.tar.gz"
EARLIER = "ztf_public_20180625.tar.gz"
EMPTY = "ztf_public_20180624.tar.gz"


@pytest.fixture(scope="module")
def packets(shared_data: Path) -> dict[str, bytes]:
    """A dozen real alerts by the names that they have in a night."""
    files = sorted((shared_data / "alerts/ztf").glob("2475*.avro"))[:12]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def server(packets):
    """An archive of two nights and an empty one."""
    with running_archive() as server:
        server.nights = {
            NIGHT: make_night(packets),
            EARLIER: make_night(dict(list(packets.items())[:3])),
            EMPTY: EMPTY_NIGHT,
        }
        yield server


@pytest.fixture
def settings(server: NightServer, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", ztf_archive_url=server.url, ztf_archive_timeout_s=1, demo=False)


def folder_of(settings: Settings) -> list[str]:
    return sorted(file.name for file in nights_folder(settings).iterdir())


def download(settings: Settings) -> Path:
    return download_data_date(2018, 6, 26, settings=settings)


def test_the_archive_is_listed(settings, server):
    assert get_remote_release_list(settings=settings) == [NIGHT, EARLIER]
    sizes = {release.name: release.size_bytes for release in list_releases(settings=settings)}
    assert sizes[NIGHT] == pytest.approx(len(server.nights[NIGHT]), rel=0.1)


def test_a_night_is_downloaded_whole(settings, server, packets):
    path = download(settings)
    assert path.read_bytes() == server.nights[NIGHT]
    assert {name: packet for packet, name in iter_night(path)} == packets
    assert folder_of(settings) == [NIGHT]
    assert get_local_release_list(settings=settings) == [NIGHT]
    assert get_number_local_releases(settings=settings) == 1


def test_recent_nights_are_downloaded_unless_they_are_here(settings, server):
    assert [path.name for path in download_recent_data(settings=settings)] == [NIGHT]
    assert download_data is download_recent_data
    assert download_recent_data(math.inf, stop_on_exist=True, settings=settings) == []
    assert download_recent_data(1, settings=settings) == []
    assert [path.name for path in download_recent_data(math.inf, settings=settings)] == [EARLIER]
    assert [name for name, _ in server.requests].count(NIGHT) == 1


def test_a_date_is_downloaded_again(settings, server, packets):
    download(settings)
    server.nights[NIGHT] = make_night(packets, level=9)
    assert download(settings).read_bytes() == server.nights[NIGHT]


def test_an_empty_night_can_be_downloaded_by_its_date(settings):
    path = download_data_date(2018, 6, 24, settings=settings)
    assert path.stat().st_size == 44
    assert list(iter_night(path)) == []


def test_a_cut_transfer_is_resumed(settings, server):
    night = server.nights[NIGHT]
    server.fail(NIGHT, Fault(cut_after=100_000))
    server.fail(NIGHT, Fault(cut_after=50_000))
    assert download(settings).read_bytes() == night
    assert [asked for name, asked in server.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_it_is_resumed_more_often_than_it_may_fail(settings, server):
    night = server.nights[NIGHT]
    server.fail(NIGHT, Fault(times=12, cut_after=20_000))
    assert download(settings).read_bytes() == night
    assert len(server.requests) == 13


def test_it_is_resumed_by_the_next_run(settings, server):
    server.fail(NIGHT, Fault(cut_after=100_000))
    server.fail(NIGHT, Fault(times=9, status=503))
    with pytest.raises(StoreUnavailable, match="failed with status 503"):
        download(settings)
    assert folder_of(settings) == [f"{NIGHT}.part", f"{NIGHT}.part.version"]
    assert get_local_release_list(settings=settings) == []
    server.faults.clear()
    assert download(settings).read_bytes() == server.nights[NIGHT]
    assert server.requests[-1] == (NIGHT, "bytes=100000-")
    assert folder_of(settings) == [NIGHT]


def test_two_versions_are_never_mixed(settings, server, packets):
    server.fail(NIGHT, Fault(cut_after=100_000))
    server.fail(NIGHT, Fault(times=9, status=503))
    with pytest.raises(StoreUnavailable):
        download(settings)
    server.faults.clear()
    server.nights[NIGHT] = make_night(packets, level=9)
    assert download(settings).read_bytes() == server.nights[NIGHT]
    assert server.requests[-1] == (NIGHT, "bytes=100000-")


@pytest.mark.parametrize("fault", [Fault(ignore_range=True), Fault()])
def test_a_server_without_ranges_or_versions_starts_over(settings, server, fault):
    server.with_validators = fault.ignore_range
    server.fail(NIGHT, Fault(cut_after=100_000))
    server.fail(NIGHT, fault)
    assert download(settings).read_bytes() == server.nights[NIGHT]


def test_what_is_here_already_is_only_verified(settings, server):
    server.fail(NIGHT, Fault(cut_after=100_000))
    server.fail(NIGHT, Fault(times=9, status=503))
    with pytest.raises(StoreUnavailable):
        download(settings)
    server.faults.clear()
    part = nights_folder(settings) / f"{NIGHT}.part"
    part.write_bytes(server.nights[NIGHT])
    assert download(settings).read_bytes() == server.nights[NIGHT]


def test_a_gzipped_transfer_is_not_unpacked(settings, server):
    server.content_encoding = "x-gzip"
    assert download(settings).read_bytes() == server.nights[NIGHT]


def test_a_night_shorter_than_announced_never_lands(settings, server):
    server.fail(NIGHT, Fault(times=99, announced=1000))
    with pytest.raises(StoreUnavailable, match="arrived damaged"):
        download(settings)
    assert get_local_release_list(settings=settings) == []
    server.faults.clear()
    assert download(settings).read_bytes() == server.nights[NIGHT]


def test_a_length_that_was_wrong_is_asked_for_again(settings, server):
    server.fail(NIGHT, Fault(announced=10_000_000))
    assert download(settings).read_bytes() == server.nights[NIGHT]
    assert server.requests[-1] == (NIGHT, f"bytes={len(server.nights[NIGHT])}-")


@pytest.mark.parametrize("damage", ["checksum", "end", "empty", "page"])
def test_damaged_gzip_never_lands(settings, server, damage):
    whole = server.nights[NIGHT]
    server.nights[NIGHT] = {
        "checksum": whole[:-8] + b"\0\0\0\0" + whole[-4:],
        "end": whole[: len(whole) // 2],
        "empty": b"",
        "page": b"<html>We are moving house.</html>",
    }[damage]
    with pytest.raises(StoreUnavailable, match="arrived damaged"):
        download(settings)
    assert folder_of(settings) == []
    server.nights[NIGHT] = whole
    assert download(settings).read_bytes() == whole


def test_a_night_that_is_not_there(settings):
    with pytest.raises(NotFound, match="has no ztf_public_20180101"):
        download_data_date(2018, 1, 1, settings=settings)
    assert folder_of(settings) == []
    with pytest.raises(RequestError):
        download_data_date(2018, 13, 1, settings=settings)


def test_a_busy_archive_is_asked_again(settings, server):
    server.fail("", Fault(status=503))
    server.fail(NIGHT, Fault(status=503))
    assert [path.name for path in download_recent_data(settings=settings)] == [NIGHT]


@pytest.mark.parametrize(("fault", "error"), [(Fault(99, status=503), StoreUnavailable), (Fault(99, 403), None)])
def test_an_archive_that_fails_is_unavailable(settings, server, fault, error):
    server.fail("", fault)
    with pytest.raises(error or StoreUnavailable, match="status"):
        get_remote_release_list(settings=settings)


def test_an_archive_that_is_away_is_unavailable(settings):
    away = settings.model_copy(update={"ztf_archive_url": "http://127.0.0.1:1/alerts/public/"})
    with pytest.raises(StoreUnavailable, match="connection to the ZTF archive failed"):
        get_remote_release_list(settings=away)


def test_a_server_that_drips_is_given_up(settings, server):
    server.fail(NIGHT, Fault(times=99, pause_s=0.2))
    quick = settings.model_copy(update={"ztf_archive_timeout_s": 0.4})
    with pytest.raises(StoreTimeout, match="did not answer in time"):
        download(quick)
    assert (nights_folder(settings) / f"{NIGHT}.part").stat().st_size > 0


def test_a_night_is_downloaded_by_one_process_at_a_time(settings, server):
    server.fail(NIGHT, Fault(pause_s=0.002, cut_after=50_000))
    first = threading.Thread(target=download, args=(settings,))
    first.start()
    while not server.requests:
        first.join(0.01)
    with pytest.raises(StoreUnavailable, match="being downloaded already"):
        download(settings)
    first.join(30)
    assert get_local_release_list(settings=settings) == [NIGHT]


def test_a_page_that_is_no_index_is_not_an_empty_archive(settings, server):
    server.page = b"<html>We are moving house.</html>"
    with pytest.raises(StoreUnavailable, match="not its index"):
        get_remote_release_list(settings=settings)


@pytest.fixture
def run(monkeypatch, settings):
    """Type a command."""
    for name in list(os.environ):
        if name.upper().startswith("STAMP_") or name in environment_names():
            monkeypatch.delenv(name)
    monkeypatch.setenv("STAMP_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("STAMP_ZTF_ARCHIVE_URL", settings.ztf_archive_url)

    def type_in(*words: object):
        return CliRunner().invoke(main, [str(word) for word in words])

    return type_in


def test_from_the_archive_to_the_store(run, settings, server, packets, surveys):
    listed = run("archive", "list")
    assert listed.output.splitlines()[0].startswith(f"  {NIGHT}  ")
    assert run("archive", "download", "2018-06-26", "20180625").output.splitlines() == [
        f"downloaded {NIGHT}",
        f"downloaded {EARLIER}",
    ]
    assert run("archive", "list", "--local").output.startswith(f"* {NIGHT}")
    added = run("archive", "add", "2018-06-26", EARLIER)
    assert added.exit_code == 0
    assert added.output.splitlines() == [f"{NIGHT}: added 12", f"{EARLIER}: added 0, 3 were there already"]
    store = open_local(settings)
    for name, packet in packets.items():
        assert store.get(surveys["ztf"], name.removesuffix(".avro")) == packet
    assert folder_of(settings) == [EARLIER, NIGHT]


def test_refused_members_are_counted_with_reasons(run, settings, packets, tmp_path):
    names = list(packets)
    night = tmp_path / "night.tar.gz"
    night.write_bytes(
        make_night(
            {
                names[0]: packets[names[0]],
                "1.avro": b"Obj\x01 no packet",
                "2.avro": b"nothing",
                "/etc/3.avro": packets[names[1]],
                "readme.txt": b"hello",
            }
        )
    )
    added = run("archive", "add", night)
    assert added.exit_code == 1
    assert "added 1, refused 4 (2: it is no alert of these surveys, or damaged; " in added.output
    assert "1: its path leads out of the archive" in added.output
    assert "refused readme.txt: it is not named like a packet" in added.output


def whole_packets(night):
    """Count the packets before the damage."""
    count = 0
    with pytest.raises(PacketCorrupt):
        for count, _ in enumerate(iter_night(night), 1):  # noqa: B007 - the count is what is wanted
            pass
    return count


def test_an_interrupted_run_is_continued(run, settings, packets, tmp_path):
    whole = make_night(
        {f"{number:03d}/{name}": packet for number in range(40) for name, packet in packets.items()}
    )
    night = tmp_path / "night.tar.gz"
    night.write_bytes(whole[: int(len(whole) * 0.8)])
    os.utime(night, (1, 1))
    cut = run("archive", "add", night)
    assert cut.exit_code == 2
    assert "ends early" in cut.output
    (unfinished,) = nights_folder(settings).glob("*.unfinished")
    # All that came before the cut is stored, and more than one batch.
    assert int(unfinished.read_text()) == whole_packets(night) > 256
    # Another file of the same name is another run; the same one goes on where it was.
    again = run("archive", "add", night)
    assert again.exit_code == 2
    done = unfinished.with_name(unfinished.name)
    night.write_bytes(whole)
    complete = run("archive", "add", night)
    assert complete.output.endswith("night.tar.gz: added 0, 480 were there already\n")
    done.unlink(missing_ok=True)
    assert list(nights_folder(settings).iterdir()) == []


def test_a_store_that_fails_ends_the_run_and_the_next_goes_on(run, settings, packets, tmp_path):
    night = tmp_path / "night.tar.gz"
    night.write_bytes(
        make_night({f"{n:03d}/{name}": packet for n in range(40) for name, packet in packets.items()})
    )
    store = settings.data_dir / "alerts"
    store.parent.mkdir(parents=True)
    store.write_text("no folder")
    failed = run("archive", "add", night)
    assert failed.exit_code == 2
    assert "local store could not be written to" in failed.output
    store.unlink()
    assert run("archive", "add", night).output == "night.tar.gz: added 12, 468 were there already\n"
    shutil.rmtree(store)
    assert run("archive", "add", night, "--from-start").output.startswith("night.tar.gz: added 12, ")


def test_a_night_that_is_not_here_is_named(run):
    assert "there is no night 2018-06-26 here: download it first" in run("archive", "add", "2018-06-26").output
    assert run("archive", "download", "--recent", "1", "2018-06-26").exit_code == 2


def test_nothing_to_download_is_said(run):
    assert run("archive", "download").output == f"downloaded {NIGHT}\n"
    assert run("archive", "download").output == "nothing to download: it is here already\n"


def test_a_night_of_noise_is_refused(run, tmp_path):
    night = tmp_path / "night.tar.gz"
    night.write_bytes(gzip.compress(os.urandom(5000)))
    assert "night night.tar.gz: a header of the archive is damaged" in run("archive", "add", night).output
