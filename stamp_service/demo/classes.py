"""What a classifier might say of the synthetic objects: made up like everything else about them."""

from collections.abc import Iterator

import numpy as np

from stamp_service.demo import ztf
from stamp_service.demo.events import EventName, make_event
from stamp_service.demo.filling import DEFAULT_OBJECTS, DEFAULT_SEED, DEMO_SURVEYS
from stamp_service.probabilities import NewObject

# What a user of ALeRCE's classifiers would call the synthetic objects.
CLASSES: dict[str, EventName] = {
    "AGN": "flare",
    "SN": "supernova",
    "VS": "variable",
    "asteroid": "asteroid",
    "bogus": "artefact",
}


def demo_classes(
    seed: int = DEFAULT_SEED, objects: int = DEFAULT_OBJECTS
) -> Iterator[tuple[NewObject, dict[str, float]]]:
    """Make up how probable each class is for the objects that `demo_alerts` makes of ZTF.

    Parameters
    ----------
    seed : int
        That of the alerts.
    objects : int
        How many objects, as there.

    Yields
    ------
    tuple
        An object, and the probability of each class, which add up to 1; the right one is the likeliest.
    """
    for index in range(objects):
        rng = np.random.default_rng([seed, DEMO_SURVEYS.index("ztf"), index])
        event = make_event(rng, ztf.CAMERA, index)
        # What moves has another name each time.
        named = event.visits if event.name == "asteroid" else event.visits[:1]
        for number, visit in enumerate(named):
            right = rng.uniform(0.55, 0.95)
            others = iter((1 - right) * rng.dirichlet(np.ones(len(CLASSES) - 1)))
            values = {key: float(right if kind == event.name else next(others)) for key, kind in CLASSES.items()}
            name = ztf.object_name(event, number)
            yield NewObject(name, 1, 1, None, None, visit.mjd, event.ra_deg, event.dec_deg), values
