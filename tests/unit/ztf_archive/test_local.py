"""Alerts of this machine: in downloaded nights, or in the local store."""

from pathlib import Path

import fastavro
import pytest

from stamp_service.errors import AlertNotFound, NotFound, PacketCorrupt, RequestError
from stamp_service.settings import Settings
from stamp_service.stores import open_local, open_packed
from stamp_service.ztf_archive import (
    get_alert_data,
    get_local_alert_list,
    get_local_release_list,
    get_number_local_alerts,
    get_number_local_releases,
    iter_alerts,
    nights_folder,
)
from tests.integration.services.ztf_archive import EMPTY_NIGHT, make_night


@pytest.fixture(scope="module")
def packets(shared_data: Path) -> dict[int, bytes]:
    files = sorted((shared_data / "alerts/ztf").glob("2475*.avro"))[:5]
    return {int(file.stem): file.read_bytes() for file in files}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", demo=False)


def put_night(settings: Settings, date: str, packets: dict[int, bytes]) -> Path:
    path = nights_folder(settings) / f"ztf_public_{date}.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_night({f"{candid}.avro": packet for candid, packet in packets.items()}))
    return path


@pytest.fixture
def two_nights(settings, packets):
    """The last two alerts in the newer night, the others in the older one, and a night of nothing."""
    items = list(packets.items())
    put_night(settings, "20180625", dict(items[:3]))
    put_night(settings, "20180626", dict(items[3:]))
    (nights_folder(settings) / "ztf_public_20180624.tar.gz").write_bytes(EMPTY_NIGHT)
    (nights_folder(settings) / "ztf_public_20180627.tar.gz.part").write_bytes(b"half")
    return [candid for candid, _ in items[3:] + items[:3]]


def test_nights_are_read_newest_first(settings, packets, two_nights):
    assert get_local_release_list(settings=settings) == [f"ztf_public_201806{day}.tar.gz" for day in (26, 25, 24)]
    assert get_number_local_releases(settings=settings) == 3
    assert get_local_alert_list(settings=settings) == two_nights
    assert get_number_local_alerts(settings=settings) == 5
    assert list(iter_alerts(raw=True, settings=settings)) == [packets[candid] for candid in two_nights]


def test_alerts_are_what_fastavro_decodes(settings, packets, two_nights, tmp_path):
    first = next(iter_alerts(settings=settings))
    (tmp_path / "a.avro").write_bytes(packets[two_nights[0]])
    with (tmp_path / "a.avro").open("rb") as file:
        assert first == next(fastavro.reader(file))
    assert first["cutoutScience"]["stampData"].startswith(b"\x1f\x8b")


def test_alerts_come_in_lists(settings, two_nights):
    lists = [[alert["candid"] for alert in alerts] for alerts in iter_alerts(2, settings=settings)]
    assert lists == [two_nights[:2], two_nights[2:4], two_nights[4:]]
    assert all(isinstance(packet, bytes) for packet in next(iter_alerts(9, raw=True, settings=settings)))


@pytest.mark.parametrize("number", [0, -1])
def test_lists_have_a_positive_length(settings, two_nights, number):
    with pytest.raises(RequestError):
        iter_alerts(number, settings=settings)


def test_packed_alerts_are_found_and_read_once(settings, packets, surveys):
    keeps_packs = settings.model_copy(update={"packed_surveys": ("ztf",)})
    packed, local = open_packed(keeps_packs, surveys), open_local(settings)
    for number, (candid, packet) in enumerate(packets.items()):
        if number != 1:
            packed.put(surveys["ztf"], str(candid), packet)
        if number < 2:
            local.put(surveys["ztf"], str(candid), packet)
    packed.close()
    assert sorted(get_local_alert_list(settings=keeps_packs)) == sorted(packets)
    assert sorted(iter_alerts(raw=True, settings=keeps_packs)) == sorted(packets.values())
    assert all(get_alert_data(candid, raw=True, settings=keeps_packs) == packets[candid] for candid in packets)
    assert get_number_local_alerts(settings=settings) == 2


def test_an_alert_is_found_in_a_night(settings, packets, two_nights):
    for candid in packets:
        assert get_alert_data(candid, raw=True, settings=settings) == packets[candid]
    assert get_alert_data(str(two_nights[4]), settings=settings)["candid"] == two_nights[4]
    with pytest.raises(AlertNotFound):
        get_alert_data(1, settings=settings)
    with pytest.raises(RequestError):
        get_alert_data("../1", settings=settings)


def test_an_alert_is_found_in_the_store(settings, packets, surveys):
    candid, packet = next(iter(packets.items()))
    with pytest.raises(NotFound, match="download a night first"):
        iter_alerts(settings=settings)
    open_local(settings).put(surveys["ztf"], str(candid), packet)
    assert get_alert_data(candid, raw=True, settings=settings) == packet
    assert get_local_alert_list(settings=settings) == [candid]
    assert [alert["candid"] for alert in iter_alerts(settings=settings)] == [candid]


def test_kept_ids_are_those_of_the_night_that_is_there(settings, packets):
    items = list(packets.items())
    path = put_night(settings, "20180625", dict(items[:2]))
    assert get_number_local_alerts(settings=settings) == 2
    put_night(settings, "20180625", dict(items[:4]))
    assert get_number_local_alerts(settings=settings) == 4
    kept = list(path.parent.glob("*.ids.npy"))
    assert len(kept) == 1
    kept[0].write_bytes(b"nonsense")
    assert get_number_local_alerts(settings=settings) == 4


def test_a_member_under_a_wrong_name_is_not_handed_out(settings, packets):
    candid, other = list(packets)[:2]
    put_night(settings, "20180625", {candid: packets[other]})
    with pytest.raises(PacketCorrupt, match="of another alert"):
        get_alert_data(candid, raw=True, settings=settings)


def test_members_under_other_names_are_found_by_what_they_hold(settings, packets):
    candid = next(iter(packets))
    path = nights_folder(settings) / "ztf_public_20180625.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(make_night({"alert-1.avro": packets[candid]}))
    assert get_local_alert_list(settings=settings) == [candid]
