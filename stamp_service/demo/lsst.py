"""Synthetic LSST alerts: Confluent's wire format, cutouts with three HDUs and each visit's rotation."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator

from stamp_service.demo.alert import DemoAlert
from stamp_service.demo.events import Event, Visit
from stamp_service.demo.fits import Cards, write_fits
from stamp_service.demo.schemas import RECORDS, blank_record, nested_schema
from stamp_service.demo.sky import Camera, Image, View, expose, point_source
from stamp_service.packets import write_wire

CAMERA = Camera(
    shape=(30, 30),
    scale_arcsec=0.2,
    row0="bottom",
    zero_point=31.4,  # counts are nanojanskys
    depth=24.3,
    sky=400.0,
    gain=0.75,
    read_noise=5.0,
    saturation=2e6,
    seeing_px=(3.4, 4.6),
    coadded=15,
    stars=0.8,
    bands="ugrizy",
)

# What schema 9.0 is registered as.
SCHEMA_ID = 900
_SCHEMA = nested_schema("lsst.v9_0.alert")
_FLOATS = {
    name: [
        field["name"]
        for field in RECORDS[name]["fields"]
        if field["type"] in (["null", "float"], ["null", "double"])
    ]
    for name in ("lsst.v9_0.diaSource", "lsst.v9_0.diaObject", "lsst.v9_0.ssSource")
}
_FLAGS = [
    field["name"] for field in RECORDS["lsst.v9_0.diaSource"]["fields"] if field["type"] == ["null", "boolean"]
]


def _blank(name: str) -> dict[str, Any]:
    """Start a record: what was not measured is NaN, as the survey publishes it."""
    return blank_record(name) | dict.fromkeys(_FLOATS[name], math.nan)


def _source_id(event: Event, visit: Visit) -> int:
    """Visit number, then the object's: below 2^63 for the first eight million objects."""
    return _visit_number(visit) << 23 | event.index % (1 << 23)


def _visit_number(visit: Visit) -> int:
    return int((visit.mjd - 60_000) * 1000)


def _source(rng: Generator, event: Event, visit: Visit, view: View) -> dict[str, Any]:
    """Measure the target in one visit."""
    snr = 5 * 10 ** (0.4 * (CAMERA.depth - visit.magnitude))
    flux = CAMERA.counts(visit.magnitude) * (1 if visit.brighter else -1)
    error = abs(flux) / snr
    moving = event.name == "asteroid"
    size = (view.seeing_px / 2.355 * CAMERA.scale_arcsec) ** 2
    measured = {
        "diaSourceId": _source_id(event, visit),
        "visit": _visit_number(visit),
        "detector": event.index % 189,
        "diaObjectId": None if moving else _source_id(event, event.visits[0]),
        "ssObjectId": 10**15 + event.index if moving else 0,
        "parentDiaSourceId": 0,
        "midpointMjdTai": visit.mjd,
        "ra": event.ra_deg + visit.east / 3600 / math.cos(math.radians(event.dec_deg)),
        "raErr": 2e-6,
        "dec": event.dec_deg + visit.north / 3600,
        "decErr": 2e-6,
        "x": rng.uniform(100, 3900),
        "y": rng.uniform(100, 3900),
        "apFlux": flux * 0.97,
        "apFluxErr": 1.6 * error,
        "isNegative": not visit.brighter,
        "snr": snr,
        "psfFlux": flux + rng.normal(0, error),
        "psfFluxErr": error,
        "psfNdata": 1681,
        "scienceFlux": flux,
        "scienceFluxErr": error,
        "ixxPSF": size,
        "iyyPSF": size,
        "ixyPSF": 0.0,
        "extendedness": 0.0,
        "reliability": 0.03 if event.name == "artefact" else rng.uniform(0.8, 1.0),
        "band": visit.band,
        "timeProcessedMjdTai": visit.mjd + 0.001,
        "bboxSize": 24,
    }
    return _blank("lsst.v9_0.diaSource") | dict.fromkeys(_FLAGS, False) | measured


def _object(sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise an object's sources so far, oldest first."""
    newest = sources[-1]
    values = _blank("lsst.v9_0.diaObject")
    for name in ("ra", "raErr", "dec", "decErr", "diaObjectId"):
        values[name] = newest[name]
    for band in CAMERA.bands:
        fluxes = [source["psfFlux"] for source in sources if source["band"] == band]
        values[f"{band}_psfFluxNdata"] = len(fluxes)
        if fluxes:
            values[f"{band}_psfFluxMean"] = sum(fluxes) / len(fluxes)
            values[f"{band}_psfFluxMin"] = min(fluxes)
            values[f"{band}_psfFluxMax"] = max(fluxes)
    values["validityStartMjdTai"] = newest["timeProcessedMjdTai"]
    values["firstDiaSourceMjdTai"] = sources[0]["midpointMjdTai"]
    values["lastDiaSourceMjdTai"] = newest["midpointMjdTai"]
    values["nDiaSources"] = len(sources)
    return values


def _forced(source: dict[str, Any]) -> dict[str, Any]:
    """Repeat a source's measurement at the object's place."""
    blank = blank_record("lsst.v9_0.diaForcedSource")
    shared = {name: value for name, value in source.items() if name in blank}
    return blank | shared | {"diaForcedSourceId": source["diaSourceId"]}


def _solar_system(source: dict[str, Any], visit: Visit) -> tuple[dict[str, Any], dict[str, Any]]:
    """Name the asteroid, and say how it moves round the sun."""
    name, number = f"demo {source['ssObjectId'] % 10**15}", source["ssObjectId"]
    known = {"ssObjectId": number, "diaSourceId": source["diaSourceId"], "predictedVMagnitude": visit.magnitude}
    distances = {"phaseAngle": 12.0, "heliocentricDist": 2.6, "topocentricDist": 1.7}
    orbit = {
        "mpcDesignation": name,
        "ssObjectId": number,
        "mpcH": visit.magnitude - 4.0,
        "epoch": 61_000.0,
        "a": 2.62,
        "e": 0.11,
        "incl": 7.4,
        "q": 2.62 * (1 - 0.11),
    }
    return _blank("lsst.v9_0.ssSource") | known | distances, blank_record("lsst.v9_0.MPCORB") | orbit


def _cards(source: dict[str, Any], view: View) -> Cards:
    """Write the WCS as the survey does: PC in degrees, and no CTYPE (it is TAN)."""
    ny, nx = CAMERA.shape
    (xe, ye), (xn, yn) = view.matrix
    scale_deg = CAMERA.scale_arcsec / 3600
    return {
        "BUNIT": "nJy",
        "WCSAXES": 2,
        "CRPIX1": nx // 2 + view.dither_px[0] + 1,
        "CRPIX2": ny // 2 + view.dither_px[1] + 1,
        "PC1_1": scale_deg * xe,
        "PC1_2": scale_deg * ye,
        "PC2_1": scale_deg * xn,
        "PC2_2": scale_deg * yn,
        "CDELT1": 1.0,
        "CDELT2": 1.0,
        "CRVAL1": source["ra"],
        "CRVAL2": source["dec"],
        "LATPOLE": 90.0,
        "MJDREF": 0.0,
    }


def _cutout(image: Image, cards: Cards, seeing_px: float, visits: int = 1) -> bytes:
    """Write image, variance, and the point-spread function, whose sum is one."""
    variance = (
        CAMERA.sky * CAMERA.gain + np.maximum(image, 0) * CAMERA.gain + CAMERA.read_noise**2
    ) / CAMERA.gain**2
    side = 41 if visits == 1 else 77
    psf = point_source(View(replace(CAMERA, shape=(side, side)), seeing_px), side // 2, side // 2)
    return write_fits([
        (image.astype(np.float32), cards),
        ((variance / visits).astype(np.float32), {"UTYPE": "VarianceUncertainty", "EXTNAME": "UNCERT"}),
        (psf / psf.sum(), {"EXTNAME": "PSFIMAGE"}),
    ])  # fmt: skip


def alerts(rng: Generator, event: Event) -> Iterator[DemoAlert]:
    """Publish the alerts of one object.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of noise.
    event : Event
        The object.

    Yields
    ------
    DemoAlert
        One per visit, oldest first, each with the history so far; asteroids have an orbit in place of an object.
    """
    sources: list[dict[str, Any]] = []
    for visit in event.visits:
        dither = rng.uniform(-0.5, 0.5, 2).tolist()
        turn = rng.uniform(0, 2 * math.pi)
        view = View(CAMERA, rng.uniform(*CAMERA.seeing_px), turn, visit.east, visit.north, (dither[0], dither[1]))
        sources.append(_source(rng, event, visit, view))
        yield _publish(rng, event, visit, view, sources)


def _publish(rng: Generator, event: Event, visit: Visit, view: View, sources: list[dict[str, Any]]) -> DemoAlert:
    source, moving = sources[-1], event.name == "asteroid"
    change = CAMERA.counts(visit.magnitude) * (1 if visit.brighter else -1)
    exposure = expose(rng, view, event.scene, change, 0.5 if event.name == "artefact" else 0.03)
    cards = _cards(source, view)
    moving_in = _solar_system(source, visit) if moving else (None, None)
    record = {
        "diaSourceId": source["diaSourceId"],
        "observation_reason": "synthetic",
        "target_name": event.name,
        "diaSource": source,
        "prvDiaSources": None if moving else sources[:-1] or None,
        "prvDiaForcedSources": None if moving else [_forced(earlier) for earlier in sources[:-1]],
        "diaObject": None if moving else _object(sources),
        "ssSource": moving_in[0],
        "MPCORB": moving_in[1],
        # Published without their background.
        "cutoutScience": _cutout(exposure.science - CAMERA.sky, cards, view.seeing_px),
        "cutoutTemplate": _cutout(exposure.template - CAMERA.sky, cards, CAMERA.seeing_px[0], CAMERA.coadded),
        "cutoutDifference": _cutout(exposure.difference, cards, view.seeing_px),
    }
    object_id = None if moving else str(source["diaObjectId"])
    return DemoAlert("lsst", str(source["diaSourceId"]), object_id, write_wire(_SCHEMA, SCHEMA_ID, record))
