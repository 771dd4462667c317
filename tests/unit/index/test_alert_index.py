"""The index in SQLite."""

import math
import os
import random
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from stamp_service.errors import ObjectNotFound, RequestError, StoreUnavailable
from stamp_service.index import AlertIndex, Cone, IndexedAlert, entry_of, open_index
from stamp_service.index.cells import cells_of, covering, separation_deg
from stamp_service.index.tables import metadata
from stamp_service.packets import recognise
from stamp_service.settings import load_settings


@pytest.fixture
def index(tmp_path):
    found = open_index(load_settings(data_dir=tmp_path))
    yield found
    found.close()


def alert(number: int, **fields: object) -> IndexedAlert:
    values = {
        "survey": "ztf",
        "alert_id": str(number),
        "object_id": f"ZTF18{number % 3}",
        "time_mjd": 60000.0 + number,
        "ra_deg": 10.0,
        "dec_deg": 20.0,
        "band": "g",
        "magnitude": 18.5,
        "flux_njy": None,
        "kinds": ("science", "difference"),
        "place": "local",
    }
    return IndexedAlert(**(values | fields))


def pages(index: AlertIndex, limit: int, **question: object) -> list[IndexedAlert]:
    found, after = [], None
    while True:
        page = index.search("ztf", limit=limit, after=after, **question)
        assert len(page.alerts) <= limit
        found += page.alerts
        if page.after is None:
            return found
        after = page.after


def test_what_is_added_twice_is_there_once(index):
    assert index.add([alert(1), alert(2)]) == 2
    assert index.add([alert(2, magnitude=17.0), alert(3), alert(3)]) == 1
    assert [one.magnitude for one in pages(index, 10)] == [18.5, 17.0, 18.5]


def test_many_are_added_at_once(index):
    assert index.add(alert(number) for number in range(5000)) == 5000
    assert index.add(alert(number) for number in range(4999, 5001)) == 1


def test_alerts_of_an_object_come_oldest_first(index):
    index.add([alert(7), alert(4), alert(1, time_mjd=None), alert(2), alert(10, survey="lsst")])
    assert [one.alert_id for one in index.alerts_of("ztf", "ZTF181")] == ["1", "4", "7"]
    assert index.alerts_of("ztf", "ZTF181")[0].time_mjd is None
    with pytest.raises(ObjectNotFound):
        index.alerts_of("ztf", "ZTF18x")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_hold_each_alert_once_in_order(index, limit):
    # Several of one time, and some without one.
    index.add(alert(number, time_mjd=None if number < 4 else 60000.0 + number // 5) for number in range(30))
    found = pages(index, limit)
    order = [(-math.inf if one.time_mjd is None else one.time_mjd, one.alert_id) for one in found]
    assert order == sorted(order)
    assert len(set(order)) == 30


def test_times_are_a_half_open_range(index):
    index.add(map(alert, range(10)))
    found = pages(index, 3, since_mjd=60002.0, until_mjd=60005.0)
    assert [one.alert_id for one in found] == ["2", "3", "4"]


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA", "A" * 10_000, "f_gAAAAAAAA"])
def test_a_token_from_elsewhere_is_refused(index, token):
    with pytest.raises(RequestError):
        index.search("ztf", limit=1, after=token)


@pytest.mark.parametrize("dec_deg", [0.0, 89.999, -90.0, 45.0])
@pytest.mark.parametrize("ra_deg", [0.0, 359.9999, 180.0])
@pytest.mark.parametrize("radius_arcsec", [0.5, 60.0, 36_000.0])
def test_a_cone_is_what_brute_force_finds(index, ra_deg, dec_deg, radius_arcsec):
    chance = random.Random(1)
    near = 2 * radius_arcsec / 3600
    entries = [
        alert(
            number,
            ra_deg=(ra_deg + chance.uniform(-near, near) / max(0.001, math.cos(math.radians(dec_deg)))) % 360,
            dec_deg=max(-90.0, min(90.0, dec_deg + chance.uniform(-near, near))),
        )
        for number in range(300)
    ]
    index.add([*entries, alert(1000, ra_deg=None), alert(1001, dec_deg=math.nan)])
    cone = Cone(ra_deg, dec_deg, radius_arcsec)
    inside = {
        one.alert_id
        for one in entries
        if separation_deg(ra_deg, dec_deg, one.ra_deg, one.dec_deg) <= radius_arcsec / 3600
    }
    assert {one.alert_id for one in pages(index, 7, cone=cone)} == inside
    assert 10 < len(inside) < 300


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0, 360, exclude_max=True),
    st.floats(-90, 90),
    st.floats(0.01, 400_000),
    st.floats(0, 360),
    st.floats(0, 1),
)
def test_every_position_in_a_cone_is_in_its_cells(ra_deg, dec_deg, radius_arcsec, angle_deg, part):
    centre = SkyCoord(ra_deg * units.deg, dec_deg * units.deg)
    there = centre.directional_offset_by(angle_deg * units.deg, part * radius_arcsec * units.arcsec)
    (cell,) = cells_of([(there.ra.deg, there.dec.deg)])
    assert any(first <= cell <= last for first, last in covering(Cone(ra_deg, dec_deg, radius_arcsec)))


def test_real_alerts(index, shared_data, surveys):
    packets = sorted((shared_data / "alerts" / "ztf").glob("*.avro"))
    entries = [entry_of(recognise(surveys, file.read_bytes()), "local") for file in packets]
    assert index.add(entries) == len(entries)
    found = {one.alert_id: one for one in pages(index, 5)}
    for entry in entries:
        assert found[entry.alert_id] == entry
        around = Cone(entry.ra_deg, entry.dec_deg, 1.0)
        assert entry.alert_id in {one.alert_id for one in pages(index, 50, cone=around)}


def test_migrations_and_tables_agree(index, tmp_path):
    index.check()
    engine = create_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_threads_and_forked_processes_write_at_once(index):
    index.add([alert(0)])
    child = os.fork()
    if child == 0:
        index.add(alert(number) for number in range(1000, 1100))
        os._exit(0)
    threads = [threading.Thread(target=index.add, args=([alert(n) for n in range(200)],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert len(pages(index, 1000)) == 300


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path):
    (tmp_path / "index.sqlite").write_text("this is no database, and long enough to be taken for one" * 9)
    broken = open_index(load_settings(data_dir=tmp_path))
    with pytest.raises(StoreUnavailable):
        broken.check()
