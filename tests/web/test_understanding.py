"""The box that takes ids and places."""

import pytest
from astropy.coordinates import SkyCoord

from stamp_service.web.viewer.understanding import possible_names, read_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("150.1 2.2", (150.1, 2.2, 5)),
        (" 150.1,-2.2 ", (150.1, -2.2, 5)),
        ("150.1, +2.2, 30", (150.1, 2.2, 30)),
        ("150.1 2.2 2'", (150.1, 2.2, 120)),
        ("150.1 2.2 r=0.5 deg", (150.1, 2.2, 1800)),
        ("360 90", (0, 90, 5)),
        ("0 0 1arcmin", (0, 0, 60)),
    ],
)
def test_decimal_degrees(text, place):
    cone = read_place(text)
    assert (cone.ra_deg, cone.dec_deg, cone.radius_arcsec) == pytest.approx(place)


@pytest.mark.parametrize(
    "text",
    [
        "05:51:17.233 -14:57:21.21",
        "05h51m17.233s -14d57m21.21s",
        "05 51 17.233 -14 57 21.21",
        "05:51:17.233-14:57:21.21",
        "05:51:17.233, -14:57:21.21, 7 arcsec",
        "05h51m17.233s -14°57\u203221.21\u2033 7",
    ],
)
def test_hours_minutes_and_seconds(text):
    expected = SkyCoord("05h51m17.233s", "-14d57m21.21s")
    cone = read_place(text)
    assert (cone.ra_deg, cone.dec_deg) == pytest.approx((expected.ra.degree, expected.dec.degree), abs=1e-9)
    assert cone.radius_arcsec == (7 if " 7" in text else 5)


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "150.1", "400 2", "10 91", "10 -90.01", "10 10 -5", "10 10 0", "10 10 9999999", "1 2 3 4 5",
        "25:61:00 +10:00:00", "10 10 5 parsec", "nan nan", "1e400 1", "<script>", "ZTF17aaaabbb", "9" * 500,
    ],
)  # fmt: skip
def test_what_is_no_place(text):
    assert read_place(text) is None


def names(surveys, text):
    return [(thing.survey.name, thing.what) for thing in possible_names(surveys, text)]


def test_ids(surveys):
    assert names(surveys, "ZTF17aaaabbb") == [("ztf", "object"), ("atlas", "object")]
    assert ("ztf", "alert") in names(surveys, " 820128985515010010 ")
    assert ("lsst", "object") in names(surveys, "820128985515010010")
    assert names(surveys, "ztf 820128985515010010") == [("ztf", "alert")]
    assert names(surveys, "ztf/820128985515010010") == [("ztf", "alert")]
    assert names(surveys, "01a59897o0020c_000002") == [("atlas", "object"), ("atlas", "alert")]


@pytest.mark.parametrize(
    "text", ["", "two words", "a b c", "../../etc/passwd", "ztf", "ztf/../x", "é" * 40, "x" * 500]
)
def test_what_is_no_id(surveys, text):
    assert [thing for thing in names(surveys, text) if thing[0] != "atlas"] == []
