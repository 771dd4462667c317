"""The synthetic alerts of a survey, and a store filled with them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import orjson
from numpy.random import Generator

from stamp_service.demo import atlas, lsst, ztf
from stamp_service.demo.alert import DemoAlert
from stamp_service.demo.events import Event, make_event
from stamp_service.demo.schemas import demo_schemas
from stamp_service.demo.sky import Camera
from stamp_service.stores import Store
from stamp_service.surveys import Surveys

# One of each kind: supernova, variable star, asteroid, flare, artefact.
DEFAULT_OBJECTS = 5
DEFAULT_SEED = 17

_PUBLISHERS: Mapping[str, tuple[Camera, Callable[[Generator, Event], Iterator[DemoAlert]]]] = {
    "ztf": (ztf.CAMERA, ztf.alerts),
    "atlas": (atlas.CAMERA, atlas.alerts),
    "lsst": (lsst.CAMERA, lsst.alerts),
}
DEMO_SURVEYS = tuple(_PUBLISHERS)


def demo_alerts(survey_name: str, seed: int = DEFAULT_SEED, objects: int = DEFAULT_OBJECTS) -> Iterator[DemoAlert]:
    """Make synthetic alerts of a built-in survey.

    Parameters
    ----------
    survey_name : str
        One of `DEMO_SURVEYS`.
    seed : int
        The same seed gives the same bytes.
    objects : int
        How many objects: supernova, variable star, asteroid, flare and artefact in turn, each with one to six
        alerts.

    Yields
    ------
    DemoAlert
        Object by object, oldest first.

    Raises
    ------
    KeyError
        If it is none of them.
    """
    camera, publish = _PUBLISHERS[survey_name]
    for index in range(objects):
        rng = np.random.default_rng([seed, DEMO_SURVEYS.index(survey_name), index])
        yield from publish(rng, make_event(rng, camera, index))


def fill(stores: Mapping[str, Store], surveys: Surveys, schemas_dir: Path) -> int:
    """Put the synthetic alerts into stores, and their schemas into the schema folder.

    Parameters
    ----------
    stores : mapping of str to Store
        The store of each survey to fill; surveys that have no synthetic alerts are left alone.
    surveys : Surveys
        The surveys.
    schemas_dir : pathlib.Path
        Folder of `.avsc` files; made if it does not exist. Files that are there stay as they are.

    Returns
    -------
    int
        How many alerts were not there before.

    Raises
    ------
    StoreUnavailable
        If a store cannot be written to.
    PacketConflict
        If a different packet is stored under one of their ids.
    """
    schemas_dir.mkdir(parents=True, exist_ok=True)
    for name, schema in demo_schemas().items():
        file = schemas_dir / name
        if not file.exists():
            file.write_bytes(orjson.dumps(schema, option=orjson.OPT_INDENT_2))
    return sum(
        store.put(surveys[name], alert.alert_id, alert.packet, alert.object_id)
        for name, store in stores.items()
        if name in _PUBLISHERS
        for alert in demo_alerts(name)
        # A user's own definition of the survey may name its alerts differently.
        if surveys[name].alert_id.matches(alert.alert_id)
    )
