"""What happens on the synthetic sky: five kinds of objects, and when they are seen."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from stamp_service.demo.sky import Camera, Galaxy, Scene, Star

EventName = Literal["supernova", "variable", "asteroid", "flare", "artefact"]

# The first night, 21 November 2025.
FIRST_NIGHT_MJD = 61000


@dataclass(frozen=True, slots=True)
class Visit:
    """One time that an object gave an alert.

    Parameters
    ----------
    mjd : float
        Time (MJD).
    band : str
        The camera's letter.
    magnitude : float
        Of the change, in the difference image.
    brighter : bool
        Whether light came (or went).
    east, north : float
        How far the target is from the scene's middle, arcseconds.
    """

    mjd: float
    band: str
    magnitude: float
    brighter: bool = True
    east: float = 0.0
    north: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """An object: where it is, what surrounds it, and when it is seen.

    Parameters
    ----------
    index : int
        Which object of its survey, from zero: its ids follow from it.
    name : str
        What kind of thing it is.
    ra_deg, dec_deg : float
        Position (ICRS).
    scene : Scene
        What is in the template.
    visits : tuple of Visit
        Oldest first.
    """

    index: int
    name: EventName
    ra_deg: float
    dec_deg: float
    scene: Scene
    visits: tuple[Visit, ...]


def _field_stars(rng: Generator, camera: Camera, around_arcsec: float) -> tuple[Star, ...]:
    """Scatter stars over three stamps' width, faint ones far more often, none on top of the target."""
    stars = []
    for _ in range(rng.poisson(9 * camera.stars)):
        east, north = rng.uniform(-1.5, 1.5, 2) * camera.width_arcsec
        magnitude = camera.depth + 1.0 - min(rng.exponential(1.7), 6.5)
        if math.hypot(east, north) > around_arcsec:
            stars.append(Star(float(east), float(north), magnitude))
    return tuple(stars)


def _field_galaxies(rng: Generator, camera: Camera) -> tuple[Galaxy, ...]:
    width = camera.width_arcsec
    galaxies = []
    for _ in range(rng.poisson(1.5)):
        east, north = rng.choice([-1, 1], 2) * rng.uniform(0.2, 0.6, 2) * width
        galaxies.append(
            Galaxy(
                float(east),
                float(north),
                magnitude=camera.depth - rng.uniform(0.0, 1.5),
                radius_arcsec=width * rng.uniform(0.015, 0.03),
                flattening=rng.uniform(0.3, 0.9),
                angle=rng.uniform(0, math.pi),
            )
        )
    return tuple(galaxies)


def _surroundings(rng: Generator, camera: Camera, *galaxies: Galaxy, stars: tuple[Star, ...] = ()) -> Scene:
    clear_arcsec = 0.12 * camera.width_arcsec
    return Scene((*stars, *_field_stars(rng, camera, clear_arcsec)), (*galaxies, *_field_galaxies(rng, camera)))


def _bands(rng: Generator, camera: Camera, count: int) -> list[str]:
    first = int(rng.integers(len(camera.bands)))
    return [camera.bands[(first + number) % len(camera.bands)] for number in range(count)]


def _supernova(rng: Generator, camera: Camera, mjd: float) -> tuple[Scene, tuple[Visit, ...]]:
    """Make a thermonuclear supernova in a spiral's arm: two weeks up, two months down."""
    width = camera.width_arcsec
    place = rng.uniform(0, 2 * math.pi)
    distance = width * rng.uniform(0.08, 0.15)
    host = Galaxy(
        distance * math.cos(place),
        distance * math.sin(place),
        magnitude=camera.depth - 4.2,
        radius_arcsec=width * 0.14,
        flattening=rng.uniform(0.55, 0.95),
        angle=rng.uniform(0, math.pi),
        arms=0.55,
    )
    bulge = Galaxy(host.east, host.north, camera.depth - 2.4, width * 0.02, index=2.0, flattening=0.9)
    phases = np.array([-11.0, -6.0, 1.0, 9.0, 21.0, 38.0]) + rng.uniform(-1, 1)
    peak = camera.depth - rng.uniform(2.4, 3.2)
    # Parabolic rise (Riess et al. 1999, AJ 118, 2675), then 0.07 magnitudes a day.
    fading = [-5 * math.log10(max(1 + p / 17, 0.1)) if p < 0 else 0.07 * p for p in phases]
    bands = _bands(rng, camera, len(phases))
    visits = tuple(
        Visit(mjd + 11 + float(phase), band, peak + fade)
        for phase, fade, band in zip(phases, fading, bands, strict=True)
    )
    return _surroundings(rng, camera, host, bulge), visits


def _variable(rng: Generator, camera: Camera, mjd: float) -> tuple[Scene, tuple[Visit, ...]]:
    """Make a pulsating star, sometimes brighter and sometimes fainter than in the template."""
    magnitude = camera.depth - rng.uniform(3.0, 4.0)
    phase, period_d = rng.uniform(0, 1), rng.uniform(0.4, 0.8)
    visits = []
    for number, band in enumerate(_bands(rng, camera, 4)):
        when = mjd + 4 * number + rng.uniform(0, 0.2)
        # At least a tenth, so that it is always seen to change.
        swing = math.sin(2 * math.pi * (phase + when / period_d))
        swing = math.copysign(0.12 + 0.4 * abs(swing), swing)
        visits.append(Visit(when, band, magnitude - 2.5 * math.log10(abs(swing)), swing > 0))
    return _surroundings(rng, camera, stars=(Star(0.0, 0.0, magnitude),)), tuple(visits)


def _asteroid(rng: Generator, camera: Camera, mjd: float) -> tuple[Scene, tuple[Visit, ...]]:
    """Make a main-belt asteroid: it stays in the middle, and the stars move behind it."""
    direction = rng.uniform(0, 2 * math.pi)
    magnitude = camera.depth - rng.uniform(1.8, 2.6)
    band = _bands(rng, camera, 1)[0]
    visits = []
    for number in range(3):
        moved = camera.width_arcsec * 0.3 * number
        visits.append(
            Visit(
                mjd + 0.02 * number,
                band,
                magnitude + rng.normal(0, 0.04),
                east=moved * math.cos(direction),
                north=moved * math.sin(direction),
            )
        )
    return _surroundings(rng, camera), tuple(visits)


def _flare(rng: Generator, camera: Camera, mjd: float) -> tuple[Scene, tuple[Visit, ...]]:
    """Make a flare in the nucleus of an elliptical galaxy."""
    host = Galaxy(
        0.0,
        0.0,
        magnitude=camera.depth - 3.4,
        radius_arcsec=camera.width_arcsec * 0.05,
        index=3.0,
        flattening=rng.uniform(0.55, 0.85),
        angle=rng.uniform(0, math.pi),
    )
    bands = _bands(rng, camera, 3)
    visits = tuple(
        Visit(mjd + 9 * number, band, camera.depth - 2.2 + 0.35 * number) for number, band in enumerate(bands)
    )
    return _surroundings(rng, camera, host), visits


def _artefact(rng: Generator, camera: Camera, mjd: float) -> tuple[Scene, tuple[Visit, ...]]:
    """Make a bright star that fills its pixels, and that was badly subtracted."""
    star = Star(0.0, 0.0, camera.depth - rng.uniform(8.0, 8.3))
    band = _bands(rng, camera, 1)[0]
    return _surroundings(rng, camera, stars=(star,)), (Visit(mjd, band, camera.depth - 1.0, brighter=False),)


_KINDS: dict[EventName, Callable[[Generator, Camera, float], tuple[Scene, tuple[Visit, ...]]]] = {
    "supernova": _supernova,
    "variable": _variable,
    "asteroid": _asteroid,
    "flare": _flare,
    "artefact": _artefact,
}


def make_event(rng: Generator, camera: Camera, index: int) -> Event:
    """Make one object.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of everything that differs.
    camera : Camera
        Whose alerts it gives: brightness and distances are made to suit.
    index : int
        Which object; each kind in turn.

    Returns
    -------
    Event
        The object.
    """
    name = list(_KINDS)[index % len(_KINDS)]
    # A night holds 64,000 objects; see the ids that the surveys' modules make.
    mjd = FIRST_NIGHT_MJD + index // 64_000 + rng.uniform(0.1, 0.4)
    ra_deg = float(rng.uniform(0, 360))
    dec_deg = math.degrees(math.asin(rng.uniform(-0.4, 0.6)))
    scene, visits = _KINDS[name](rng, camera, mjd)
    return Event(index, name, ra_deg, dec_deg, scene, visits)
