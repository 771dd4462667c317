"""The XMatch service of the CDS in Strasbourg, asked through astroquery.

The service takes at most 100 MB and gives at most 2 million rows per question, and says when it left some out. So
positions are sent in pieces, with nothing but a row number, and a piece that had too many matches is halved.
"""

import contextlib
import io
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from astropy import units as u
from astropy.io.votable import parse as parse_votable
from astropy.table import Table, vstack
from tqdm import tqdm

from stamp_service.errors import ConfigurationError, RequestError, StoreTimeout, StoreUnavailable
from stamp_service.remote.retries import Transient, persist
from stamp_service.xmatch.matching import DISTANCE, Pairs, Positions, Rows, in_order, join

if TYPE_CHECKING:
    from astroquery.xmatch import XMatchClass

_VIZIER, _SIMBAD = "vizier:", "simbad"
MAX_DISTANCE_ARCSEC = 180
CHUNK_ROWS = 20_000
_ATTEMPTS = 4
_WORTH_REPEATING = {429, 500, 502, 503, 504}
_LONGEST_RETRY_AFTER_S = 60.0
# Columns that are sent; no catalogue has ones of these names.
_ROW, _RA, _DEC = "stamp_row", "stamp_ra", "stamp_dec"
_WHO = "the CDS XMatch service"


def is_of_cds(catalogue: str) -> bool:
    """Tell the service's catalogues from files and addresses.

    Parameters
    ----------
    catalogue : str
        What somebody calls a catalogue.

    Returns
    -------
    bool
        True for `vizier:` and anything behind it, and for `simbad`.
    """
    return catalogue.startswith(_VIZIER) or catalogue == _SIMBAD


class CdsService:
    """The service at an address.

    Parameters
    ----------
    url : str
        Where questions are sent.
    timeout_s : float
        Longest wait for bytes.
    chunk_rows : int
        How many positions to send at a time.

    Raises
    ------
    ConfigurationError
        If astroquery is not installed.
    """

    def __init__(self, url: str, timeout_s: float, chunk_rows: int = CHUNK_ROWS) -> None:
        self._service = _make_service(url, timeout_s)
        self._chunk_rows = chunk_rows

    def match(self, first: Table, positions: Positions, catalogue: str, max_distance_arcsec: float) -> Table:
        """Match a table with one of the service's catalogues.

        Parameters
        ----------
        first : astropy.table.Table
            The table.
        positions : Positions
            Its positions.
        catalogue : str
            `vizier:` and a table's name, or `simbad`.
        max_distance_arcsec : float
            The largest distance, at most 180.

        Returns
        -------
        astropy.table.Table
            As `join` gives it. Without positions nothing is asked, and only the columns of `first` are known.

        Raises
        ------
        RequestError
            If the service does not take the question.
        StoreUnavailable
            If it cannot be asked.
        """
        if max_distance_arcsec > MAX_DISTANCE_ARCSEC:
            raise RequestError(
                f"{_WHO} matches within {MAX_DISTANCE_ARCSEC} arcsec at most", "max_distance_arcsec"
            )
        rows = positions.rows
        answers: list[Table] = []
        with tqdm(total=rows.size, desc=catalogue, unit="position", disable=None, leave=False) as bar:
            for start in range(0, rows.size, self._chunk_rows):
                places = np.arange(start, min(start + self._chunk_rows, rows.size))
                answers += self._ask(positions, places, catalogue, max_distance_arcsec)
                bar.update(places.size)
        return _joined(first, answers)

    def _ask(self, positions: Positions, places: Rows, catalogue: str, max_distance_arcsec: float) -> list[Table]:
        sent = Table(
            {
                _ROW: positions.rows[places],
                _RA: positions.sky.ra.deg[places],
                _DEC: positions.sky.dec.deg[places],
            }
        )
        answer, is_whole = persist(lambda _: self._ask_once(sent, catalogue, max_distance_arcsec), _ATTEMPTS)
        if is_whole:
            return [answer]
        if places.size == 1:
            raise RequestError("one position has more matches than the service gives: choose a smaller distance")
        halves = np.array_split(places, 2)
        return [part for half in halves for part in self._ask(positions, half, catalogue, max_distance_arcsec)]

    def _ask_once(self, sent: Table, catalogue: str, max_distance_arcsec: float) -> tuple[Table, bool]:
        """Send one question; gives the answer, and whether it is all of it."""
        from astroquery.exceptions import InvalidQueryError  # noqa: PLC0415 - an extra

        try:
            response = self._service.query_async(
                sent, catalogue, max_distance_arcsec * u.arcsec, colRA1=_RA, colDec1=_DEC, cache=False
            )
        except requests.Timeout as error:
            raise Transient(StoreTimeout(f"{_WHO} did not answer in time")) from error
        except requests.HTTPError as error:
            raise StoreUnavailable(f"{_WHO} does not let this machine ask") from error
        except requests.ConnectionError as error:
            raise Transient(StoreUnavailable(f"the connection to {_WHO} failed")) from error
        except requests.RequestException as error:
            raise StoreUnavailable(f"{_WHO} could not be asked") from error
        except (InvalidQueryError, AttributeError) as error:  # AttributeError: an error page without a reason
            raise RequestError(f"{_WHO} refused the question: it may have no catalogue {catalogue}") from error
        answer, is_whole = _read_answer(response.content)
        if not np.isin(answer[_ROW], sent[_ROW]).all():
            raise StoreUnavailable(f"{_WHO} answered with rows that were not sent")
        return answer, is_whole


def _make_service(url: str, timeout_s: float) -> "XMatchClass":
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints which of its own extras are missing
            from astroquery.xmatch import XMatchClass  # noqa: PLC0415 - an extra, which takes a second to import
    except ImportError:
        raise ConfigurationError(
            "the CDS XMatch service needs astroquery: install stamp-service[xmatch]"
        ) from None

    class Service(XMatchClass):  # type: ignore[misc]  # astroquery publishes no types
        """Asks the service itself whether it has a table, and leaves nothing in the user's cache."""

        URL = url
        TIMEOUT = timeout_s

        def is_table_available(self, table_id: object) -> bool:
            return isinstance(table_id, str)

        def _request(self, *args: Any, data: dict[str, Any], **kwargs: Any) -> requests.Response:  # noqa: ANN401 - passed on as they are
            # Of what `is_table_available`, astroquery thinks that it is VizieR's.
            asked = data | {"cat2": _SIMBAD} if data["cat2"] == _VIZIER + _SIMBAD else data
            response: requests.Response = super()._request(*args, data=asked, **{**kwargs, "cache": False})
            # What is wrong with a question comes with a reason; anything else may pass.
            if response.status_code in _WORTH_REPEATING and b"QUERY_STATUS" not in response.content:
                named = response.headers.get("Retry-After", "")
                pause_s = min(float(named), _LONGEST_RETRY_AFTER_S) if named.isdecimal() else 0.0
                error = StoreUnavailable(f"{_WHO} failed with status {response.status_code}")
                raise Transient(error, pause_s)
            return response

    return Service()


def _read_answer(content: bytes) -> tuple[Table, bool]:
    try:
        votable = parse_votable(BytesIO(content), verify="ignore")
        table = votable.get_first_table()
        result = table.to_table(use_names_over_ids=True)
        for name, kind in ((_ROW, np.int64), (DISTANCE, np.float64)):
            if name in result.colnames:
                result[name] = np.asarray(result[name], dtype=kind)
    except Exception as error:
        # Whatever its parser meets; a proxy's page arrives with status 200 as well.
        raise Transient(StoreUnavailable(f"{_WHO} answered with something that is no VOTable")) from error
    if not {DISTANCE, _ROW} <= set(result.colnames):
        raise StoreUnavailable(f"{_WHO} answered without the columns that were sent")
    infos = [*votable.infos, *(info for resource in votable.resources for info in resource.infos), *table.infos]
    overflow = any(info.name == "QUERY_STATUS" and info.value == "OVERFLOW" for info in infos)
    return result, not overflow


def _joined(first: Table, answers: list[Table]) -> Table:
    if not answers:
        return join(first, Table(), Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)))
    found = vstack(answers, metadata_conflicts="silent")
    pairs = Pairs(np.asarray(found[_ROW]), np.arange(len(found)), np.asarray(found[DISTANCE]))
    found.remove_columns([name for name in (DISTANCE, _ROW, _RA, _DEC) if name in found.colnames])
    return join(first, found, in_order(pairs))
