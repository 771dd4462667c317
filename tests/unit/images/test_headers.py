"""Cards, parsed when they are asked for."""

import pytest
from astropy.io import fits

from stamp_service.images import gunzip_cutout
from stamp_service.images.headers import Header, find_header_end


def header_of(*cards: str) -> Header:
    return Header("".join(card.ljust(80) for card in cards).encode("latin-1"))


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("NAXIS1  =                   63", 63),
        ("SIMPLE  =  T", True),
        ("FLAG    =                    F / no", False),
        ("PA      =               -0.308 / degrees", -0.308),
        ("BIG     =             1.5D+300", 1.5e300),
        ("RP_SCHIN= 1.0e+04 / max chi^2/N for tphot trigger", 1e4),
        ("BUNIT   = 'DN      '", "DN"),
        ("WHO     = 'O''Neil / Sons' / two quotes", "O'Neil / Sons"),
        ("EMPTY   = ''", ""),
        ("NOTHING =", None),
        ("NOTHING =                      / nothing", None),
        ("ODD     = not a value / at all", "not a value"),
        ("Z       = (1.0, 2.0)", 1 + 2j),
    ],
)
def test_values(card, value):
    header = header_of(card)
    parsed = header[card[:8].strip()]
    assert parsed == value
    assert type(parsed) is type(value)


def test_long_texts_and_long_keywords():
    text = "a long text " * 20
    cards = str(fits.Card("LONG", text)) + str(fits.Card("HIERARCH a long keyword", 5)) + "AFTER   = 7".ljust(80)
    header = Header(cards.encode())
    assert header["LONG"] == text.strip()
    assert header["a long keyword"] == 5
    assert header["AFTER"] == 7
    assert list(header) == ["LONG", "a long keyword", "AFTER"]


def test_a_text_of_thousands_of_cards_is_cut():
    header = header_of("LONG    = 'aaaa&'", *["CONTINUE  'aaaa&'"] * 5000)
    assert header["LONG"] == "aaaa" * 100


def test_the_first_card_wins_and_commentary_has_no_value():
    header = header_of("A       = 1", "COMMENT B = 2", "HISTORY C", "", "A       = 2", "CONTINUE  'x'", "no card")
    assert dict(header) == {"A": 1}
    assert len(header) == 1
    assert [keyword for keyword, _ in header.images()][:4] == ["A", "COMMENT", "HISTORY", ""]
    with pytest.raises(KeyError):
        header["COMMENT"]


def test_letters_beyond_ascii_do_no_harm():
    assert header_of("WHO     = 'Núñez'", "B       = 2")["B"] == 2


def test_finds_the_end_only_where_a_card_starts():
    end = b"END".ljust(80)
    assert find_header_end(b"A       = 1".ljust(80) + end) == 80
    assert find_header_end(b"A = 'x' ".ljust(40) + end + bytes(40)) == -1
    assert find_header_end(b"?" * 40 + end + b" " * 40 + end) == 160
    assert find_header_end(b"") == -1


def test_every_real_header_is_as_astropy_has_it(some_cutouts, astropy_decode):
    compared = 0
    for real in some_cutouts:
        _, expected = astropy_decode(gunzip_cutout(real.cutout, 1 << 22))
        header = real.stamp.header
        assert set(header) == set(expected) - {"COMMENT", "HISTORY", ""}
        for keyword in header:
            value = expected[keyword]
            assert header[keyword] == (None if isinstance(value, fits.card.Undefined) else value)
            compared += 1
    assert compared > 1000  # ATLAS has more than 430 a header
