"""Every position compared with every other: slow, and too simple to be wrong."""

import numpy as np
from astropy.table import Table

ARCSEC = 1 / 3600


def vectors(ra, dec):
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def brute_force(first: Table, second: Table, radius_arcsec: float) -> set[tuple[int, int]]:
    """Compare every position with every other, by the chord between their unit vectors."""
    chord = 2 * np.sin(np.radians(radius_arcsec * ARCSEC) / 2)
    ones, others = vectors(first["ra"], first["dec"]), vectors(second["ra"], second["dec"])
    coarse = np.ascontiguousarray(others.T, dtype=np.float32)
    found = set()
    for start in range(0, len(first), 50):
        # In single precision this only picks the candidates: the cosine of 5 arcmin is 1 - 1e-6.
        cosines = ones[start : start + 50].astype(np.float32) @ coarse
        rows, second_rows = np.divmod(np.flatnonzero(cosines > np.float32(1 - 1e-6)), len(others))
        near = np.linalg.norm(ones[start + rows] - others[second_rows], axis=1) <= chord
        found.update(zip((start + rows[near]).tolist(), second_rows[near].tolist(), strict=True))
    return found


def positions(ra, dec, **further) -> Table:
    ra = np.asarray(ra, dtype=float)
    return Table({"alert_id": np.arange(len(ra)), "ra": ra, "dec": np.asarray(dec, dtype=float), **further})


def crowd(rng, n, centres):
    """Scatter positions around centres, so that many lie within arcseconds of another."""
    ra, dec = centres[rng.integers(len(centres), size=n)].T
    dec = dec + rng.normal(0, 3 * ARCSEC, n)
    ra = ra + rng.normal(0, 3 * ARCSEC, n) / np.maximum(np.cos(np.radians(dec)), 1e-6)
    over = np.abs(dec) > 90
    dec = np.where(over, np.sign(dec) * 180 - dec, dec)
    return positions(np.where(over, ra + 180, ra) % 360, dec)


def pairs(found: Table) -> set[tuple[int, int]]:
    return set(zip(found["alert_id"].tolist(), found["alert_id_2"].tolist(), strict=True))
