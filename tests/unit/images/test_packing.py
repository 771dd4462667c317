"""All cutouts in one FITS file: standard, complete, and the same pixels."""

import io

import numpy as np
import pytest
from astropy.io import fits

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.images import gunzip_cutout, gzip_cutout, pack_fits

LIMITS = {"max_bytes": 1 << 22, "max_pixels": 1 << 22}
OF_THE_FILE = {"", "SIMPLE", "EXTEND", "EXTNAME", "COMMENT", "HISTORY", "CHECKSUM", "DATASUM"}
OF_THE_FILE |= {"ZEXTEND", "ZHECKSUM", "ZDATASUM"}
EXTENSIONS = {"difference": "DIFFIM", "science": "SCIENCE", "template": "TEMPLATE"}


def opened(packed: bytes) -> fits.HDUList:
    """Open a file and verify it; astropy's warnings are errors."""
    hdus = fits.open(io.BytesIO(packed), memmap=False)
    hdus.verify("exception")
    for hdu in hdus:
        for card in hdu.header.cards:
            card.verify("exception")
        assert hdu.data is not None or hdu.header["NAXIS"] == 0
    return hdus


@pytest.fixture
def alerts(real_cutouts) -> dict:
    """Of ZTF's alerts every tenth, of ATLAS' every second, Rubin's."""
    found: dict = {}
    for real in real_cutouts:
        found.setdefault((real.survey.name, real.alert_id), {})[real.kind] = real.cutout
    every = {"ztf": 10, "atlas": 2, "lsst": 1}
    return {key: cutouts for number, (key, cutouts) in enumerate(found.items()) if number % every[key[0]] == 0}


def test_real_alerts(alerts, astropy_decode):
    carried = 0
    for (survey, alert_id), cutouts in alerts.items():
        packed = pack_fits(cutouts, survey=survey, alert_id=alert_id, object_id="ZTF18abc", **LIMITS)
        assert packed == pack_fits(cutouts, survey=survey, alert_id=alert_id, object_id="ZTF18abc", **LIMITS)
        assert len(packed) % 2880 == 0
        with opened(packed) as hdus:
            primary = hdus[0].header
            assert (primary["SURVEY"], primary["ALERTID"], primary["OBJECTID"]) == (survey, alert_id, "ZTF18abc")
            names = [hdu.name for hdu in hdus[1:]]
            assert [name for name in names if "_" not in name] == [
                name for kind, name in EXTENSIONS.items() if kind in cutouts
            ]
            for kind, cutout in cutouts.items():
                pixels, header = astropy_decode(gunzip_cutout(cutout, 1 << 22))
                extension = hdus[EXTENSIONS[kind]]
                assert extension.data.astype(np.float32).tobytes() == pixels.tobytes()
                for keyword in set(header) - OF_THE_FILE:
                    expected = header[keyword]
                    assert extension.header[keyword] == expected, keyword
                    carried += 1
    assert carried > 4000


def test_rubins_variance_and_psf_follow_their_image(alerts, astropy_decode):
    [cutouts] = [found for (survey, _), found in alerts.items() if survey == "lsst"]
    with opened(pack_fits(cutouts, survey="lsst", alert_id="1", **LIMITS)) as hdus:
        names = [hdu.name for hdu in hdus]
        assert names[1:4] == ["DIFFIM", "DIFFIM_UNCERT", "DIFFIM_PSFIMAGE"]
        assert len(names) == 10
        with fits.open(io.BytesIO(cutouts["science"])) as original:
            for own in ("UNCERT", "PSFIMAGE"):
                np.testing.assert_array_equal(hdus[f"SCIENCE_{own}"].data, original[own].data, strict=True)


def test_all_kinds_of_images(make_fits, astropy_decode):
    """Scaled integers keep their scale; a tile-compressed image is unpacked; tables are left out."""
    image = np.random.default_rng(1).normal(100, 10, (20, 30)).astype(np.float32)
    scaled = fits.PrimaryHDU(image.astype(np.uint16))
    scaled.header["COUNTRY"] = "Chile"
    tiled = fits.CompImageHDU(image, compression_type="GZIP_1", quantize_level=0)
    tiled.header["BAND"] = "r"
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])])
    science, template = make_fits(scaled, table), make_fits(fits.PrimaryHDU(), tiled, table)
    packed = pack_fits({"science": science, "template": template}, survey="x", alert_id="1", **LIMITS)
    with opened(packed) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["SCIENCE", "TEMPLATE"]
        np.testing.assert_array_equal(hdus[1].data, image.astype(np.uint16), strict=True)
        assert hdus[1].header["COUNTRY"] == "Chile"
        np.testing.assert_array_equal(hdus[2].data, image)
        assert hdus[2].header["BAND"] == "r"
        assert not [keyword for keyword in hdus[2].header if keyword.startswith("Z") or keyword == "TFIELDS"]


def test_cards_that_are_not_standard_are_written_anew_or_left_out(write_cards):
    odd = [
        "SIMPLE  = T",
        "BITPIX  = -32",
        "NAXIS   = 2",
        "NAXIS1  = 1",
        "NAXIS2  = 1",
        "EXTEND  = T",
        "CHECKSUM= 'old     '",
        "EXTNAME = 'MINE    '",
        "RP_SCHIN= 1.0e+04 / small exponent",
        "GOOD    =                1.0E4 / kept as it stands",
        "HUGE    = 1e999",
        "lower   = 3",
        "BROKEN  = some text / that is no value",
        "NÚÑEZ   = 3",
        "LONG    = 'first part &'",
        "CONTINUE  'second part' / of it",
        "CONTINUE  no quotes",
        "STRAY   = 5",
        "CONTINUE  'a continuation of nothing'",
        "HISTORY born of a test",
        "UNDEF   =",
        "QUOTE   = 'O''Neil / Sons' / name",
    ]
    data = write_cards(odd, bytes(4))
    packed = pack_fits({"science": data}, survey="x", alert_id="1", **LIMITS)
    with opened(packed) as hdus:
        header = hdus["SCIENCE"].header
        assert header["RP_SCHIN"] == 1e4
        assert header["LONG"] == "first part second part"
        assert header["QUOTE"] == "O'Neil / Sons"
        assert header["UNDEF"] is None or isinstance(header["UNDEF"], fits.card.Undefined)
        assert str(header["HISTORY"]) == "born of a test"
        assert b"GOOD    =                1.0E4 / kept as it stands" in packed
        assert not {"BROKEN", "HUGE", "LOWER", "CHECKSUM", "EXTEND"} & set(header)
        assert packed.count(b"CONTINUE") == 1


def test_gzipped_or_not_and_what_there_is(make_fits):
    one = make_fits(fits.PrimaryHDU(np.ones((2, 3), np.float32)))
    assert pack_fits({"science": one}, survey="x", alert_id="1", **LIMITS) == pack_fits(
        {"science": gzip_cutout(one)}, survey="x", alert_id="1", **LIMITS
    )
    with opened(pack_fits({}, survey="x", alert_id="1", **LIMITS)) as hdus:
        assert len(hdus) == 1
        assert "OBJECTID" not in hdus[0].header


def test_errors(make_fits):
    good = make_fits(fits.PrimaryHDU(np.ones((2, 3), np.float32)))
    for bad, error in [
        (b"", PacketCorrupt),
        (good[:2890], PacketCorrupt),
        (make_fits(fits.PrimaryHDU(np.ones((3, 2, 3), np.float32))), PacketCorrupt),
        (make_fits(fits.PrimaryHDU(np.ones((2000, 3000), np.uint8))), TooLarge),
    ]:
        with pytest.raises(error):
            pack_fits({"science": good, "difference": bad}, survey="x", alert_id="1", **LIMITS)
