"""What surveys are looked up in: stores of packets, and lakes."""

from collections.abc import Mapping, Sequence
from itertools import chain

from stamp_service.errors import StoreUnavailable
from stamp_service.lake.lake import Lake
from stamp_service.lake.lakes import Lakes
from stamp_service.settings import Settings
from stamp_service.stores import Store, open_named_stores
from stamp_service.surveys import Survey, Surveys

# `Lakes` stand for those of them that are the survey's when it is asked for something.
Source = Store | Lakes
Member = Store | Lake


def open_sources(settings: Settings, surveys: Surveys, lakes: Lakes) -> Mapping[str, tuple[Source, ...]]:
    """Open everything that some survey is resolved from.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.
    lakes : Lakes
        The lakes that are registered.

    Returns
    -------
    mapping of str to tuple
        What each survey is looked up in, in the order of its `stores`.

    Raises
    ------
    ConfigurationError
        If a survey has nothing to be looked up in.
    """
    named = open_named_stores(settings, surveys)

    def order(survey: Survey) -> tuple[Source, ...]:
        found = ((lakes,) if word == "lake" else named[survey.name][word] for word in survey.stores)
        return tuple(chain.from_iterable(found))

    return {survey.name: order(survey) for survey in surveys.values()}


def members(source: Source, survey: Survey) -> Sequence[Member]:
    """List what is really asked.

    Parameters
    ----------
    source : Store or Lakes
        A source of a survey.
    survey : Survey
        The survey.

    Returns
    -------
    sequence of Store or Lake
        The store, or the lakes that are registered for the survey now.

    Raises
    ------
    StoreUnavailable
        If the catalogue of lakes cannot be read.
    """
    return source.of(survey.name) if isinstance(source, Lakes) else (source,)


def label(member: Member) -> str:
    """Name a store or a lake in metrics and messages.

    Parameters
    ----------
    member : Store or Lake
        Which.

    Returns
    -------
    str
        The store's name; a lake's has `lake:` in front.
    """
    return f"lake:{member.name}" if isinstance(member, Lake) else member.name


def name_of(source: Source) -> str:
    """Name a source.

    Parameters
    ----------
    source : Store or Lakes
        A source.

    Returns
    -------
    str
        The store's name; `lake` for all lakes.
    """
    return "lake" if isinstance(source, Lakes) else source.name


def problems_of(source: Source) -> dict[str, str | None]:
    """Find out whether a store, or each lake, can be asked now.

    Parameters
    ----------
    source : Store or Lakes
        A source.

    Returns
    -------
    dict of str to str or None
        What keeps each one from answering; None for those that answer.
    """
    try:
        if isinstance(source, Lakes):
            return {f"lake:{lake}": problem for lake, problem in source.check().items()}
        source.check()
    except StoreUnavailable as error:
        return {name_of(source): str(error)}
    return {name_of(source): None}
