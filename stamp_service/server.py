"""What the server's master process does around its workers: before they start, and once it listens."""

import atexit
import ctypes
import logging
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from stamp_service.demo import DEMO_SURVEYS, demo_alerts, demo_classes, fill
from stamp_service.errors import AlertNotFound, ConfigurationError, StoreUnavailable
from stamp_service.index import open_index
from stamp_service.probabilities import open_probabilities
from stamp_service.rebuilding import rebuild
from stamp_service.settings import Settings, share_metrics_dir
from stamp_service.stores import LocalStore, open_local, open_schemas
from stamp_service.surveys import Surveys

log = logging.getLogger(__name__)

# M_ARENA_MAX of glibc's malloc.h.
_ARENA_MAX = -8
# There while the synthetic alerts are being stored, so that a start that was cut short is taken up again.
_UNFINISHED = "demo-unfinished"
# Which of a survey's synthetic alerts is shown first: a supernova at its brightest.
_BEST_LOOKING = 2
# For a file on this machine.
_PATIENCE_S = 5.0
_ANYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on
# Metrics folders that this process has emptied; a server that reloads its configuration must not do so again.
_emptied: set[Path] = set()


def limit_arenas() -> None:
    """Let all threads share two of the allocator's arenas, where it is glibc's; workers inherit that.

    Each thread would fill one of its own, and what lies unused in sixteen of them is a tenth of a worker's memory.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_ARENA_MAX, 2)


def prepare_metrics_dir(given: Path | None) -> Path:
    """Make the folder where workers share their metrics, once per process, and tell `prometheus_client`.

    It must be empty at the start: what a former server's workers left there would be counted again.

    Parameters
    ----------
    given : pathlib.Path or None
        The folder; by default a temporary one, which is removed when this process ends.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ConfigurationError
        If it cannot be written to.
    """
    if given in _emptied:
        return given
    try:
        folder = given or Path(tempfile.mkdtemp(prefix="stamp-metrics-"))
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob("*.db"):
            left_over.unlink()
    except OSError as error:
        raise ConfigurationError(f"prometheus_multiproc_dir: {error.strerror}") from None
    if given is None:
        atexit.register(_remove, folder, os.getpid())
    share_metrics_dir(folder)
    _emptied.add(folder)
    return folder


def _remove(folder: Path, owner: int) -> None:
    # Workers are forks: they inherit what is to be done at exit, and must not do it.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def local_surveys(settings: Settings, surveys: Surveys) -> list[str]:
    """Name the surveys whose packets are kept in the local directory.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    list of str
        Those without a bucket.
    """
    return [
        name for name, survey in surveys.items() if "archive" in survey.stores and settings.bucket(name) is None
    ]


def fill_local_store(settings: Settings, surveys: Surveys) -> int:
    """Put the synthetic alerts into the local store if it is empty and the settings want that.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    int
        How many alerts were stored.

    Raises
    ------
    ConfigurationError
        If the data folder cannot be used.
    """
    names = local_surveys(settings, surveys)
    if not settings.demo or not names:
        return 0
    store = open_local(settings)
    unfinished = settings.data_dir / _UNFINISHED
    try:
        if not store.is_empty() and not unfinished.exists():
            return 0
        unfinished.touch()
        stored = store_demo(settings, surveys, names, store)
        unfinished.unlink(missing_ok=True)
    except (OSError, StoreUnavailable):
        raise ConfigurationError("STAMP_DATA_DIR: the folder cannot be read or written to") from None
    return stored


def store_demo(settings: Settings, surveys: Surveys, names: Sequence[str], store: LocalStore) -> int:
    """Put the synthetic alerts into a store and into the index, and what a classifier might say of them beside.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.
    names : sequence of str
        Which of them.
    store : LocalStore
        The store.

    Returns
    -------
    int
        How many alerts were not there before.

    Raises
    ------
    StoreUnavailable
        If the store, or the file of probabilities, cannot be written to. Trouble with the index is logged, and
        they are stored all the same.
    """
    stored = fill(dict.fromkeys(names, store), surveys, settings.schemas_path)
    schemas = open_schemas(settings)
    with closing(open_index(settings)) as index:
        try:
            for name in names:
                deque(rebuild(index, store, surveys[name], schemas, max_packet_bytes=settings.max_packet_bytes), 0)
        except StoreUnavailable as error:
            log.warning("%s: the synthetic alerts are not in it; `stamp-service index rebuild` enters them", error)
    # What is made up has no place in a database of others.
    if "ztf" in names and settings.db_engine != "postgresql" and settings.db_host is None:
        with closing(open_probabilities(settings, _PATIENCE_S)) as tables:
            tables.add(list(demo_classes()), "synthetic", "1")
    return stored


def bind_address(settings: Settings) -> str:
    """Write the address to listen on as gunicorn wants it.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    str
        Host and port, an IPv6 address in brackets.
    """
    host = f"[{settings.app_bind}]" if ":" in settings.app_bind else settings.app_bind
    return f"{host}:{settings.app_port}"


def welcome(settings: Settings, surveys: Surveys, port: int) -> str:
    """Write what is said once the server listens: where it is, and three things to look at.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.
    port : int
        The port that it listens on.

    Returns
    -------
    str
        Lines of text; the three addresses only where the local store has an alert.
    """
    host = "localhost" if settings.app_bind in _ANYWHERE else settings.app_bind
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [f"Stamp Service listens on {base}", f"  its API   {base}/docs"]
    found = _examples(settings, surveys)
    if found:
        # Three surveys where there are three.
        (a, one), (b, two), (c, three) = found[0], found[1 % len(found)], found[2 % len(found)]
        lines += [
            f"  a PNG     {base}/v1/stamps/{a}/{one}/science.png",
            f"  a FITS    {base}/v1/stamps/{b}/{two}/science.fits",
            f"  a packet  {base}/v1/alerts/{c}/{three}.avro",
        ]
    return "\n".join(lines)


def _examples(settings: Settings, surveys: Surveys) -> list[tuple[str, str]]:
    """Name one alert of each survey that is in the local store."""
    names = local_surveys(settings, surveys)
    if not names:
        return []
    store = open_local(settings)
    try:
        found = [(name, _example(store, surveys, name)) for name in names]
    except StoreUnavailable:
        return []
    return [(name, alert_id) for name, alert_id in found if alert_id is not None]


def _example(store: LocalStore, surveys: Surveys, name: str) -> str | None:
    """Choose an alert that is in the store: a synthetic one if it is there."""
    if name in DEMO_SURVEYS:
        alert = next(islice(demo_alerts(name, objects=1), _BEST_LOOKING, None))
        try:
            store.get(surveys[name], alert.alert_id)
        except AlertNotFound:
            pass
        else:
            return alert.alert_id
    return next(iter(store.alert_ids(surveys[name], limit=1)), None)
