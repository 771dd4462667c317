"""Models by name: the directories of a folder, and the demonstration that the package brings along."""

import os
import threading
from pathlib import Path

from stamp_service.classifiers.definition import DEFINITION_FILE
from stamp_service.classifiers.onnx_classifier import CPU, OnnxClassifier, Running, open_model
from stamp_service.errors import ConfigurationError, RequestError
from stamp_service.remote.processes import PerProcess
from stamp_service.settings import Settings

# Trained on synthetic alerts: it shows how everything works, and knows nothing of the sky.
DEMO = "demo"
DEMO_FOLDER = Path(__file__).with_name("demo_model")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Models:
    """Models by name; each is opened when it is first asked for, and kept.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where model directories are; None if there are none but the demonstration.
    running : Running
        How models are run.
    """

    def __init__(self, folder: Path | None, running: Running) -> None:
        self._folder = folder
        self._running = running
        self._opened: dict[str, OnnxClassifier] = {}
        self._lock = PerProcess(threading.Lock)

    def names(self) -> tuple[str, ...]:
        """List the models.

        Returns
        -------
        tuple of str
            The directories' names, sorted; `demo` is always among them.
        """
        return tuple(sorted(self._folders()))

    def default_for(self, survey: str, parameter: str = "model") -> str:
        """Choose a model where none is named: the only one for a survey, the demonstration counting last.

        Parameters
        ----------
        survey : str
            The survey's name.
        parameter : str
            What the request calls a model, for the error.

        Returns
        -------
        str
            The model's name.

        Raises
        ------
        RequestError
            If there are several, or none.
        ConfigurationError
            If a directory is not a model's.
        """
        own = [name for name in self.names() if name != DEMO and self.named(name).survey == survey]
        if len(own) > 1:
            raise RequestError(f"{parameter}: name one of {', '.join(own)}", parameter)
        if not own and self.named(DEMO).survey != survey:
            raise RequestError(f"{parameter}: there is no model for {survey} alerts", parameter)
        return own[0] if own else DEMO

    def named(self, name: str, parameter: str = "model") -> OnnxClassifier:
        """Find a model.

        Parameters
        ----------
        name : str
            Its name, as it was given.
        parameter : str
            What the request calls it, for the error.

        Returns
        -------
        OnnxClassifier
            The model.

        Raises
        ------
        RequestError
            If there is no such model.
        ConfigurationError
            If its directory is not a model's, or ONNX Runtime is not installed.
        """
        opened = self._opened.get(name)
        if opened is not None:
            return opened
        folders = self._folders()
        if name not in folders:
            raise RequestError(f"{parameter} is not one of {', '.join(sorted(folders))}", parameter)
        with self._lock():
            if name not in self._opened:
                self._opened[name] = open_model(folders[name], self._running)
            return self._opened[name]

    def _folders(self) -> dict[str, Path]:
        found = sorted(self._folder.glob(f"[!.]*/{DEFINITION_FILE}")) if self._folder is not None else []
        return {file.parent.name: file.parent for file in found} | {DEMO: DEMO_FOLDER}


def open_models(settings: Settings, *, threads: int | None = None) -> Models:
    """Find the models that the settings name.

    Parameters
    ----------
    settings : Settings
        The settings.
    threads : int, optional
        How many batches run at a time where the settings do not say; default: as many as there are cores.

    Returns
    -------
    Models
        The models; none is opened yet.

    Raises
    ------
    ConfigurationError
        If the folder does not exist.
    """
    folder = settings.model_dir
    if folder is not None and not folder.is_dir():
        raise ConfigurationError("STAMP_MODEL_DIR is not a folder")
    return Models(folder, running_of(settings, threads=threads))


def running_of(settings: Settings, *, threads: int | None = None) -> Running:
    """Read how models are run.

    Parameters
    ----------
    settings : Settings
        The settings.
    threads : int, optional
        How many batches run at a time where the settings do not say; default: as many as there are cores.

    Returns
    -------
    Running
        The same for `open_model`.
    """
    return Running(
        threads=settings.classifier_threads or threads or usable_cores(),
        batch=settings.classifier_batch,
        providers=settings.classifier_providers or CPU,
        max_cutout_bytes=settings.max_cutout_bytes,
        max_stamp_px=settings.max_stamp_px,
    )


def usable_cores() -> int:
    """Count the cores that this process was given.

    Returns
    -------
    int
        Those it may run on, or fewer where a container's quota says so; at least 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or `max`: no quota
        return cores
