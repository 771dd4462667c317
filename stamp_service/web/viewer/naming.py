"""What a name that somebody typed is the name of, here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stamp_service.errors import NotFound, RequestError, StampServiceError, StoreUnavailable
from stamp_service.web.services import Services
from stamp_service.web.viewer.understanding import NamedThing


@dataclass(frozen=True, slots=True)
class Found:
    """What exists of several possible things.

    Parameters
    ----------
    things : list of NamedThing
        What exists.
    troubles : list of str
        What could not be asked, in one sentence each.
    """

    things: list[NamedThing] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def find_named(here: Services, possible: Sequence[NamedThing]) -> Found:
    """Find out which of several things exist; stores are asked only for what the index does not know.

    Parameters
    ----------
    here : Services
        The application's.
    possible : sequence of NamedThing
        What a reader may have.

    Returns
    -------
    Found
        What exists, and what could not be asked.
    """
    found = Found()
    _ask(found, possible, lambda thing: _is_indexed(here, thing))
    if not found.things:
        alerts = [thing for thing in possible if thing.what == "alert"]
        _ask(found, alerts, lambda thing: bool(here.resolver.alert(thing.survey, thing.name)))
    return Found(found.things, list(dict.fromkeys(found.troubles)))


def _ask(found: Found, possible: Sequence[NamedThing], exists: Callable[[NamedThing], bool]) -> None:
    for thing in possible:
        try:
            if exists(thing):
                found.things.append(thing)
        except (NotFound, RequestError):  # some keys cannot be made of an alert id alone
            continue
        except StoreUnavailable as error:
            found.troubles.append(str(error))
        except StampServiceError:
            # Something of this name is there, if broken: its page says how.
            found.things.append(thing)


def _is_indexed(here: Services, thing: NamedThing) -> bool:
    if thing.what == "alert":
        return bool(here.index.known(thing.survey.name, [thing.name]))
    return bool(here.index.alerts_of(thing.survey.name, thing.name))
