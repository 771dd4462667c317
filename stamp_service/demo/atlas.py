"""Synthetic ATLAS alerts: object container files with text ids, some cutouts plain, some without a template."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stamp_service.demo.alert import DemoAlert
from stamp_service.demo.events import Event, Visit
from stamp_service.demo.fits import Cards, write_fits
from stamp_service.demo.schemas import blank_record, nested_schema
from stamp_service.demo.sky import Camera, Image, View, expose
from stamp_service.images import gzip_cutout
from stamp_service.packets import write_ocf

CAMERA = Camera(
    shape=(61, 61),
    scale_arcsec=1.86,
    row0="bottom",
    zero_point=25.87,
    depth=19.2,
    sky=1500.0,
    gain=2.0,
    read_noise=11.0,
    saturation=46_000.0,
    seeing_px=(1.9, 2.6),
    coadded=10,
    stars=14.0,
    bands="co",
)

# Published with and without a field for the template.
_SCHEMA = nested_schema("atlas.alert")
_SCHEMA_WITHOUT_TEMPLATE = nested_schema("atlas.alert", without=["cutoutTemplate"])
_MASK_VALUE = -31415.0
_MASK_REACH_PX = 3
_TELESCOPES = ("01a", "02a", "03a", "04a")


def _sexagesimal(event: Event) -> str:
    """Write a position the way ATLAS's object ids do: 1, hours to hundredths, sign, degrees to thousandths."""
    hundredths = round(event.ra_deg * 3600 / 15 * 100)
    hours, rest = divmod(hundredths, 360_000)
    minutes, seconds = divmod(rest, 6000)
    thousandths = round(abs(event.dec_deg) * 3_600_000)
    degrees, rest = divmod(thousandths, 3_600_000)
    arcminutes, arcseconds = divmod(rest, 60_000)
    sign = "1" if event.dec_deg >= 0 else "0"
    return f"1{hours:02}{minutes:02}{seconds:04}{sign}{degrees:02}{arcminutes:02}{arcseconds:05}"


def _exposure_name(event: Event, visit: Visit) -> str:
    telescope = _TELESCOPES[event.index % len(_TELESCOPES)]
    night, fraction = divmod(visit.mjd, 1)
    return f"{telescope}{int(night)}o{int(fraction * 10_000):04}{visit.band}"


def _candidate(rng: Generator, event: Event, visit: Visit, view: View) -> dict[str, Any]:
    exposure = _exposure_name(event, visit)
    snr = 5 * 10 ** (0.4 * (CAMERA.depth - visit.magnitude))
    sign = 1 if visit.brighter else -1
    # Microjanskys; a magnitude below zero stands for a flux below zero.
    flux = sign * 10 ** (0.4 * (23.9 - visit.magnitude))
    measured = {
        "mjd": round(visit.mjd, 6),
        "filter": visit.band,
        "pid": int(f"{exposure[1]}{exposure[3:8]}{exposure[9:13]}"),
        "candid": f"{exposure}_{event.index % 1_000_000:06}",
        "isdiffpos": "t" if visit.brighter else "f",
        "X": rng.uniform(100, 10_400),
        "Y": rng.uniform(100, 10_400),
        "RA": round(event.ra_deg + visit.east / 3600 / math.cos(math.radians(event.dec_deg)), 5),
        "Dec": round(event.dec_deg + visit.north / 3600, 5),
        "Mag": sign * visit.magnitude,
        "Dmag": 1.086 / snr,
        "flux": flux,
        "Dflux": flux / snr,
        "Major": view.seeing_px * 1.05,
        "Minor": view.seeing_px * 0.95,
        "Phi": rng.uniform(0, 180),
        "Det": 0 if visit.brighter else 5,
        "ChiN": rng.uniform(0.8, 1.5) if event.name != "artefact" else 21.0,
        "Dflx": 4.0,
    }
    return blank_record("atlas.candidate") | measured


def _masked(science: Image, difference: Image) -> Image:
    """Mask the difference around full pixels, as the subtraction does."""
    full = science >= 0.9 * CAMERA.saturation
    if not full.any():
        return difference
    ny, nx = full.shape
    rows, columns = np.ogrid[:ny, :nx]
    grown = np.zeros_like(full)
    for row, column in np.argwhere(full):
        grown |= (rows - row) ** 2 + (columns - column) ** 2 <= _MASK_REACH_PX**2
    return np.where(grown, _MASK_VALUE, difference)


def _cards(event: Event, visit: Visit, view: View) -> dict[str, bool | int | float | str]:
    return {
        "EXPTIME": 30.0,
        "MJD-OBS": round(visit.mjd, 8),
        "OBSNAME": _exposure_name(event, visit),
        "FILTER": visit.band,
        "RA": round(event.ra_deg, 5),
        "DEC": round(event.dec_deg, 5),
        "PA": round(math.degrees(view.rotation), 3),
        "SKYADU": CAMERA.sky,
        "SATURATE": CAMERA.saturation,
        "MAGZPT": CAMERA.zero_point,
        "FWHM": round(view.seeing_px, 3),
    }


def _cutout(image: NDArray[np.float64], cards: Cards, name: str, *, gzipped: bool) -> dict[str, Any]:
    file = write_fits([(np.rint(image).astype(np.float32), cards)])
    return {
        "fileName": f"{name}.fits{'.gz' if gzipped else ''}",
        "stampData": gzip_cutout(file) if gzipped else file,
    }


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
        One per visit, oldest first: variables without a template, flares in plain FITS and without a field for it.
    """
    for visit in event.visits:
        dither = rng.uniform(-0.5, 0.5, 2).tolist()
        turn = math.radians(rng.uniform(0.04, 0.3))
        view = View(CAMERA, rng.uniform(*CAMERA.seeing_px), turn, visit.east, visit.north, (dither[0], dither[1]))
        change = CAMERA.counts(visit.magnitude) * (1 if visit.brighter else -1)
        exposure = expose(rng, view, event.scene, change, 0.5 if event.name == "artefact" else 0.05)
        yield _publish(rng, event, visit, view, {
            "istamp": exposure.science,
            "tstamp": exposure.template,
            "dstamp": _masked(exposure.science, exposure.difference),
        })  # fmt: skip


def _publish(
    rng: Generator, event: Event, visit: Visit, view: View, images: dict[str, NDArray[np.float64]]
) -> DemoAlert:
    candidate = _candidate(rng, event, visit, view)
    name = candidate["candid"]
    cards = _cards(event, visit, view)
    gzipped = event.name != "flare"
    science = _cutout(images["istamp"], cards, f"{name}_istamp", gzipped=gzipped)
    template = _cutout(images["tstamp"], cards, f"{name}_tstamp", gzipped=gzipped)
    masked = {**cards, "MASKVAL": _MASK_VALUE}
    difference = _cutout(images["dstamp"], masked, f"{name}_dstamp", gzipped=gzipped)
    record = {
        "schemavsn": "0.1",
        "publisher": "Stamp Service (synthetic)",
        "objectId": _sexagesimal(event),
        "candid": name,
        "candidate": candidate,
        "cutoutScience": science,
        "cutoutTemplate": None if event.name == "variable" else template,
        "cutoutDifference": difference,
    }
    schema = _SCHEMA_WITHOUT_TEMPLATE if event.name == "flare" else _SCHEMA
    return DemoAlert("atlas", name, record["objectId"], write_ocf(schema, record))
