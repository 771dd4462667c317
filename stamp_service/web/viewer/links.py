"""The same place at other services."""

from collections.abc import Mapping
from urllib.parse import quote

from stamp_service.index import IndexedAlert
from stamp_service.packets import Summary
from stamp_service.surveys import Survey

# Brokers are asked for what is near; a survey that they show says where its objects are.
_OF_A_POSITION: Mapping[str, str] = {
    "ALeRCE": "https://alerce.online/?ra={ra}&dec={dec}&radius=5&page=1",
    "Fink": "https://ztf.fink-portal.org/?action=conesearch&ra={ra}&dec={dec}&radius=5",
    "SIMBAD": "https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={ra}d{dec:+}d&CooFrame=ICRS&Radius=5&Radius.unit=arcsec",
    "TNS": "https://www.wis-tns.org/search?ra={ra}&decl={dec}&radius=5&coords_unit=arcsec",
    "Legacy Survey viewer": "https://www.legacysurvey.org/viewer?ra={ra}&dec={dec}&layer=ls-dr10&zoom=16&mark={ra},{dec}",
    "Aladin Lite": "https://aladin.cds.unistra.fr/AladinLite/?target={ra}%20{dec:+}&fov=0.05",
}


def links_elsewhere(survey: Survey, object_id: str | None, summary: Summary | IndexedAlert) -> dict[str, str]:
    """Link to an alert's object and its place in the sky.

    Parameters
    ----------
    survey : Survey
        Knows where its objects are shown.
    object_id : str or None
        The object, if there is one.
    summary : Summary or IndexedAlert
        Has the position.

    Returns
    -------
    dict of str to str
        Addresses by what is there.
    """
    near, own = {}, {}
    if summary.ra_deg is not None and summary.dec_deg is not None:
        place = {"ra": round(summary.ra_deg, 7), "dec": round(summary.dec_deg, 7)}
        near = {name: url.format_map(place) for name, url in _OF_A_POSITION.items()}
    if object_id is not None:
        own = {name: url.replace("{object_id}", quote(object_id, safe="")) for name, url in survey.links.items()}
    return own | near | own
