"""The index in SQLite, and the cells of the sky."""

import re

import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from stamp_service.errors import StoreUnavailable
from stamp_service.index import Cone, open_index
from stamp_service.index.cells import cells_of, covering
from stamp_service.index.pages import Position
from stamp_service.index.searching import Question, find
from stamp_service.settings import load_settings
from tests.contracts.index import IndexContract, alert


class TestSqlite(IndexContract):
    @pytest.fixture
    def database_url(self, tmp_path):
        return f"sqlite:///{tmp_path / 'own.sqlite'}"


def test_the_index_is_in_the_data_folder_where_nothing_else_is_said(tmp_path):
    index = open_index(load_settings(data_dir=tmp_path))
    assert index.add([alert(1)]) == 1
    index.close()
    assert (tmp_path / "index.sqlite").is_file()


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


@pytest.mark.parametrize(("near_rows", "used"), [(10, "alerts_cell"), (0, "alerts_time")])
def test_each_way_of_looking_for_a_cone_uses_its_own_index(tmp_path, near_rows, used):
    """What SQLite would choose otherwise reads everything."""
    index = open_index(load_settings(data_dir=tmp_path))
    index.add(map(alert, range(3)))
    plans = []
    with index._engine().connect() as connection:

        @event.listens_for(connection, "before_cursor_execute")
        def explain(_connection, cursor, statement, values, *_):
            if statement.startswith("SELECT"):
                cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
                plans.append(" ".join(row[3] for row in cursor.fetchall()))

        question = Question("ztf", 60000.0, 60002.0, Cone(10.0, 20.0, 90_000.0), 5)
        start = Position(60000.0, "0")
        page = find(connection, question, start, near_rows=near_rows)
    assert len(page.alerts) == 1
    count, *others = plans
    assert "alerts_cell (survey=? AND cell>? AND cell<?)" in count
    assert all(re.search(rf"{used} \(survey=\? AND \w+>\? AND \w+<\?\)", plan) for plan in others)
    assert others
    index.close()


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path):
    (tmp_path / "index.sqlite").write_text("this is no database, and long enough to be taken for one" * 9)
    broken = open_index(load_settings(data_dir=tmp_path))
    with pytest.raises(StoreUnavailable):
        broken.check()
