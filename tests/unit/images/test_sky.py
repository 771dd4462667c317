"""Places of pixels on the sky, against astropy."""

import numpy as np
import pytest
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from stamp_service.images import decode_stamp, find_tangent
from stamp_service.images.sky import deproject
from stamp_service.packets import recognise

SHAPE = (40, 61)
PLACED = {"CRVAL1": 1.0, "CRVAL2": 1.0, "CRPIX1": 30.5, "CRPIX2": 20.5}


def header_of(wcs: WCS) -> dict[str, object]:
    return {card.keyword: card.value for card in wcs.to_header().cards}


def made(ra_deg: float, dec_deg: float, turn_deg: float, away_px: float, *, mirrored: bool = True) -> WCS:
    wcs = WCS(naxis=2)
    turn = np.radians(turn_deg)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [away_px, -away_px / 2]
    wcs.wcs.cd = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        @ np.diag([-1 if mirrored else 1, 1])
        * 5e-4
    )
    return wcs


@pytest.mark.parametrize("turn_deg", [0, 33, 180])
@pytest.mark.parametrize("position", [(10, 0), (359.9999, 45), (120, -89.2)])
@pytest.mark.parametrize("away_px", [20, 2000])
def test_every_pixel_is_where_astropy_says(surveys, position, turn_deg, away_px):
    wcs = made(*position, turn_deg, away_px, mirrored=turn_deg != 33)
    tangent = find_tangent(header_of(wcs), SHAPE, surveys["lsst"])
    ny, nx = SHAPE
    for x, y in [(0, 0), (nx - 1, 0), (7, ny - 1), ((nx - 1) / 2, (ny - 1) / 2)]:
        offset = np.array(tangent.matrix) @ (x - (nx - 1) / 2, y - (ny - 1) / 2)
        found = deproject((tangent.ra_deg, tangent.dec_deg), offset)
        expected = wcs.wcs_pix2world([[x, y]], 0)[0]
        apart = np.subtract(found, expected)
        apart[0] = ((apart[0] + 180) % 360 - 180) * np.cos(np.radians(expected[1]))
        assert np.abs(apart).max() * 3600 < 0.05, (x, y)
    assert tangent.scale_arcsec == pytest.approx(proj_plane_pixel_scales(wcs).mean() * 3600, rel=3e-3)


def test_north_is_where_declination_rises(surveys):
    wcs = made(80, 60, 25, 900)
    north, west = find_tangent(header_of(wcs), SHAPE, surveys["lsst"]).directions()
    centre = np.array(((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2))
    (ra, dec), (ra_north, dec_north), (ra_west, dec_west) = wcs.wcs_pix2world(
        [centre, centre + np.multiply(north, 4), centre + np.multiply(west, 4)], 0
    )
    assert dec_north - dec == pytest.approx(4 * 5e-4, rel=1e-2)
    assert ra_north == pytest.approx(ra, abs=1e-5)
    assert (ra - ra_west) * np.cos(np.radians(dec)) == pytest.approx(4 * 5e-4, rel=1e-2)
    assert dec_west == pytest.approx(dec, abs=1e-5)


@pytest.mark.parametrize("file", ["01a59897o0020c_000002.avro", "02a59543o0040o_006230.avro"])
def test_an_atlas_stamp_is_around_its_alert(surveys, shared_data, file):
    alert = recognise(surveys, (shared_data / "alerts/atlas" / file).read_bytes())
    stamp = decode_stamp(alert.cutout("science"), max_bytes=1 << 22, max_pixels=1 << 20)
    summary = alert.summary()
    position = (summary.ra_deg, summary.dec_deg)
    tangent = find_tangent(stamp.header, stamp.pixels.shape, alert.survey, position)
    assert (tangent.ra_deg, tangent.dec_deg) == position
    assert tangent.scale_arcsec == pytest.approx(1.86, abs=0.01)
    alone = find_tangent(stamp.header, stamp.pixels.shape, alert.survey)
    assert alone.dec_deg == pytest.approx(position[1], abs=0.02)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"CD1_1": 1.0, "CD2_2": 1.0},
        {
            "CTYPE1": "GLON-TAN",
            "CRVAL1": 1.0,
            "CRVAL2": 1.0,
            "CRPIX1": 1.0,
            "CRPIX2": 1.0,
            "CD1_1": 1.0,
            "CD2_2": 1.0,
        },
        {"CRVAL1": 1.0, "CRVAL2": 1.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CD1_1": 0.0, "CD2_2": 0.0},
        {"CRVAL1": 1.0, "CRVAL2": 1.0, "CRPIX1": 1e308, "CRPIX2": 1.0, "CD1_1": 1e308, "CD2_2": 1.0},
    ],
)
def test_a_header_that_does_not_say_gives_nothing(surveys, header):
    assert find_tangent(header, SHAPE, surveys["lsst"]) is None


def test_ztf_does_not_say(surveys):
    assert find_tangent(header_of(made(10, 10, 0, 20)), SHAPE, surveys["ztf"]) is None


def test_a_position_angle_and_the_surveys_scale_do_where_there_is_no_projection(surveys):
    tangent = find_tangent({"PA": 30.0}, SHAPE, surveys["atlas"], (10.0, 20.0))
    assert (tangent.ra_deg, tangent.dec_deg) == (10.0, 20.0)
    assert tangent.scale_arcsec == pytest.approx(1.86)
    north, west = tangent.directions()
    # North is 30 degrees to the right of the rows' axis, whose row 0 is at the bottom; west is a quarter turn on.
    assert north == pytest.approx((0.5, np.sqrt(0.75)))
    assert west == pytest.approx((np.sqrt(0.75), -0.5))
    assert find_tangent({"PA": 30.0}, SHAPE, surveys["atlas"]) is None
    assert find_tangent({"PA": "x"}, SHAPE, surveys["atlas"], (10.0, 20.0)) is None
