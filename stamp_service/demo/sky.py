"""A small piece of synthetic sky, and what a camera makes of it.

Scenes are laid out on the sky, in arcseconds east and north of their middle, so that one scene can be seen through
several cameras, rotated, shifted and in any weather.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.float64]

# Slope of a Moffat profile's wings; 2.5 to 4.5 in real images.
_MOFFAT_BETA = 3.2
# How far light from a source is drawn, in units of its size, so that far sources cost nothing.
_REACH = 12.0


@dataclass(frozen=True, slots=True)
class Camera:
    """A survey's camera, as far as its stamps show it.

    Parameters
    ----------
    shape : tuple of int
        `(ny, nx)` of a stamp, pixels.
    scale_arcsec : float
        Size of a pixel.
    row0 : str
        Whether row 0 is the northern (`top`) or the southern (`bottom`) edge, before rotation.
    zero_point : float
        Magnitude of a source of one count.
    depth : float
        Magnitude of a source that one visit just detects.
    sky : float
        Background of one visit, counts.
    gain : float
        Electrons per count.
    read_noise : float
        Electrons per pixel.
    saturation : float
        Counts beyond which a pixel is full.
    seeing_px : tuple of float
        Least and largest FWHM of a visit's point sources, pixels.
    coadded : int
        How many visits a template is made of.
    stars : float
        Mean number of stars in a stamp.
    bands : str
        One letter per band, in the order they are used.
    """

    shape: tuple[int, int]
    scale_arcsec: float
    row0: Literal["top", "bottom"]
    zero_point: float
    depth: float
    sky: float
    gain: float
    read_noise: float
    saturation: float
    seeing_px: tuple[float, float]
    coadded: int
    stars: float
    bands: str

    @property
    def width_arcsec(self) -> float:
        """Width of a stamp on the sky."""
        return self.shape[1] * self.scale_arcsec

    def counts(self, magnitude: float) -> float:
        """Convert a magnitude.

        Parameters
        ----------
        magnitude : float
            Magnitude of a source.

        Returns
        -------
        float
            Counts in the whole image of the source.
        """
        return float(10 ** (0.4 * (self.zero_point - magnitude)))


@dataclass(frozen=True, slots=True)
class Star:
    """A point source.

    Parameters
    ----------
    east, north : float
        Place, arcseconds from the scene's middle.
    magnitude : float
        Magnitude.
    """

    east: float
    north: float
    magnitude: float


@dataclass(frozen=True, slots=True)
class Galaxy:
    """A galaxy with a Sersic profile, and spiral arms if it has any.

    Parameters
    ----------
    east, north : float
        Place, arcseconds from the scene's middle.
    magnitude : float
        Total magnitude.
    radius_arcsec : float
        Half-light radius.
    index : float
        Sersic index: 1 for a disc, 4 for an elliptical.
    flattening : float
        Minor over major axis.
    angle : float
        Of the major axis, radians from east to north.
    arms : float
        Contrast of two spiral arms, 0 to 1.
    """

    east: float
    north: float
    magnitude: float
    radius_arcsec: float
    index: float = 1.0
    flattening: float = 0.7
    angle: float = 0.0
    arms: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What stands still on a piece of sky.

    Parameters
    ----------
    stars : tuple of Star
        Its point sources.
    galaxies : tuple of Galaxy
        What else there is.
    """

    stars: tuple[Star, ...] = ()
    galaxies: tuple[Galaxy, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """One look at a scene: where the camera points, how it is turned, and how sharp it sees.

    Parameters
    ----------
    camera : Camera
        The camera.
    seeing_px : float
        FWHM of point sources, pixels.
    rotation : float
        Of the camera against north, radians.
    east, north : float
        What of the scene is in the middle of the stamp, arcseconds.
    dither_px : tuple of float
        How far `(x, y)` the middle of the scene is from the middle of the central pixel.
    """

    camera: Camera
    seeing_px: float
    rotation: float = 0.0
    east: float = 0.0
    north: float = 0.0
    dither_px: tuple[float, float] = field(default=(0.0, 0.0))

    @property
    def matrix(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """From `(x, y)` to `(east, north)`: orthogonal, so the transpose leads back."""
        turn_cos, turn_sin = math.cos(self.rotation), math.sin(self.rotation)
        up = -1.0 if self.camera.row0 == "top" else 1.0
        return ((-turn_cos, -turn_sin * up), (-turn_sin, turn_cos * up))

    def pixel(self, east: float, north: float) -> tuple[float, float]:
        """Find where a place of the scene is in the stamp.

        Parameters
        ----------
        east, north : float
            Arcseconds from the scene's middle.

        Returns
        -------
        tuple of float
            `(x, y)`: column and row, zero in the middle of the first pixel.
        """
        right = (east - self.east) / self.camera.scale_arcsec
        up = (north - self.north) / self.camera.scale_arcsec
        (xe, ye), (xn, yn) = self.matrix
        ny, nx = self.camera.shape
        return (
            nx // 2 + self.dither_px[0] + xe * right + xn * up,
            ny // 2 + self.dither_px[1] + ye * right + yn * up,
        )


@dataclass(frozen=True, slots=True)
class Exposure:
    """The three images of one alert.

    Parameters
    ----------
    science, template : numpy.ndarray
        Counts with their background, `(ny, nx)`.
    difference : numpy.ndarray
        Counts without, `(ny, nx)`.
    """

    science: Image
    template: Image
    difference: Image


def point_source(view: View, x: float, y: float) -> Image:
    """Draw a point source of one count.

    Parameters
    ----------
    view : View
        The look.
    x, y : float
        Where it is, pixels.

    Returns
    -------
    numpy.ndarray
        Moffat profile (Moffat 1969, A&A 3, 455), `(ny, nx)`.
    """
    radius = view.seeing_px / (2 * math.sqrt(2 ** (1 / _MOFFAT_BETA) - 1))
    peak = (_MOFFAT_BETA - 1) / (math.pi * radius**2)
    dx, dy = _offsets(view.camera, x, y)
    return peak * (1 + (dx**2 + dy**2) / radius**2) ** -_MOFFAT_BETA


def _offsets(camera: Camera, x: float, y: float) -> tuple[Image, Image]:
    ny, nx = camera.shape
    columns, rows = np.arange(nx, dtype=np.float64), np.arange(ny, dtype=np.float64)
    return columns[np.newaxis, :] - x, rows[:, np.newaxis] - y


def _draw_galaxy(view: View, galaxy: Galaxy) -> Image:
    """Sersic profile in the form of Graham & Driver (2005, PASA 22, 118), blurred by widening its core."""
    scale = view.camera.scale_arcsec
    x, y = view.pixel(galaxy.east, galaxy.north)
    dx, dy = _offsets(view.camera, x, y)
    # The camera's axes seen from the sky, then the galaxy's own.
    (xe, ye), (xn, yn) = view.matrix
    east, north = xe * dx + ye * dy, xn * dx + yn * dy
    turn_cos, turn_sin = math.cos(galaxy.angle), math.sin(galaxy.angle)
    along, across = east * turn_cos + north * turn_sin, (north * turn_cos - east * turn_sin) / galaxy.flattening
    blur = view.seeing_px / 2.355
    radius = np.sqrt(along**2 + across**2 + blur**2)
    half_light = math.hypot(galaxy.radius_arcsec / scale, blur)
    steepness = 2 * galaxy.index - 1 / 3
    total = (
        2 * math.pi * galaxy.index * half_light**2 * galaxy.flattening * math.exp(steepness)
        * steepness ** (-2 * galaxy.index) * math.gamma(2 * galaxy.index)
    )  # fmt: skip
    profile = np.exp(-steepness * ((radius / half_light) ** (1 / galaxy.index) - 1))
    if galaxy.arms:
        winding = 2 * (np.arctan2(across, along) - 2.4 * np.log(radius / half_light))
        # No arms in the bulge.
        profile *= 1 + galaxy.arms * np.cos(winding) * (1 - np.exp(-((radius / (0.5 * half_light)) ** 2)))
    return np.asarray(profile * view.camera.counts(galaxy.magnitude) / total)


def draw_scene(view: View, scene: Scene) -> Image:
    """Draw everything that stands still.

    Parameters
    ----------
    view : View
        The look.
    scene : Scene
        The sky.

    Returns
    -------
    numpy.ndarray
        Counts without background and noise, `(ny, nx)`.
    """
    ny, nx = view.camera.shape
    image = np.zeros((ny, nx))
    for galaxy in scene.galaxies:
        image += _draw_galaxy(view, galaxy)
    for star in scene.stars:
        x, y = view.pixel(star.east, star.north)
        margin = _REACH * view.seeing_px
        if -margin < x < nx + margin and -margin < y < ny + margin:
            image += view.camera.counts(star.magnitude) * point_source(view, x, y)
    return image


def _bleed(counts: Image, saturation: float) -> Image:
    """Clip full pixels, and let what does not fit run down their column."""
    full = np.minimum(counts, saturation)
    over = np.where(counts > saturation, counts - saturation, 0.0).sum(axis=0)
    if not over.any():
        return full
    ny = len(counts)
    for column in np.flatnonzero(over):
        row = int(np.argmax(counts[:, column]))
        length = min(ny - row, 4 + int(over[column] / saturation * 6))
        full[row : row + length, column] += 0.02 * saturation * np.linspace(1, 0, length)
    return np.minimum(full, saturation)


def _noise(rng: Generator, camera: Camera, counts: Image, visits: int = 1) -> Image:
    """Photon and read noise: the square root of what was counted in all, in electrons."""
    electrons = np.maximum(counts, 0) * camera.gain + camera.read_noise**2
    return np.asarray(rng.standard_normal(counts.shape) * np.sqrt(electrons / visits) / camera.gain)


def expose(rng: Generator, view: View, scene: Scene, change: float, misplaced_px: float = 0.03) -> Exposure:
    """Take the three images of an alert.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of noise.
    view : View
        The look.
    scene : Scene
        What is in the template.
    change : float
        Counts that have come to (or gone from) the scene's middle since.
    misplaced_px : float
        How badly the template is laid over the science image; it leaves dipoles at bright stars.

    Returns
    -------
    Exposure
        Science, template, difference.
    """
    camera = view.camera
    target = change * point_source(view, *view.pixel(view.east, view.north))
    clean = draw_scene(view, scene) + target
    science = _bleed(clean + camera.sky, camera.saturation)
    science += _noise(rng, camera, science)
    sharp = replace(view, seeing_px=camera.seeing_px[0])
    template = draw_scene(sharp, scene) + camera.sky
    template_noise = _noise(rng, camera, template, camera.coadded)
    # The template as convolved to the science image's seeing: nearly as sharp, nearly in place.
    angle = rng.uniform(0, 2 * math.pi)
    shifted = (
        view.dither_px[0] + misplaced_px * math.cos(angle),
        view.dither_px[1] + misplaced_px * math.sin(angle),
    )
    matched = draw_scene(replace(view, seeing_px=view.seeing_px * 1.015, dither_px=shifted), scene)
    difference = science - camera.sky - matched - 0.6 * template_noise
    return Exposure(science, np.minimum(template + template_noise, camera.saturation), difference)
