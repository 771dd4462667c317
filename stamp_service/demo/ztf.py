"""Synthetic ZTF alerts: one AVRO object container file each, as schema 4.02 says."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stamp_service.demo.alert import DemoAlert
from stamp_service.demo.events import Event, Visit
from stamp_service.demo.fits import write_fits
from stamp_service.demo.schemas import RECORDS, blank_record, nested_schema
from stamp_service.demo.sky import Camera, Exposure, View, expose
from stamp_service.images import gzip_cutout
from stamp_service.packets import write_ocf
from stamp_service.times import MJD_EPOCH_JD

CAMERA = Camera(
    shape=(63, 63),
    scale_arcsec=1.01,
    row0="top",
    zero_point=26.3,
    depth=20.6,
    sky=150.0,
    gain=6.2,
    read_noise=12.0,
    saturation=45_000.0,
    seeing_px=(1.8, 2.8),
    coadded=20,
    stars=7.0,
    bands="gri",
)

_SCHEMA = nested_schema("ztf.alert")
_HISTORY_FIELDS = [field["name"] for field in RECORDS["ztf.alert.prv_candidate"]["fields"]]
_HISTORY_D = 30.0
# The survey counts its nights from 1 January 2017.
_NIGHT_ZERO_JD = 2_457_754.5
_FIRST_NAME = "demoaaa"
# Rows that are left of a stamp at a chip's edge.
_EDGE_ROWS = 47
_PADDING = np.finfo(np.float32).min


@dataclass(frozen=True, slots=True)
class _Epoch:
    """One exposure of one object's field, and the numbers that ZTF would give it."""

    index: int
    mjd: float
    band: str

    @property
    def jd(self) -> float:
        return round(self.mjd + MJD_EPOCH_JD, 7)

    def record(self, rng: Generator) -> dict[str, Any]:
        """Fill the fields that say which exposure it was: the same for detections and limits."""
        night, fraction = divmod(self.jd - _NIGHT_ZERO_JD, 1)
        rcid, field = self.index % 64, 300 + self.index % 500
        number = f"{int(night):04}{int(fraction * 100_000):05}"
        return {
            "jd": self.jd,
            "fid": "gri".index(self.band) + 1,
            "pid": int(f"{number}{rcid:02}15"),
            "diffmaglim": CAMERA.depth + rng.normal(0, 0.1),
            "pdiffimfilename": f"demo_{number}_{field:06}_z{self.band}_c{rcid // 4 + 1:02}_o_q{rcid % 4 + 1}.fits",
            "programpi": "Synthetic",
            "programid": 1,
            "nid": int(night),
            "rcid": rcid,
            "field": field,
            "magzpsci": CAMERA.zero_point + rng.normal(0, 0.03),
            "magzpsciunc": 5e-6,
            "magzpscirms": rng.uniform(0.02, 0.04),
            "clrcoeff": rng.normal(-0.05, 0.01),
            "clrcounc": 1e-5,
            "rbversion": "demo",
        }


def object_name(event: Event, visit_number: int) -> str:
    """Count in seven letters from `demoaaa`; a moving object has a new name each time it is seen.

    Parameters
    ----------
    event : Event
        The object.
    visit_number : int
        Which of its visits, from zero.

    Returns
    -------
    str
        Its name.
    """
    count = 0
    for letter in _FIRST_NAME:
        count = 26 * count + ord(letter) - ord("a")
    count += 8 * event.index + (visit_number if event.name == "asteroid" else 0)
    letters = []
    for _ in _FIRST_NAME:
        count, digit = divmod(count, 26)
        letters.append(chr(ord("a") + digit))
    return f"ZTF25{''.join(reversed(letters))}"


def _neighbours(event: Event, visit: Visit) -> dict[str, Any]:
    """Describe the sources of the scene that are nearest to the target, as two catalogues would."""
    sources = sorted(
        (math.hypot(source.east - visit.east, source.north - visit.north), source.magnitude, score)
        for sources, score in ((event.scene.stars, 0.97), (event.scene.galaxies, 0.04))
        for source in sources
    )
    values: dict[str, Any] = {}
    for rank, (distance_arcsec, magnitude, score) in enumerate(sources[:3], start=1):
        values |= {f"distpsnr{rank}": distance_arcsec, f"sgscore{rank}": score, f"srmag{rank}": magnitude}
        values |= {f"sgmag{rank}": magnitude + 0.5, f"simag{rank}": magnitude - 0.3, f"szmag{rank}": -999.0}
        values[f"objectidps{rank}"] = 10**17 + event.index * 10 + rank
    if sources:
        distance_arcsec, magnitude, score = sources[0]
        values |= {"distnr": distance_arcsec / CAMERA.scale_arcsec, "magnr": magnitude, "sigmagnr": 0.02}
        values |= {"chinr": 0.6, "sharpnr": 0.0 if score > 0.5 else 0.4}
    return values


def _candidate(rng: Generator, event: Event, visit: Visit, seeing_px: float) -> dict[str, Any]:
    """Measure the target: all fields of a candidate that is not of the object's history."""
    epoch = _Epoch(event.index, visit.mjd, visit.band)
    common = epoch.record(rng)
    number = event.index // 64 % 1000
    snr = 5 * 10 ** (0.4 * (CAMERA.depth - visit.magnitude))
    real = event.name != "artefact"
    magnitude = visit.magnitude + rng.normal(0, 1.086 / snr)
    moving = event.name == "asteroid"
    at_edge = event.name == "flare" and visit == event.visits[0]
    measured = {
        "candid": common["pid"] * 1_000_000 + (15_000 if visit.brighter else 10_000) + number,
        "isdiffpos": "t" if visit.brighter else "f",
        "tblid": number,
        "xpos": rng.uniform(1000, 2000),
        "ypos": _EDGE_ROWS - CAMERA.shape[0] // 2 if at_edge else rng.uniform(1000, 2000),
        "ra": round(event.ra_deg + visit.east / 3600 / math.cos(math.radians(event.dec_deg)), 7),
        "dec": round(event.dec_deg + visit.north / 3600, 7),
        "magpsf": magnitude,
        "sigmapsf": 1.086 / snr,
        "chipsf": rng.uniform(0.8, 1.6) if real else 38.0,
        "magap": magnitude + rng.normal(0.03, 0.03),
        "sigmagap": 1.4 / snr,
        "sky": rng.normal(0, 0.5),
        "fwhm": seeing_px,
        "classtar": 0.98 if real else 0.2,
        "mindtoedge": 16.0 if at_edge else 1000.0,
        "seeratio": seeing_px / CAMERA.seeing_px[0],
        "elong": rng.uniform(1.0, 1.2) if real else 2.4,
        "nneg": int(rng.integers(0, 4)) if real else 14,
        "nbad": 0,
        "rb": rng.uniform(0.7, 0.95) if real else 0.08,
        "ssdistnr": 0.3 if moving else -999.0,
        "ssmagnr": visit.magnitude if moving else -999.0,
        "ssnamenr": f"demo{event.index}" if moving else "null",
        "sumrat": 1.0 if real else 0.2,
        "scorr": snr,
        "ranr": round(event.ra_deg, 7),
        "decnr": round(event.dec_deg, 7),
    }
    return blank_record("ztf.alert.candidate") | common | _neighbours(event, visit) | measured


def _limits(rng: Generator, event: Event) -> list[dict[str, Any]]:
    """Look every few nights from a month before the first alert on, and see nothing new."""
    start, end = event.visits[0].mjd - _HISTORY_D, event.visits[-1].mjd
    seen = {int(visit.mjd) for visit in event.visits}
    blank = blank_record("ztf.alert.prv_candidate")
    return [
        blank | _Epoch(event.index, mjd, CAMERA.bands[number % 2]).record(rng)
        for number, mjd in enumerate(np.arange(start, end, 3.1).tolist())
        if int(mjd) not in seen
    ]


def _forced(rng: Generator, earlier: dict[str, Any]) -> dict[str, Any]:
    """Measure at the target's place in an earlier exposure."""
    noise = CAMERA.counts(CAMERA.depth) / 5
    flux = 0.0
    if earlier["magpsf"] is not None:
        flux = CAMERA.counts(earlier["magpsf"]) * (1 if earlier["isdiffpos"] == "t" else -1)
    blank = blank_record("ztf.alert.fp_hist")
    shared = {name: value for name, value in earlier.items() if name in blank and value is not None}
    measured = {
        "rfid": earlier["field"] * 1_000_000 + earlier["rcid"] * 100 + earlier["fid"],
        "sciinpseeing": CAMERA.seeing_px[1],
        "scibckgnd": CAMERA.sky,
        "scisigpix": 5.0,
        "exptime": 30.0,
        "forcediffimflux": flux + rng.normal(0, noise),
        "forcediffimfluxunc": noise,
        "procstatus": "0",
    }
    return blank | shared | measured


def _spoil(exposure: Exposure, event: Event, visit_number: int) -> dict[str, NDArray[np.float32]]:
    """Cast to what is published; a flare's three visits meet what happens to real detectors."""
    images = {
        "science": exposure.science.astype(np.float32),
        "template": exposure.template.astype(np.float32),
        "difference": exposure.difference.astype(np.float32),
    }
    if event.name == "flare" and visit_number == 0:
        # The chip begins there.
        return {kind: image[-_EDGE_ROWS:] for kind, image in images.items()}
    if event.name == "flare" and visit_number == 1:
        for image in images.values():
            image[38:45, 6:13] = np.nan
    if event.name == "flare" and visit_number == 2:
        images["template"][:, :5] = _PADDING
    return images


def _file(image: NDArray[np.float32], name: str) -> dict[str, Any]:
    return {"fileName": name, "stampData": gzip_cutout(write_fits([(image, {"BUNIT": "DN"})]))}


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
        One per visit, oldest first, each with the history so far.
    """
    limits = _limits(rng, event)
    detections: list[dict[str, Any]] = []
    for number, visit in enumerate(event.visits):
        view = _look(rng, visit)
        change = CAMERA.counts(visit.magnitude) * (1 if visit.brighter else -1)
        exposure = expose(rng, view, event.scene, change, 0.5 if event.name == "artefact" else 0.03)
        candidate = _candidate(rng, event, visit, view.seeing_px)
        before = [*limits, *({name: d[name] for name in _HISTORY_FIELDS} for d in detections)]
        history = sorted(
            (old for old in before if 0 < candidate["jd"] - old["jd"] < _HISTORY_D), key=lambda old: old["jd"]
        )
        detections.append(candidate)
        images = _spoil(exposure, event, number)
        yield _publish(rng, event, number, candidate=candidate, history=history, images=images)


def _look(rng: Generator, visit: Visit) -> View:
    dither = rng.uniform(-0.5, 0.5, 2).tolist()
    return View(
        CAMERA, float(rng.uniform(*CAMERA.seeing_px)), 0.0, visit.east, visit.north, (dither[0], dither[1])
    )


def _publish(
    rng: Generator,
    event: Event,
    visit_number: int,
    *,
    candidate: dict[str, Any],
    history: list[dict[str, Any]],
    images: dict[str, NDArray[np.float32]],
) -> DemoAlert:
    name, candid = object_name(event, visit_number), candidate["candid"]
    moving = event.name == "asteroid"
    first = event.visits[visit_number if moving else 0]
    counted = {
        "ndethist": 1 if moving else visit_number + 1,
        "ncovhist": len(history) + 200,
        "jdstarthist": _Epoch(event.index, first.mjd, first.band).jd,
        "jdendhist": candidate["jd"],
        "nmtchps": len(event.scene.stars),
        "jdstartref": 2_458_200.5,
        "jdendref": 2_458_400.5,
        "nframesref": CAMERA.coadded,
        "nmatches": 800,
        "exptime": 30.0,
        "drb": 0.02 if event.name == "artefact" else float(rng.uniform(0.95, 1.0)),
        "drbversion": "demo",
    }
    record = {
        "schemavsn": "4.02",
        "publisher": "Stamp Service (synthetic)",
        "objectId": name,
        "candid": candid,
        "candidate": candidate | counted,
        "prv_candidates": None if moving else history or None,
        "fp_hists": None if moving else [_forced(rng, earlier) for earlier in history] or None,
        "cutoutScience": _file(images["science"], f"candid{candid}_targ_sci.fits.gz"),
        "cutoutTemplate": _file(images["template"], f"candid{candid}_ref.fits.gz"),
        "cutoutDifference": _file(images["difference"], f"candid{candid}_targ_scimref.fits.gz"),
    }
    return DemoAlert("ztf", str(candid), name, write_ocf(_SCHEMA, record))
