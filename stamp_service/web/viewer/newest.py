"""The newest alerts of several surveys as one list, page by page."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stamp_service.errors import ObjectNotFound, RequestError
from stamp_service.index import AlertIndex, Cone, IndexedAlert, Page
from stamp_service.index.pages import Position, position_of, read_token
from stamp_service.probabilities import ObjectClassification

# With a class, alerts are looked through: so many for a page, however few of them are of that class.
_LOOKED_THROUGH = 1000
_BEFORE_ALL = Position(math.inf, "").token()
# A token for each survey that goes on.
AFTER = r"^([a-z][a-z0-9_]{0,31}\.[A-Za-z0-9_-]{1,256}~?){1,64}$"

Classes = Mapping[tuple[str, str | None], Sequence[ObjectClassification]]
ClassLookup = Callable[[Sequence[IndexedAlert]], Classes]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts a list has.

    Parameters
    ----------
    surveys : sequence of str
        Names of the surveys.
    since_mjd, until_mjd : float or None
        From when on, and before when: modified Julian dates.
    cone : Cone or None
        Where on the sky.
    object_id : str or None
        Of which object.
    least_real_bogus : float or None
        The least that the survey's classifier says of whether they are real, 0 to 1.
    class_name : str or None
        What a classifier finds most probable of their object, in small or capital letters.
    limit : int
        Most alerts of a page.
    """

    surveys: Sequence[str]
    since_mjd: float | None = None
    until_mjd: float | None = None
    cone: Cone | None = None
    object_id: str | None = None
    least_real_bogus: float | None = None
    class_name: str | None = None
    limit: int = 50

    def has(self, alert: IndexedAlert) -> bool:
        """Say whether an alert of the object is wanted.

        Parameters
        ----------
        alert : IndexedAlert
            The alert.

        Returns
        -------
        bool
            True if its time, place and reality are.
        """
        time_mjd = position_of(alert).time_mjd
        real = -math.inf if alert.real_bogus is None else alert.real_bogus
        ra_deg, dec_deg = alert.ra_deg, alert.dec_deg
        return (
            (self.since_mjd is None or time_mjd >= self.since_mjd)
            and (self.until_mjd is None or time_mjd < self.until_mjd)
            and (self.least_real_bogus is None or real >= self.least_real_bogus)
            and (
                self.cone is None
                or (ra_deg is not None and dec_deg is not None and self.cone.contains(ra_deg, dec_deg))
            )
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list.

    Parameters
    ----------
    alerts : list of IndexedAlert
        Newest first.
    classes : mapping of tuple to sequence of ObjectClassification
        What classifiers find most probable, by the alert's survey and object.
    looked_through : int
        How many alerts were looked at for these.
    after : str or None
        Where the next page starts; None if there is none.
    """

    alerts: list[IndexedAlert]
    classes: Classes
    looked_through: int
    after: str | None


def list_newest(index: AlertIndex, wanted: Wanted, look_up: ClassLookup, after: str | None = None) -> Listing:
    """List alerts, newest first over all surveys.

    A page may have fewer alerts than its limit though there are more: the work for one is bounded.

    Parameters
    ----------
    index : AlertIndex
        Knows the alerts.
    wanted : Wanted
        Which ones.
    look_up : callable
        Says what classifiers say of alerts' objects, by survey and object.
    after : str, optional
        The former page's `after`.

    Returns
    -------
    Listing
        The page.

    Raises
    ------
    RequestError
        If `after` is from no page.
    StoreUnavailable, StoreTimeout
        If the index could not be asked, or `look_up` raised it.
    """
    starts = dict.fromkeys(wanted.surveys, _BEFORE_ALL) if after is None else _read_starts(wanted, after)
    pages = {survey: _page(index, wanted, survey, start) for survey, start in starts.items()}
    # What is older than the end of a survey's page has to wait: that survey's next one may be newer.
    horizon = max((read_token(page.after).time_mjd for page in pages.values() if page.after), default=-math.inf)
    found = (alert for page in pages.values() for alert in page.alerts)
    candidates = sorted((one for one in found if position_of(one).time_mjd >= horizon), key=position_of)[::-1]
    if wanted.class_name is None:
        candidates = candidates[: wanted.limit]
    classes = look_up(candidates)
    kept: list[IndexedAlert] = []
    passed: dict[str, list[IndexedAlert]] = {survey: [] for survey in pages}
    for alert in candidates:
        if len(kept) == wanted.limit:
            break
        passed[alert.survey].append(alert)
        if wanted.class_name is None or _is_of(
            wanted.class_name, classes.get((alert.survey, alert.object_id), ())
        ):
            kept.append(alert)
    ends = {survey: _end(pages[survey], starts[survey], passed[survey]) for survey in pages}
    following = "~".join(f"{survey}.{end}" for survey, end in ends.items() if end is not None)
    return Listing(kept, classes, sum(map(len, passed.values())), following or None)


def _is_of(class_name: str, said: Iterable[ObjectClassification]) -> bool:
    return any(one.classes[0].class_name.casefold() == class_name.casefold() for one in said)


def _end(page: Page, start: str, passed: Sequence[IndexedAlert]) -> str | None:
    if len(passed) == len(page.alerts):
        return page.after
    return position_of(passed[-1]).token() if passed else start


def _read_starts(wanted: Wanted, after: str) -> dict[str, str]:
    if re.fullmatch(AFTER, after) is None:
        raise RequestError("after is not from an earlier page", "after")
    given = dict(part.split(".", 1) for part in after.split("~") if part)
    return {survey: start for survey, start in given.items() if survey in wanted.surveys}


def _page(index: AlertIndex, wanted: Wanted, survey: str, start: str) -> Page:
    if wanted.object_id is not None:
        return _page_of_object(index, wanted, survey, wanted.object_id, start)
    return index.search(
        survey,
        since_mjd=wanted.since_mjd,
        until_mjd=wanted.until_mjd,
        cone=wanted.cone,
        limit=wanted.limit if wanted.class_name is None else _LOOKED_THROUGH,
        after=start,
        newest_first=True,
        least_real_bogus=wanted.least_real_bogus,
    )


def _page_of_object(index: AlertIndex, wanted: Wanted, survey: str, object_id: str, start: str) -> Page:
    """Take all that follow: an object has some thousand alerts at most."""
    before = read_token(start)
    try:
        alerts = index.alerts_of(survey, object_id)
    except ObjectNotFound:
        return Page([], None)
    return Page([one for one in reversed(alerts) if position_of(one) < before and wanted.has(one)], None)
