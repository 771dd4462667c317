"""Which way up: flips, turns, and north, measured on the picture against astropy's WCS."""

import io
from math import atan2, cos, degrees, radians, sin

import numpy as np
import pytest
from astropy.wcs import WCS
from PIL import Image

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images import Stamp, Style, draw_png
from stamp_service.images.orientation import flip_levels, turn_north

MANY = 1 << 22
NORTH = Style(interval="minmax", orient="north", scale=1)


def wcs_of(header) -> WCS:
    """The linear and gnomonic part of a header's WCS, by astropy; LSST's names no projection, ATLAS's is TPV."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [header["CRVAL1"], header["CRVAL2"]]
    wcs.wcs.crpix = [header["CRPIX1"], header["CRPIX2"]]
    if "CD1_1" in header:
        wcs.wcs.cd = [[header.get(f"CD{i}_{j}", 0) for j in (1, 2)] for i in (1, 2)]
    else:
        wcs.wcs.cdelt = [header.get("CDELT1", 1), header.get("CDELT2", 1)]
        if "CROTA2" in header:
            wcs.wcs.crota = [0, header["CROTA2"]]
        else:
            wcs.wcs.pc = [[header.get(f"PC{i}_{j}", int(i == j)) for j in (1, 2)] for i in (1, 2)]
    return wcs


def sky(header, shape) -> tuple[np.ndarray, np.ndarray]:
    """Images of (RA - RA of the centre) cos(Dec) and of Dec."""
    rows, columns = np.indices(shape)
    ra, dec = wcs_of(header).all_pix2world(columns, rows, 0)
    offset = (ra - ra[shape[0] // 2, shape[1] // 2] + 180) % 360 - 180
    return offset * np.cos(np.radians(dec)), dec


def picture_of(pixels, header, survey) -> np.ndarray:
    stamp = Stamp(np.ascontiguousarray(pixels - pixels.mean(), dtype=np.float32), header)
    return np.asarray(Image.open(io.BytesIO(draw_png(stamp, survey, "science", NORTH, max_pixels=MANY))))


def rise_deg(picture: np.ndarray) -> float:
    """Direction in which a picture becomes brighter: 0 is up, 90 is left."""
    rows, columns = np.nonzero(picture)
    terms = np.stack([columns, -rows, np.ones(len(rows))], axis=1)
    (right, up, _), *_ = np.linalg.lstsq(terms, picture[rows, columns].astype(float))
    return degrees(atan2(-right, up))


def check_north(header, shape, survey, within_deg: float) -> None:
    east, north = sky(header, shape)
    assert rise_deg(picture_of(north, header, survey)) == pytest.approx(0, abs=within_deg)
    assert rise_deg(picture_of(east, header, survey)) == pytest.approx(90, abs=within_deg)


def test_flips():
    levels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert flip_levels(levels, "none").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert flip_levels(levels, "x").tolist() == [[3, 2, 1], [6, 5, 4]]
    assert flip_levels(levels, "y").tolist() == [[4, 5, 6], [1, 2, 3]]
    assert flip_levels(levels, "xy").tolist() == [[6, 5, 4], [3, 2, 1]]


def test_default_puts_row_0_where_the_survey_does(surveys):
    ramp = Stamp(np.arange(12, dtype=np.float32).reshape(3, 4), {})

    def top_left_is_dark(survey, **style) -> bool:
        png = draw_png(ramp, surveys[survey], "science", Style(interval="minmax", **style), max_pixels=MANY)
        return int(np.asarray(Image.open(io.BytesIO(png)))[0, 0]) == 1

    assert top_left_is_dark("ztf")
    assert not top_left_is_dark("atlas")
    assert not top_left_is_dark("lsst")
    assert top_left_is_dark("atlas", orient="native")
    assert top_left_is_dark("atlas", flip="y")


def test_real_lsst_stamps_have_north_up_and_east_left(real_cutouts):
    found = [real for real in real_cutouts if real.survey.name == "lsst"]
    assert found
    for real in found:
        header = dict(real.stamp.header)
        assert "CTYPE1" not in header
        check_north(header, real.stamp.pixels.shape, real.survey, within_deg=1)


def test_real_atlas_stamps_have_north_up_and_east_left(real_cutouts):
    """Their reference point is up to 5,000 pixels away, where the meridians run up to 1.7 degrees differently."""
    found = [real for real in real_cutouts if real.survey.name == "atlas" and real.kind == "science"]
    assert len(found) == 10
    for real in found:
        header = dict(real.stamp.header)
        check_north(header, real.stamp.pixels.shape, real.survey, within_deg=1)
    # A turn by less than a degree moves no pixel of a stamp; of a larger image it does.
    for real in found[::3]:
        check_north(dict(real.stamp.header), (401, 401), real.survey, within_deg=0.2)


def test_atlas_pa_is_the_position_angle_of_the_rows_axis(real_cutouts, surveys):
    """What the card means, by the CD matrix of the same headers; then a header with nothing but the card."""
    for real in real_cutouts:
        if real.survey.name == "atlas":
            header = real.stamp.header
            x, y = np.linalg.solve(
                [[header[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)], (0, 1)
            )  # towards north
            assert degrees(atan2(x, y)) == pytest.approx(header["PA"], abs=0.001)
            assert header["CD1_1"] < 0  # and east is left of it
    rows, columns = np.indices((61, 61))
    for angle in (-0.308, 30.0, 90.0, -135.0, 180.0):
        north = columns * sin(radians(angle)) + rows * cos(radians(angle))
        east = -columns * cos(radians(angle)) + rows * sin(radians(angle))
        for survey in (surveys["atlas"], flipped(surveys["atlas"])):
            up_side_down = survey.orientation.row0 == "top"
            card = {"PA": angle}
            assert rise_deg(picture_of(north[::-1] if up_side_down else north, card, survey)) == pytest.approx(
                0, abs=1
            )
            assert rise_deg(picture_of(east[::-1] if up_side_down else east, card, survey)) == pytest.approx(
                90, abs=1
            )


def flipped(survey):
    orientation = survey.orientation.model_copy(update={"row0": "top"})
    return survey.model_copy(update={"orientation": orientation})


@pytest.mark.parametrize("turn_deg", [0, 17, 45, 90, 133, 180, 270, 301])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("form", ["CD", "PC", "PC and CDELT", "CROTA2"])
def test_any_wcs(surveys, turn_deg, mirrored, form):
    step, turn = 1e-4, radians(turn_deg)
    matrix = np.array([[-cos(turn), sin(turn)], [sin(turn), cos(turn)]]) @ np.diag([-1 if mirrored else 1, 1])
    header = {"CRVAL1": 210.0, "CRVAL2": 54.0, "CRPIX1": -300.0, "CRPIX2": 400.0, "CTYPE1": "RA---TAN"}
    if form == "CROTA2":
        header |= {"CDELT1": step if mirrored else -step, "CDELT2": step, "CROTA2": float(turn_deg)}
    else:
        name = form[:2]
        scale = 1.0 if form == "PC and CDELT" else step
        header |= {f"{name}{i}_{j}": scale * matrix[i - 1, j - 1] for i in (1, 2) for j in (1, 2)}
        header |= {"CDELT1": step, "CDELT2": step} if form == "PC and CDELT" else {}
    check_north(header, (40, 50), surveys["lsst"], within_deg=1)


@pytest.mark.parametrize("dec", [-89.95, -32.0, 0.0, 89.0, 89.95, 90.0])
def test_near_the_poles(surveys, dec):
    header = {"CRVAL1": 10.0, "CRVAL2": dec, "CRPIX1": 150.0, "CRPIX2": 50.0}
    header |= {"CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4}
    _, north = sky(header, (21, 21))
    assert rise_deg(picture_of(north, header, surveys["lsst"])) == pytest.approx(0, abs=1)


def test_quarter_turns_move_pixels_and_change_none(surveys):
    levels = np.random.default_rng(1).integers(1, 256, (43, 62)).astype(np.uint8)
    seen = levels[::-1]  # with row 0 at the bottom, as the header means it
    for angle, expected in (
        (0, seen),
        (90, np.rot90(seen, 1)),
        (180, np.rot90(seen, 2)),
        (-90, np.rot90(seen, 3)),
    ):
        turned = turn_north(levels, {"PA": float(angle)}, surveys["atlas"], max_pixels=MANY)
        np.testing.assert_array_equal(turned, expected)


def test_a_mirrored_wcs_is_mirrored_back(surveys):
    levels = np.random.default_rng(1).integers(1, 256, (5, 7)).astype(np.uint8)
    header = {"CRVAL1": 10.0, "CRVAL2": 0.0, "CRPIX1": 4.0, "CRPIX2": 3.0, "CD1_1": 1e-4, "CD2_2": 1e-4}
    turned = turn_north(levels, header, surveys["lsst"], max_pixels=MANY)
    np.testing.assert_array_equal(turned, levels[::-1, ::-1])


def test_a_turn_keeps_the_whole_stamp_and_leaves_the_corners_empty(surveys):
    levels = np.full((61, 61), 7, np.uint8)
    for angle in (0.308, 5, 45, 60):
        turned = turn_north(levels, {"PA": float(angle)}, surveys["atlas"], max_pixels=MANY)
        assert (turned == 7).sum() == pytest.approx(levels.size, rel=0.02)
        assert (turned == 0).any() == (angle > 1)
    assert turn_north(levels, {"PA": 0.308}, surveys["atlas"], max_pixels=MANY).shape == (61, 61)


GOOD = {"CRVAL1": 1.0, "CRVAL2": 2.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CD1_1": -1e-4, "CD2_2": 1e-4}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"PA": 3.0},
        GOOD | {"CD1_1": 0.0},
        GOOD | {"CD1_1": "x"},
        GOOD | {"CD1_1": True},
        GOOD | {"CD1_1": float("nan")},
        GOOD | {"CD1_1": 1e-200, "CD2_2": 1e-200},
        GOOD | {"CD1_1": 1e200, "CD2_2": 1e200},
        GOOD | {"CRPIX1": float("inf")},
        GOOD | {"CRVAL2": None},
        GOOD | {"CTYPE1": "GLON-TAN"},
        GOOD | {"LONPOLE": 90.0},
        {key: value for key, value in GOOD.items() if key != "CRPIX2"},
        {key: value for key, value in GOOD.items() if not key.startswith("CD")},
    ],
)
def test_a_header_without_north_is_an_error_of_the_request(surveys, header):
    stamp = Stamp(np.eye(5, dtype=np.float32), header)
    with pytest.raises(RequestError, match="cannot be turned north") as error:
        draw_png(stamp, surveys["lsst"], "science", NORTH, max_pixels=MANY)
    assert error.value.parameter == "orient"


def test_ztf_has_no_north(surveys, real_cutouts):
    stamp = next(real.stamp for real in real_cutouts if real.survey.name == "ztf")
    with pytest.raises(
        RequestError, match="cannot be turned north: its header has neither a usable WCS nor a position"
    ):
        draw_png(stamp, surveys["ztf"], "science", NORTH, max_pixels=MANY)
    with pytest.raises(RequestError):  # the survey says that it has none, so no card is believed
        draw_png(Stamp(stamp.pixels, GOOD), surveys["ztf"], "science", NORTH, max_pixels=MANY)
    with pytest.raises(RequestError, match="nor a PA card"):
        draw_png(stamp, surveys["atlas"], "science", NORTH, max_pixels=MANY)


def test_a_long_thin_stamp_does_not_become_a_huge_square(surveys):
    stamp = Stamp(np.arange(100_000, dtype=np.float32).reshape(1, -1), {"PA": 45.0})
    with pytest.raises(TooLarge):
        draw_png(stamp, surveys["atlas"], "science", NORTH, max_pixels=MANY)
