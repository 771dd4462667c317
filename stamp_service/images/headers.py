"""Headers of FITS files whose cards are parsed when they are asked for.

An ATLAS header has more than 430 cards, and a picture needs five of them.
"""

import re
from collections.abc import Iterator, Mapping

from astropy.io import fits

CARD_BYTES = 80
BLOCK_BYTES = 2880
HeaderValue = str | int | float | complex | bool | None

_END = b"END" + b" " * (CARD_BYTES - 3)
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_HIERARCH = re.compile(r"HIERARCH +([^=]*[^= ]) *= ")
# More than any header known, and little enough to search: 36,000 cards.
_MAX_HEADER_BYTES = 1000 * BLOCK_BYTES
# Longer texts are cut: a card takes 0.2 ms to parse, and a hostile text could have thousands.
_MAX_TEXT_CARDS = 100


def find_header_end(data: bytes, start: int = 0) -> int:
    """Find the END card of a header.

    Parameters
    ----------
    data : bytes
        A FITS file.
    start : int
        Where the header starts.

    Returns
    -------
    int
        Where the END card starts; -1 if there is none.
    """
    limit = start + _MAX_HEADER_BYTES
    end = data.find(_END, start, limit)
    while end >= 0 and (end - start) % CARD_BYTES:
        end = data.find(_END, end + 1, limit)
    return end


class Header(Mapping[str, HeaderValue]):
    """The keywords and values of one header.

    The first card of a keyword wins, undefined values are None, and a value that is no FITS value is given as
    its text. Commentary (COMMENT, HISTORY, blank) is in `images` alone.

    Parameters
    ----------
    block : bytes
        The header's cards, without END.
    """

    __slots__ = ("_block", "_by_keyword")

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._by_keyword: dict[str, list[str]] | None = None

    def images(self) -> Iterator[tuple[str, str]]:
        """Walk through the cards as they stand in the header.

        Yields
        ------
        keyword : str
            The first eight characters, stripped.
        image : str
            The card's 80 characters; anything that is not ASCII is U+FFFD.
        """
        text = self._block.decode("ascii", "replace")
        for start in range(0, len(text) - CARD_BYTES + 1, CARD_BYTES):
            image = text[start : start + CARD_BYTES]
            yield image[:8].rstrip(), image

    def _index(self) -> dict[str, list[str]]:
        if self._by_keyword is None:
            index: dict[str, list[str]] = {}
            current: list[str] = []  # where a CONTINUE card belongs
            for keyword, image in self.images():
                if keyword == "CONTINUE":
                    if len(current) < _MAX_TEXT_CARDS:
                        current.append(image)
                    continue
                current = [image]
                name = _name(keyword, image)
                if name is not None:
                    index.setdefault(name, current)
            self._by_keyword = index
        return self._by_keyword

    def __getitem__(self, keyword: str) -> HeaderValue:
        return parse_value("".join(self._index()[keyword]))

    def __contains__(self, keyword: object) -> bool:
        return keyword in self._index()

    def __iter__(self) -> Iterator[str]:
        return iter(self._index())

    def __len__(self) -> int:
        return len(self._index())

    def __repr__(self) -> str:
        return f"<Header of {len(self._block) // CARD_BYTES} cards>"


def parse_value(image: str) -> HeaderValue:
    """Parse the value of a card.

    Parameters
    ----------
    image : str
        The card's 80 characters, followed by those of its CONTINUE cards.

    Returns
    -------
    str, int, float, complex, bool or None
        The value; None where it is undefined; its text where it is no FITS value.
    """
    try:
        value = fits.Card.fromstring(image).value
    except (fits.VerifyError, ValueError):
        return image[10:CARD_BYTES].partition("/")[0].strip()
    return None if isinstance(value, fits.card.Undefined) else value


def _name(keyword: str, image: str) -> str | None:
    """Name what a card gives a value to, if it does."""
    if image[8:10] == "= ":
        return keyword if _KEYWORD.fullmatch(keyword) else None
    match = _HIERARCH.match(image)
    return match[1] if match else None
