"""The index in SQLite, and the cells of the sky."""

import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.errors import StoreUnavailable
from stamp_service.index import Cone, open_index
from stamp_service.index.cells import cells_of, covering
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


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path):
    (tmp_path / "index.sqlite").write_text("this is no database, and long enough to be taken for one" * 9)
    broken = open_index(load_settings(data_dir=tmp_path))
    with pytest.raises(StoreUnavailable):
        broken.check()
