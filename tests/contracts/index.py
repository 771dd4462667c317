"""What the index promises on any database: each database's tests inherit this class and say where it is."""

import math
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import product

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url

from stamp_service.errors import ObjectNotFound, RequestError
from stamp_service.index import AlertIndex, Cone, IndexedAlert, entry_of, open_index
from stamp_service.index.cells import separation_deg
from stamp_service.index.pages import read_token
from stamp_service.index.searching import Question, find
from stamp_service.index.tables import metadata
from stamp_service.packets import recognise
from stamp_service.settings import load_settings

# Python warns where other tests' threads are about, which the child does not need.
_FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def alert(number: int, **fields: object) -> IndexedAlert:
    """Make a row; what is not said is as it is with others."""
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


def pages(index: AlertIndex, limit: int, survey: str = "ztf", **question: object) -> list[IndexedAlert]:
    """Collect what all pages of a search hold."""
    found, after = [], None
    while True:
        page = index.search(survey, limit=limit, after=after, **question)
        assert len(page.alerts) <= limit
        found += page.alerts
        if page.after is None:
            return found
        after = page.after


def near(centre: tuple[float, float], radius_arcsec: float, chance: random.Random, number: int) -> IndexedAlert:
    """Make a row somewhere in and around a circle."""
    ra_deg, dec_deg = centre
    width_deg = 2 * radius_arcsec / 3600
    return alert(
        number,
        ra_deg=(ra_deg + chance.uniform(-width_deg, width_deg) / max(0.001, math.cos(math.radians(dec_deg))))
        % 360,
        dec_deg=max(-90.0, min(90.0, dec_deg + chance.uniform(-width_deg, width_deg))),
    )


def fork(work: Callable[[], object]) -> int:
    """Do something in a child; gives its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


class IndexContract:
    """Everything that does not depend on the database. Fixture: `database_url`, of an empty one."""

    @pytest.fixture
    def index(self, database_url, tmp_path):
        found = open_index(load_settings(data_dir=tmp_path, index_url=database_url))
        yield found
        found.close()

    def test_what_is_added_twice_is_there_once(self, index):
        assert index.add([alert(1), alert(2)]) == 2
        assert index.add([alert(2, magnitude=17.0), alert(3), alert(3)]) == 1
        assert [one.magnitude for one in pages(index, 10)] == [18.5, 17.0, 18.5]

    def test_many_are_added_at_once(self, index):
        assert index.add(alert(number) for number in range(5000)) == 5000
        assert index.add(alert(number) for number in range(4999, 5001)) == 1

    def test_alerts_of_an_object_come_oldest_first(self, index):
        index.add([alert(7), alert(4), alert(1, time_mjd=None), alert(2), alert(10, survey="lsst")])
        assert [one.alert_id for one in index.alerts_of("ztf", "ZTF181")] == ["1", "4", "7"]
        assert index.alerts_of("ztf", "ZTF181")[0].time_mjd is None
        with pytest.raises(ObjectNotFound):
            index.alerts_of("ztf", "ZTF18x")

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_pages_hold_each_alert_once_in_order(self, index, limit):
        # Several of one time, and some without one.
        index.add(alert(number, time_mjd=None if number < 4 else 60000.0 + number // 5) for number in range(30))
        found = pages(index, limit)
        order = [(-math.inf if one.time_mjd is None else one.time_mjd, one.alert_id) for one in found]
        assert order == sorted(order)
        assert len(set(order)) == 30

    @pytest.mark.parametrize("limit", [1, 3, 100])
    @pytest.mark.parametrize("question", [{}, {"cone": Cone(10.0, 20.0, 5.0)}, {"until_mjd": 60004.0}])
    def test_newest_first_is_the_same_the_other_way_round(self, index, limit, question):
        index.add(alert(number, time_mjd=None if number < 4 else 60000.0 + number // 5) for number in range(30))
        newest = pages(index, limit, newest_first=True, **question)
        assert newest == pages(index, limit, **question)[::-1]
        assert len(newest) > 15

    def test_only_real_ones(self, index):
        scores = {str(number): None if number % 7 == 0 else (number % 10) / 10 for number in range(50)}
        index.add(alert(int(name), real_bogus=score) for name, score in scores.items())
        real = {name for name, score in scores.items() if score is not None and score >= 0.5}
        for question in ({}, {"newest_first": True}, {"cone": Cone(10.0, 20.0, 5.0)}):
            found = pages(index, 4, least_real_bogus=0.5, **question)
            assert {one.alert_id for one in found} == real
            assert all(one.real_bogus >= 0.5 for one in found)

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_rare_real_ones_among_many(self, index, newest_first):
        index.add(alert(number, real_bogus=1.0 if number in {3, 77} else 0.0) for number in range(100))
        found, start, asked = [], None, 0
        with index._engine().connect() as connection:
            while True:
                question = Question("ztf", None, None, None, 5, newest_first, 0.5)
                page = find(connection, question, start, window_rows=10)
                found, asked = found + page.alerts, asked + 1
                if page.after is None:
                    break
                start = read_token(page.after)
        assert [one.alert_id for one in found] == (["77", "3"] if newest_first else ["3", "77"])
        assert asked >= 9

    def test_holdings_are_what_is_there(self, index):
        assert index.holdings() == {}
        before = time.time()
        index.add([alert(1), alert(2), alert(1, survey="lsst")])
        index.add([alert(2), alert(3)])
        held = index.holdings()
        assert {name: one.alerts for name, one in held.items()} == {"ztf": 3, "lsst": 1}
        assert before <= held["lsst"].last_s <= held["ztf"].last_s <= time.time()
        index.add([alert(3)])
        assert index.holdings() == held

    def test_holdings_of_several_writers_add_up(self, index):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda part: index.add(map(alert, range(part * 50, part * 50 + 100))), range(8)))
        assert index.holdings()["ztf"].alerts == 450

    def test_times_are_a_half_open_range(self, index):
        index.add(map(alert, range(10)))
        found = pages(index, 3, since_mjd=60002.0, until_mjd=60005.0)
        assert [one.alert_id for one in found] == ["2", "3", "4"]

    @pytest.mark.parametrize("token", ["", "x", "é", "AAAA", "A" * 10_000, "f_gAAAAAAAA"])
    def test_a_token_from_elsewhere_is_refused(self, index, token):
        with pytest.raises(RequestError):
            index.search("ztf", limit=1, after=token)

    @pytest.mark.parametrize("radius_arcsec", [0.5, 60.0, 36_000.0])
    def test_a_cone_is_what_brute_force_finds(self, index, radius_arcsec):
        chance = random.Random(1)
        centres = list(product([0.0, 359.9999, 180.0], [0.0, 89.999, -90.0, 45.0]))
        # A survey for each centre, so that all of them fit into one database.
        around = {
            f"survey {number}": [near(centre, radius_arcsec, chance, one) for one in range(150)]
            for number, centre in enumerate(centres)
        }
        index.add(
            replace(one, survey=survey)
            for survey, entries in around.items()
            for one in [*entries, alert(1000, ra_deg=None), alert(1001, dec_deg=math.nan)]
        )
        for (ra_deg, dec_deg), (survey, entries) in zip(centres, around.items(), strict=True):
            inside = {
                one.alert_id
                for one in entries
                if separation_deg(ra_deg, dec_deg, one.ra_deg, one.dec_deg) <= radius_arcsec / 3600
            }
            found = pages(index, 40, survey, cone=Cone(ra_deg, dec_deg, radius_arcsec))
            assert {one.alert_id for one in found} == inside
            assert 10 < len(inside) < 150

    @pytest.mark.parametrize(
        ("near_rows", "window_rows"), [(1000, 1), (0, 1), (0, 7), (0, 100), (0, 1000)], ids=str
    )
    def test_a_cone_is_found_alike_by_place_and_by_time(self, index, near_rows, window_rows):
        chance, cone = random.Random(2), Cone(359.9, 45.0, 36_000.0)
        rows = [near((359.9, 45.0), 36_000.0, chance, number) for number in range(200)]
        # Several of one time, and some without one.
        times = [None, *(60000.0 + number for number in range(20))]
        entries = [replace(row, time_mjd=chance.choice(times)) for row in rows]
        index.add(entries)
        for since, until in (None, None), (60003.0, 60015.0), (None, 60001.0), (70000.0, None):
            inside = [
                (-math.inf if one.time_mjd is None else one.time_mjd, one.alert_id)
                for one in entries
                if cone.contains(one.ra_deg, one.dec_deg)
            ]
            wanted = sorted(
                (time, alert_id)
                for time, alert_id in inside
                if (since is None or time >= since) and (until is None or time < until)
            )
            question, found, start = Question("ztf", since, until, cone, 5), [], None
            with index._engine().connect() as connection:
                while True:
                    page = find(connection, question, start, near_rows=near_rows, window_rows=window_rows)
                    assert len(page.alerts) <= 5
                    found += page.alerts
                    if page.after is None:
                        break
                    start = read_token(page.after)
            assert [one.alert_id for one in found] == [alert_id for _, alert_id in wanted]

    def test_real_alerts(self, index, shared_data, surveys):
        packets = sorted((shared_data / "alerts" / "ztf").glob("*.avro"))
        entries = [entry_of(recognise(surveys, file.read_bytes()), "local") for file in packets]
        assert index.add(entries) == len(entries)
        found = {one.alert_id: one for one in pages(index, 5)}
        for entry in entries:
            assert found[entry.alert_id] == entry
            around = Cone(entry.ra_deg, entry.dec_deg, 1.0)
            assert entry.alert_id in {one.alert_id for one in pages(index, 50, cone=around)}

    def test_ids_are_in_the_order_of_their_bytes(self, index):
        ids = ["b", "B", "a", "A", "_", "é", "10", "9", "a_1", "a-1", "aB", "ab", "𝄞"]
        index.add(alert(1, alert_id=one, time_mjd=60000.0) for one in ids)
        ordered = sorted(ids, key=str.encode)
        assert [one.alert_id for one in pages(index, 2)] == ordered
        assert [one.alert_id for one in index.alerts_of("ztf", "ZTF181")] == ordered

    def test_extreme_values_come_back(self, index):
        extremes = [
            alert(1, time_mjd=-1.7976931348623157e308, ra_deg=1e308, magnitude=5e-324),
            alert(2, time_mjd=1.7976931348623157e308, dec_deg=-90.0, flux_njy=-0.1, kinds=()),
            alert(3, time_mjd=None, ra_deg=None, dec_deg=None, band=None, magnitude=None, object_id=None),
            alert(4, alert_id="9" * 255, band="é𝄞", place="s3", kinds=("template",)),
        ]
        assert index.add(extremes) == 4
        assert {one.alert_id: one for one in pages(index, 10)} == {one.alert_id: one for one in extremes}

    def test_migrations_and_tables_agree(self, index, database_url):
        index.check()
        url = make_url(database_url)
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        engine.dispose()

    @_FORKS
    def test_processes_that_start_at_once_make_the_tables_once(self, database_url, tmp_path):
        def use(number: int) -> None:
            with closing(open_index(load_settings(data_dir=tmp_path, index_url=database_url))) as own:
                assert own.add([alert(number)]) == 1

        forked = [fork(lambda number=number: use(number)) for number in range(4)]
        assert [os.waitpid(child, 0)[1] for child in forked] == [0] * 4
        with closing(open_index(load_settings(data_dir=tmp_path, index_url=database_url))) as index:
            assert len(pages(index, 10)) == 4

    @_FORKS
    def test_a_forked_process_and_threads_write_at_once(self, index):
        index.add([alert(0)])
        child = fork(lambda: index.add(alert(number) for number in range(1000, 1100)))
        with ThreadPoolExecutor(4) as pool:
            new = list(pool.map(index.add, [[alert(number) for number in range(200)]] * 4))
        assert os.waitpid(child, 0)[1] == 0
        assert sum(new) == 199
        assert len(pages(index, 1000)) == 300

    def test_writers_of_the_same_alerts_in_any_order_do_not_block_each_other(self, index):
        entries = [alert(number) for number in range(2000)]
        chance = random.Random(3)
        orders = [chance.sample(entries, len(entries)) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            new = list(pool.map(index.add, orders))
        assert sum(new) == 2000
        assert len(pages(index, 5000)) == 2000
