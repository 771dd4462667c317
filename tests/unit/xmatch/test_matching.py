"""Matching on this machine: against brute force, at the poles, across 0/360, with nothing."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.errors import NotFound, RequestError
from stamp_service.xmatch import get_xmatches
from stamp_service.xmatch.positions import find_positions
from tests.unit.xmatch.brute_force import brute_force, pairs, positions

angle = st.floats(-2e-3, 2e-3)


@given(
    st.sampled_from([(0.0, 0.0), (0.0, 90.0), (123.0, -90.0), (180.0, 60.0), (359.9999, -89.9999)]),
    st.lists(st.tuples(angle, angle), min_size=1, max_size=8),
    st.lists(st.tuples(angle, angle), min_size=1, max_size=8),
    st.floats(0.1, 20),
)
@settings(max_examples=40, deadline=None)
def test_it_is_brute_force_anywhere(centre, offsets, others, radius_arcsec):
    def around(offsets):
        ra, dec = (np.array(centre)[:, None] + np.array(offsets).T).tolist()
        return positions(np.array(ra) % 360, np.clip(dec, -90, 90))

    first, second = around(offsets), around(others)
    found = get_xmatches(first, second, radius_arcsec)
    exact, more, less = pairs(found), radius_arcsec * 1.000001, radius_arcsec * 0.999999
    assert brute_force(first, second, less) <= exact <= brute_force(first, second, more)


def test_across_the_meridian_and_at_the_poles():
    first = positions([359.9999, 0.0001, 10, -0.0001, 720], [0, 0, 90, 0, -90])
    second = positions([0.0, 200.0, 77.0], [0.0, 90.0, -90.0])
    found = get_xmatches(first, second, 1)
    assert pairs(found) == {(0, 0), (1, 0), (2, 1), (3, 0), (4, 2)}
    assert found["angDist"].unit == "arcsec"
    assert found["angDist"].tolist() == pytest.approx([0.36, 0.36, 0, 0.36, 0], abs=1e-6)


def test_the_columns_are_the_distance_then_both_tables():
    first = positions([10.0], [20.0], magnitude=[18.5])
    second = Table(
        {"RAJ2000": [10.0, 10.0], "DEJ2000": [20.0, 20.0005], "magnitude": [1.0, 2.0], "angDist": [7, 8]}
    )
    found = get_xmatches(first, second, 5)
    names = ["angDist", "alert_id", "ra", "dec", "magnitude", "RAJ2000", "DEJ2000", "magnitude_2", "angDist_2"]
    assert found.colnames == names
    assert found["magnitude_2"].tolist() == [1.0, 2.0]
    assert found["angDist"].tolist() == pytest.approx([0, 1.8], abs=1e-6)
    assert get_xmatches(first, second, 1)["angDist_2"].tolist() == [7]


def test_what_is_nowhere_matches_nothing():
    nowhere = positions([np.nan, 10, 10, np.inf, 10], [20, np.nan, 90.1, 20, 20])
    everywhere = positions([10, np.nan], [20, 20])
    assert pairs(get_xmatches(nowhere, everywhere, 180)) == {(4, 0)}
    masked = Table({"alert_id": [0, 1], "ra": MaskedColumn([10.0, 10.0], mask=[True, False]), "dec": [20.0, 20.0]})
    assert pairs(get_xmatches(masked, everywhere, 180)) == {(1, 0)}


@pytest.mark.parametrize(("many", "others"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_matches_nothing(many, others):
    found = get_xmatches(positions([1.0] * many, [1.0] * many), positions([1.0] * others, [1.0] * others))
    assert len(found) == 0
    assert found.colnames == ["angDist", "alert_id", "ra", "dec", "alert_id_2", "ra_2", "dec_2"]


def test_units_other_than_degrees_are_understood():
    table = Table({"RA": [np.pi], "Dec": [0.1]}, units={"RA": "rad", "Dec": "rad"})
    ra_deg, dec_deg = find_positions(table)
    assert ra_deg[0] == pytest.approx(180)
    assert dec_deg[0] == pytest.approx(np.degrees(0.1))


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (Table({"x": [1.0]}), None),
        (Table({"ra": ["10h"], "dec": ["x"]}), None),
        (Table({"ra": [1.0], "dec": [2.0]}), ("ra", "de")),
    ],
)
def test_tables_without_positions_are_refused(table, columns):
    with pytest.raises(RequestError):
        get_xmatches(table, positions([1], [1]), columns1=columns)


@pytest.mark.parametrize("distance", [0, -1, float("nan"), float("inf")])
def test_distances_are_some_on_the_sky(distance):
    with pytest.raises(RequestError, match="not positive"):
        get_xmatches(positions([1], [1]), positions([1], [1]), distance)


@pytest.mark.parametrize(
    "name", ["c.csv", "c.csv.gz", "c.ecsv", "c.vot", "c.xml", "c.fits", "c.fits.gz", "c.parquet"]
)
def test_catalogues_in_files(tmp_path, name):
    catalogue = Table({"RAJ2000": [10.0, 30.0], "DEJ2000": [20.0, 20.0], "name": ["a", "bé"], "n": [2**53 + 1, 3]})
    path = tmp_path / name
    if name.endswith("parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet  # noqa: PLC0415 - an extra

        columns = {column: catalogue[column].tolist() for column in catalogue.colnames}
        parquet.write_table(
            pyarrow.table(columns | {"list": [[1], [2]], "n": pyarrow.array([2**53 + 1, None])}), path
        )
    else:
        catalogue["name"][1] = "b" if "fits" in name else "bé"
        form = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits"}.get(name.split(".")[1], "votable")
        catalogue.write(path, format=form)
    first = tmp_path / "alerts.csv"
    positions([10.0003, 30], [20, 20]).write(first, format="ascii.csv")
    found = get_xmatches(first, path)
    assert found.colnames == ["angDist", "alert_id", "ra", "dec", "RAJ2000", "DEJ2000", "name", "n"]
    assert found["n"][0] == 2**53 + 1
    assert str(found["name"][0]) == "a"
    assert found["angDist"][0] == pytest.approx(1.0149, abs=1e-3)


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "c.fits").write_bytes(b"no fits")
    (tmp_path / "c.vot").write_bytes(b"<html>")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    (tmp_path / "c.doc").write_bytes(b"x")
    for name in ("c.fits", "c.vot", "c.parquet", "c.doc"):
        with pytest.raises(RequestError) as caught:
            get_xmatches(positions([1], [1]), tmp_path / name)
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(NotFound):
        get_xmatches(positions([1], [1]), tmp_path / "gone.csv")


def test_an_empty_file_of_positions_matches_nothing(tmp_path):
    (tmp_path / "a.csv").touch()
    assert get_xmatches(tmp_path / "a.csv", positions([1], [1])).colnames[:4] == [
        "angDist",
        "alert_id",
        "ra",
        "dec",
    ]
    (tmp_path / "b.csv").write_text("alert_id,ra,dec\n")
    assert len(get_xmatches(tmp_path / "b.csv", positions([1], [1]))) == 0
