"""Matching positions with a local catalogue against astropy's nearest-neighbour call alone.

`match_to_catalog_sky` finds the nearest entry of each position and nothing else. `get_xmatches` finds all entries
within 5 arcsec, and puts the rows side by side. Half of the positions have an entry nearby. Ways take turns, each
with new coordinates, since astropy keeps the tree it builds; making those is not part of astropy's time.

    python -m benchmarks.xmatch [--positions 100000] [--entries 1000000] [--rounds 3]
"""

import argparse
import statistics
import time

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from stamp_service.xmatch import get_xmatches


def make_sky(chance: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Spread positions evenly over the sky, in degrees."""
    return chance.uniform(0, 360, count), np.degrees(np.arcsin(chance.uniform(-1, 1, count)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    chance = np.random.default_rng(0)
    ra2, dec2 = make_sky(chance, asked.entries)
    ra1, dec1 = make_sky(chance, asked.positions)
    half = asked.positions // 2
    ra1[:half], dec1[:half] = ra2[:half], np.clip(dec2[:half] + 5e-4, -90, 90)
    alerts = Table({"alert_id": np.arange(asked.positions), "ra": ra1, "dec": dec1})
    catalogue = Table({"RAJ2000": ra2, "DEJ2000": dec2, "magnitude": chance.normal(18, 2, asked.entries)})

    ours, alone = [], []
    for _ in range(asked.rounds):
        start = time.perf_counter()
        found = get_xmatches(alerts, catalogue, 5)
        ours.append(time.perf_counter() - start)
        first, second = SkyCoord(ra1 * u.deg, dec1 * u.deg), SkyCoord(ra2 * u.deg, dec2 * u.deg)
        start = time.perf_counter()
        _, distance, _ = first.match_to_catalog_sky(second)
        alone.append(time.perf_counter() - start)
        assert set(found["alert_id"].tolist()) == set(np.flatnonzero(distance <= 5 * u.arcsec).tolist())
    print(f"{asked.positions} positions, {asked.entries} entries, {len(found)} matches")
    print(f"  get_xmatches          {statistics.median(ours):6.2f} s")
    print(f"  match_to_catalog_sky  {statistics.median(alone):6.2f} s")
    print(f"  ratio                 {statistics.median(ours) / statistics.median(alone):6.2f}")


if __name__ == "__main__":
    main()
