"""Everything that the packed packets of one survey consist of."""

from dataclasses import dataclass
from pathlib import Path

from stamp_service.stores.packed.headers import Headers
from stamp_service.stores.packed.nights import NightIndex
from stamp_service.stores.packed.places import Packs
from stamp_service.stores.packed.published import PublishedIndex
from stamp_service.stores.packed.publishing import Publisher
from stamp_service.stores.packed.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Everything that the packed packets of a survey consist of.

    Parameters
    ----------
    survey_name : str
        The survey's name, for messages.
    folder : pathlib.Path
        The folder of the spool.
    spool : Spool
        Packs that are being filled.
    packs : Packs
        Where full packs lie.
    headers : Headers
        Their headers.
    index : NightIndex
        The local index.
    published : PublishedIndex or None
        On S3: the index beside the packs, where other machines may have packed too.
    publisher : Publisher or None
        On S3: what keeps that index in step with the local one.
    """

    survey_name: str
    folder: Path
    spool: Spool
    packs: Packs
    headers: Headers
    index: NightIndex
    published: PublishedIndex | None = None
    publisher: Publisher | None = None
