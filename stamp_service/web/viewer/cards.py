"""What other services show where somebody puts a link to a page: title, a few words, the triptych.

Who shows it is not the reader: cards say what everybody may know, whatever token came with the request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import url_for

from stamp_service.errors import RequestError, StampServiceError
from stamp_service.images import DEFAULT_SIZE_PX, measure_triptych
from stamp_service.index import IndexedAlert
from stamp_service.packets import Summary
from stamp_service.resolver import AnyAlert
from stamp_service.surveys import Survey
from stamp_service.web.answers import Question
from stamp_service.web.forms import StyleQuery, stamp_of
from stamp_service.web.lists import measured_words
from stamp_service.web.openapi import parse
from stamp_service.web.services import services
from stamp_service.web.v1 import triptych_title
from stamp_service.web.viewer.positions import sexagesimal

# What of a page's address its triptych is drawn with. `orient` is not among them: north makes another size.
_DRAWN = ("interval", "pmin", "pmax", "stretch", "cmap", "flip")
# Below this nobody sees anything; then there is no picture.
_SMALLEST_PX = 32


@dataclass(frozen=True, slots=True)
class Picture:
    """A triptych.

    Parameters
    ----------
    url : str
        Its address, absolute.
    width, height : int
        Its size in pixels.
    """

    url: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Room:
    """The most that a picture may measure.

    Parameters
    ----------
    width, height : int or None
        In pixels; None if that does not matter.
    """

    width: int | None = None
    height: int | None = None

    def holds(self, width: int, height: int) -> bool:
        """Say whether a picture fits.

        Parameters
        ----------
        width, height : int
            Its size in pixels.

        Returns
        -------
        bool
            True if it does.
        """
        return (self.width is None or width <= self.width) and (self.height is None or height <= self.height)


@dataclass(frozen=True, slots=True)
class Card:
    """What may be shown of a page.

    Parameters
    ----------
    title : str
        Names the alert or the object.
    description : str
        What is known of it.
    url : str
        Address of the page, absolute.
    home_url : str
        That of the service.
    oembed_url : str
        Where the same is in oEmbed's form, absolute.
    picture : Picture or None
        The triptych; None if there is none, or no room for it.
    """

    title: str
    description: str
    url: str
    home_url: str
    oembed_url: str
    picture: Picture | None


def alert_card(
    question: Question, alert: AnyAlert, origin: str, view: Mapping[str, str], room: Room | None = None
) -> Card | None:
    """Make the card of an alert.

    Parameters
    ----------
    question : Question
        Which alert.
    alert : Alert or LakeAlert
        The same, found.
    origin : str
        Scheme and host of the service, as it is seen from outside.
    view : mapping of str to str
        Query of the page's address, which may say how stamps are drawn.
    room : Room, optional
        For the picture.

    Returns
    -------
    Card or None
        None if not everybody may see the stamps.
    """
    survey, access = question.survey, services().access
    if not access.is_public(survey, "stamps"):
        return None
    told = "Science, template and difference stamps."
    if access.is_public(survey, "metadata"):
        told = _told(alert.object_id, alert.summary())
    drawn = _drawn(question, view)
    page = _asking(url_for("viewer.alert", survey=survey.name, alert_id=question.alert_id), drawn)
    picture = _picture(survey, question.alert_id, alert, origin=origin, drawn=drawn, room=room or Room())
    return _card(f"{survey.name.upper()} {question.alert_id}", told, origin, page, picture)


def object_card(
    survey: Survey, object_id: str, alerts: Sequence[IndexedAlert], origin: str, room: Room | None = None
) -> Card | None:
    """Make the card of an object, which shows its latest alert.

    Parameters
    ----------
    survey : Survey
        The survey.
    object_id : str
        The object.
    alerts : sequence of IndexedAlert
        Its alerts, oldest first; at least one.
    origin : str
        Scheme and host of the service, as it is seen from outside.
    room : Room, optional
        For the picture.

    Returns
    -------
    Card or None
        None if not everybody may see stamps and metadata.
    """
    here = services()
    if not all(here.access.is_public(survey, permission) for permission in ("stamps", "metadata")):
        return None
    latest = alerts[-1]
    count = "1 alert" if len(alerts) == 1 else f"{len(alerts)} alerts, the latest"
    page = url_for("viewer.object", survey=survey.name, object_id=object_id)
    try:
        alert = here.resolver.alert(survey, latest.alert_id)
        picture = _picture(survey, latest.alert_id, alert, origin=origin, drawn={}, room=room or Room())
    except StampServiceError:
        picture = None
    return _card(f"{survey.name.upper()} {object_id}", f"{count}: {_told(None, latest)}", origin, page, picture)


def _card(title: str, description: str, origin: str, page: str, picture: Picture | None) -> Card:
    oembed_url = url_for("embedding.oembed", url=origin + page, format="json")
    home = url_for("viewer.search")
    return Card(title, description, origin + page, origin + home, origin + oembed_url, picture)


def _told(object_id: str | None, measured: Summary | IndexedAlert) -> str:
    words = measured_words(object_id, measured)
    place = sexagesimal(measured)
    return " · ".join([*words, place] if place else words)


def _drawn(question: Question, view: Mapping[str, str]) -> dict[str, str]:
    """Choose what of a page's address says how stamps are drawn; nothing if it is not understood."""
    chosen = {name: view[name] for name in _DRAWN if view.get(name)}
    try:
        parse(StyleQuery, chosen).style(question, question.survey.kinds[0])
    except RequestError:
        return {}
    return chosen


def _picture(
    survey: Survey, alert_id: str, alert: AnyAlert, *, origin: str, drawn: Mapping[str, str], room: Room
) -> Picture | None:
    """Find the largest triptych that there is room for; None where the service would not draw one."""
    here = services()
    try:
        shapes = [stamp_of(here, cutout).pixels.shape for cutout in alert.cutouts().values()]
    except StampServiceError:
        return None
    lines = len(triptych_title(survey, alert_id, alert))
    for size_px in range(DEFAULT_SIZE_PX, _SMALLEST_PX, -1) if shapes else ():
        width, height = measure_triptych(shapes, survey, size_px=size_px, lines=lines)
        if room.holds(width, height):
            size = {} if size_px == DEFAULT_SIZE_PX else {"size": str(size_px)}
            path = url_for("v1.all_stamps", survey=survey.name, alert_id=alert_id, form="png")
            return Picture(origin + _asking(path, {**drawn, **size}), width, height)
    return None


def _asking(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
