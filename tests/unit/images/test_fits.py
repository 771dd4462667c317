"""From a cutout's bytes to a stamp: the direct path, astropy's, and what both refuse."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stamp_service.errors import PacketCorrupt, TooLarge
from stamp_service.images import gunzip_cutout
from stamp_service.images.fits import decode_any, decode_plain

MANY = 1 << 22
FIXTURES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

BASIC = ["SIMPLE  = T", "BITPIX  = -32", "NAXIS   = 2", "NAXIS1  = 3", "NAXIS2  = 2"]
PIXELS = np.arange(6, dtype=">f4").reshape(2, 3)


def test_every_real_cutout_is_as_astropy_has_it(real_cutouts, astropy_decode):
    for real in real_cutouts:
        expected, _ = astropy_decode(gunzip_cutout(real.cutout, MANY))
        pixels = real.stamp.pixels
        assert pixels.shape == expected.shape
        assert pixels.tobytes() == expected.tobytes()
        assert pixels.dtype == np.float32
        assert pixels.dtype.isnative
        assert pixels.flags.c_contiguous


def test_every_real_cutout_takes_the_direct_path(real_cutouts):
    for real in real_cutouts:
        data = gunzip_cutout(real.cutout, MANY)
        direct = decode_plain(data, MANY)
        assert direct is not None
        assert direct.pixels.tobytes() == decode_any(data, MANY).pixels.tobytes()


CARDS = st.lists(
    st.sampled_from(
        [
            ("BZERO", 0.0),
            ("BSCALE", 1.0),
            ("BUNIT", "nJy"),
            ("BAND", "r"),
            ("LONG", "a long text & more of it " * 8),
            ("HIERARCH some long keyword", 12),
            ("COMMENT", "BZERO   = 5"),
            ("HISTORY", "END"),
            ("PA", -0.308),
            ("FLAG", True),
            ("UNDEF", None),
            ("MJD-OBS", 59897.19178085),
            ("TEXT", "BZERO   = 7 END"),
        ]
    ),
    max_size=60,
)


@given(
    bits=hnp.arrays(np.uint32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)),
    cards=CARDS,
    further=st.integers(0, 2),
)
@FIXTURES
def test_the_direct_path_equals_astropys(make_fits, astropy_decode, bits, cards, further):
    """Whatever the bits of the pixels (any NaN among them), the cards, and the HDUs that follow."""
    hdu = fits.PrimaryHDU(bits.astype(">u4").view(">f4"))
    for keyword, value in cards:
        hdu.header[keyword] = value
    more = [fits.ImageHDU(np.ones((4, 4))), fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])])]
    data = make_fits(hdu, *more[:further])
    direct, general = decode_plain(data, MANY), decode_any(data, MANY)
    expected, header = astropy_decode(data)
    assert direct is not None
    assert direct.pixels.tobytes() == general.pixels.tobytes() == expected.tobytes()
    assert dict(direct.header) == dict(general.header)
    for keyword, value in direct.header.items():
        assert value == (None if isinstance(header[keyword], fits.card.Undefined) else header[keyword])


@given(
    data=st.data(),
    bitpix=st.sampled_from([8, 16, 32, 64, -32, -64]),
    bscale=st.sampled_from([None, 1, 2.5, -1e-3, 1e300]),
    bzero=st.sampled_from([None, 0, 7.25, 32768, 2**31, -128]),
    blank=st.sampled_from([None, 0, 1, -5, 255]),
    extension=st.booleans(),
)
@FIXTURES
def test_any_type_and_scale_equals_astropys(
    decode, write_cards, astropy_decode, data, bitpix, bscale, bzero, blank, extension
):
    # Signed bytes of which one means no data are more than astropy itself can read.
    assume(not (bitpix == 8 and bzero == -128 and bscale in {None, 1} and blank))
    letter, size = ("f" if bitpix < 0 else "u" if bitpix == 8 else "i"), abs(bitpix) // 8
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    stored = data.draw(hnp.arrays(np.dtype(f">{letter}{size}"), shape))
    cards = ["XTENSION= 'IMAGE   '" if extension else "SIMPLE  =                    T", f"BITPIX  = {bitpix:20d}"]
    cards += ["NAXIS   =                    2", f"NAXIS1  = {shape[1]:20d}", f"NAXIS2  = {shape[0]:20d}"]
    cards += ["PCOUNT  =                    0", "GCOUNT  =                    1"] if extension else []
    scaling = {"BSCALE": bscale, "BZERO": bzero, "BLANK": blank}
    cards += [f"{keyword:8s}= {value!r:>20s}".upper() for keyword, value in scaling.items() if value is not None]
    empty = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"]
    file = write_cards(
        *([[*empty, "EXTEND  =                    T"]] if extension else []), cards, stored.tobytes()
    )
    expected, _ = astropy_decode(file)
    pixels = decode(file).pixels
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, expected, strict=True)


@pytest.mark.parametrize("algorithm", ["GZIP_1", "GZIP_2", "RICE_1", "NOCOMPRESS"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("tile", [None, (16, 16), (63, 61)])
def test_tile_compressed_images(decode, make_fits, astropy_decode, algorithm, dtype, tile):
    image = np.random.default_rng(1).normal(100, 10, (43, 61)).astype(dtype)
    if dtype[0] == "f":
        image[3, 4] = np.nan
    kwargs = {} if tile is None else {"tile_shape": tile}
    data = make_fits(fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type=algorithm, **kwargs))
    expected, _ = astropy_decode(data)
    stamp = decode(data)
    np.testing.assert_array_equal(stamp.pixels, expected, strict=True)
    assert stamp.header["ZCMPTYPE"] == algorithm


@pytest.mark.parametrize("algorithm", ["HCOMPRESS_1", "PLIO_1"])
def test_refuses_tile_compression_that_is_not_safe_to_read(decode, make_fits, algorithm):
    image = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
    data = make_fits(fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type=algorithm))
    with pytest.raises(PacketCorrupt):
        decode(data)


def test_dithered_tiles(decode, make_fits, astropy_decode):
    image = np.random.default_rng(2).normal(100, 10, (40, 50)).astype(np.float32)
    hdu = fits.CompImageHDU(image, compression_type="RICE_1", quantize_method=1, dither_seed=77)
    data = make_fits(fits.PrimaryHDU(), hdu)
    np.testing.assert_array_equal(decode(data).pixels, astropy_decode(data)[0])
    for seed in (b"0", b"-7", b"99999999"):
        with pytest.raises(PacketCorrupt):
            decode(data.replace(b"ZDITHER0=                   77", b"ZDITHER0= " + seed.rjust(20)))


def test_blank_becomes_nan(decode, make_fits):
    hdu = fits.PrimaryHDU(np.array([[1, -99], [3, 4]], dtype=np.int16))
    hdu.header["BLANK"] = -99
    np.testing.assert_array_equal(decode(make_fits(hdu)).pixels, np.array([[1, np.nan], [3, 4]], np.float32))


def test_a_float64_beyond_float32_becomes_infinite(decode, make_fits):
    assert np.isposinf(decode(make_fits(fits.PrimaryHDU(np.array([[1e300, 1.0]])))).pixels[0, 0])


@pytest.mark.parametrize("shape", [(1, 5, 7), (1, 1, 5, 7), (5, 7), (1, 7), (5, 1), (1, 1)])
def test_axes_of_length_one_are_dropped(decode, make_fits, shape):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(decode(make_fits(fits.PrimaryHDU(image))).pixels, image.reshape(shape[-2:]))


@pytest.mark.parametrize("shape", [(7,), (2, 5, 7), (5, 7, 1), (2, 1, 5, 7)])
def test_refuses_what_is_not_two_dimensional(decode, make_fits, shape):
    data = make_fits(fits.PrimaryHDU(np.zeros(shape, np.float32)))
    with pytest.raises(PacketCorrupt, match="two-dimensional"):
        decode(data)


def test_an_image_in_an_extension_is_found(decode, make_fits):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])])
    stamp = decode(make_fits(fits.PrimaryHDU(), table, fits.ImageHDU(PIXELS, name="SCI")))
    np.testing.assert_array_equal(stamp.pixels, PIXELS)
    assert stamp.header["EXTNAME"] == "SCI"


def test_free_format_comments_and_missing_padding(decode, write_cards):
    """As ZTF and others write them."""
    for cards in (
        BASIC,
        [f"{card} / (63 = a number)" for card in BASIC],
        [card.replace("= ", "=   ") for card in BASIC],
    ):
        np.testing.assert_array_equal(decode(write_cards(cards) + PIXELS.tobytes()).pixels, PIXELS)
    with pytest.raises(PacketCorrupt):  # no space after the sign: that is no value
        decode(write_cards(["SIMPLE  =T", *BASIC[1:]], PIXELS.tobytes()))


@pytest.mark.parametrize("keyword", ["BZERO", "BSCALE"])
def test_a_scale_is_seen_wherever_its_card_stands(decode, write_cards, keyword):
    for before in range(0, 45, 11):
        filler = ["COMMENT BZERO   = 9", "B       = 'BSCALE  = 3'"] * before
        stamp = decode(write_cards([*BASIC, *filler, f"{keyword:8s}= 2.0"], PIXELS.tobytes()))
        np.testing.assert_array_equal(stamp.pixels, PIXELS + 2 if keyword == "BZERO" else PIXELS * 2)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"SIMPLE", b"\x89PNG\r\n\x1a\n" + bytes(9000), b"SIMPLE  = T" + b" " * 9000]
)
def test_refuses_what_is_no_fits(decode, data):
    with pytest.raises(PacketCorrupt):
        decode(data)
    with pytest.raises(PacketCorrupt):
        decode(gzip.compress(data))


@pytest.mark.parametrize(
    "cards",
    [
        {"NAXIS1": "1000000000"},
        {"NAXIS1": "1000000000", "NAXIS2": "1000000000"},
        {"NAXIS1": "9223372036854775807", "NAXIS2": "9223372036854775807"},
        {"NAXIS1": "9" * 60},
        {"NAXIS1": "-3"},
        {"NAXIS1": "0"},
        {"NAXIS1": "'3'"},
        {"NAXIS1": "3.5"},
        {"NAXIS1": "1E9"},
        {"NAXIS1": "T"},
        {"NAXIS1": ""},
        {"NAXIS": "0"},
        {"NAXIS": "1"},
        {"NAXIS": "3"},
        {"NAXIS": "999"},
        {"NAXIS": "1000000"},
        {"NAXIS": "-1"},
        {"BITPIX": "-31"},
        {"BITPIX": "0"},
        {"BITPIX": "128"},
        {"BITPIX": "-64"},
        {"BITPIX": "x"},
        {"PCOUNT": "1000000000000"},
        {"GCOUNT": "1000000000000"},
        {"PCOUNT": "-1000"},
    ],
)
def test_refuses_a_header_that_lies(decode, write_cards, cards):
    true = dict(card.split("= ") for card in BASIC)
    wrong = {keyword.strip(): value for keyword, value in true.items()} | cards
    data = write_cards([f"{keyword:8s}= {value:>20s}" for keyword, value in wrong.items()]) + PIXELS.tobytes()
    if "COUNT" in str(cards):  # means nothing to a plain image, so the direct path does not look
        return np.testing.assert_array_equal(decode(data).pixels, PIXELS)
    with pytest.raises((PacketCorrupt, TooLarge)):
        decode(data)
    return None


@pytest.mark.parametrize("bscale", ["'x'", "T", "(1, 2)", ""])
def test_refuses_a_scale_that_is_no_number(decode, write_cards, bscale):
    with pytest.raises(PacketCorrupt):
        decode(write_cards([*BASIC, f"BSCALE  = {bscale}"], PIXELS.tobytes()))


def test_a_scale_beyond_all_numbers_leaves_no_data(decode, write_cards):
    assert np.isinf(decode(write_cards([*BASIC, "BSCALE  = " + "9" * 65], PIXELS.tobytes())).pixels[1]).all()


def test_limits_hold_before_anything_is_allocated(decode, write_cards):
    def file(bitpix: int) -> bytes:
        cards = [BASIC[0], f"BITPIX  = {bitpix}", BASIC[2], "NAXIS1  = 10000", "NAXIS2  = 10000"]
        return write_cards(cards)

    for bitpix in (-32, 16):
        with pytest.raises((TooLarge, PacketCorrupt)):
            decode(file(bitpix))
    with pytest.raises(TooLarge):
        decode(write_cards(BASIC, PIXELS.tobytes()), max_pixels=5)
    assert decode(write_cards(BASIC, PIXELS.tobytes()), max_pixels=6).pixels.size == 6
    with pytest.raises(TooLarge):
        decode(write_cards(["SIMPLE  = T", "BITPIX  = 8", *BASIC[2:]], bytes(6)), max_pixels=5)
    with pytest.raises(TooLarge):
        decode(write_cards(BASIC, PIXELS.tobytes()), max_bytes=5000)


def test_refuses_pixels_that_are_cut_short(decode, write_cards):
    whole = write_cards(BASIC) + PIXELS.tobytes()
    assert decode(whole).pixels.size == 6
    for bitpix in (b"-32", b" 32"):
        with pytest.raises(PacketCorrupt, match="cut short"):
            decode(whole[:-1].replace(b"-32", bitpix))


def test_refuses_thousands_of_hdus(decode, write_cards):
    empty = ["XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0", "PCOUNT  = 0", "GCOUNT  = 1"]
    with pytest.raises(PacketCorrupt, match="HDUs"):
        decode(write_cards(["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"], *[empty] * 1000))


class TestHostileTiles:
    """Tile-compressed images whose header or table lies."""

    @pytest.fixture
    def tiled(self, make_fits) -> bytes:
        image = np.random.default_rng(3).normal(100, 10, (32, 32)).astype(np.float32)
        return make_fits(fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type="GZIP_1", quantize_level=0))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"ZNAXIS1 =                   32", b"ZNAXIS1 =            100000000"),
            (b"ZNAXIS2 =                   32", b"ZNAXIS2 =            100000000"),
            (b"ZNAXIS1 =                   32", b"ZNAXIS1 =                   -1"),
            (b"ZNAXIS  =                    2", b"ZNAXIS  =                  999"),
            (b"ZTILE1  =                   32", b"ZTILE1  =                    0"),
            (b"ZTILE1  =                   32", b"ZTILE1  =                   -5"),
            (b"ZTILE1  =                   32", b"ZTILE1  =                    1"),
            (b"ZTILE2  =                    1", b"ZTILE2  =           9999999999"),
            (b"ZBITPIX =                  -32", b"ZBITPIX =                   33"),
            (b"ZCMPTYPE= 'GZIP_1  '", b"ZCMPTYPE= 'RICE_1  '"),
            (b"ZCMPTYPE= 'GZIP_1  '", b"ZCMPTYPE= 'HCOMPRES'"),
            (b"TFORM1  = '1PB", b"TFORM1  = '1PE"),
            (b"TFIELDS =                    1", b"TFIELDS =                    9"),
            (b"TFIELDS =                    1", b"TFIELDS =               999999"),
            (b"NAXIS1  =                    8", b"NAXIS1  =                   16"),
            (b"TTYPE1  = 'COMPRESSED_DATA'", b"TTYPE1  = 'COMPRESSED_DATB'"),
        ],
    )
    def test_a_header_that_lies(self, decode, tiled, old, new):
        assert tiled.count(old) >= 1
        with pytest.raises((PacketCorrupt, TooLarge)):
            decode(tiled.replace(old, new))

    def test_tiles_larger_than_the_image_are_cut_to_it(self, decode, tiled):
        wide = tiled.replace(b"ZTILE1  =                   32", b"ZTILE1  =           9999999999")
        np.testing.assert_array_equal(decode(wide).pixels, decode(tiled).pixels)

    @pytest.mark.parametrize("descriptor", [(2**31 - 1, 0), (10, 2**31 - 1), (-1, 0), (10, -5)])
    def test_descriptors_outside_the_heap(self, decode, tiled, descriptor):
        table = 2880 * (tiled.index(b"END".ljust(80), 2880) // 2880 + 1)
        bad = tiled[:table] + np.array(descriptor, ">i4").tobytes() + tiled[table + 8 :]
        with pytest.raises(PacketCorrupt, match="outside"):
            decode(bad)

    def test_a_bomb_in_a_tile(self, decode, tiled):
        table = 2880 * (tiled.index(b"END".ljust(80), 2880) // 2880 + 1)
        count, offset = np.frombuffer(tiled, ">i4", 2, table)
        bomb = gzip.compress(bytes(1 << 20), mtime=0)[:count]
        heap = table + 32 * 8 + offset
        bad = tiled[:heap] + bomb + tiled[heap + len(bomb) :]
        with pytest.raises((TooLarge, PacketCorrupt)):
            decode(bad)
        whole = gzip.compress(bytes(1 << 20), mtime=0)
        rows = [np.array([len(whole), 0] if row == 0 else [0, 0], ">i4").tobytes() for row in range(32)]
        pcount = int(tiled[tiled.index(b"PCOUNT  =", 2880) :][10:30])
        grown = tiled[:table] + b"".join(rows) + whole
        grown = grown.replace(b"PCOUNT  = %20d" % pcount, b"PCOUNT  = %20d" % len(whole))
        with pytest.raises(TooLarge):
            decode(grown)
