"""The `stamp-service step` commands: jobs that run for as long as there is a stream."""

import signal
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import click

from stamp_service.errors import ConfigurationError
from stamp_service.logs import configure_logging
from stamp_service.settings import Settings, load_settings
from stamp_service.surveys import Surveys, load_surveys

if TYPE_CHECKING:
    from stamp_service.steps import Step, StepMetrics

T = TypeVar("T")


@click.group()
def step() -> None:
    """Work on a stream of alerts in Kafka, until SIGTERM or Ctrl-C."""


@step.command("archive")
def archive() -> None:
    """Put every alert of the stream into its survey's store and into the index.

    A message that is no alert goes to the topic of dead letters. Whatever is unavailable is waited for.
    """
    from stamp_service.steps import ArchiveStep, StepMetrics, open_archive_step  # noqa: PLC0415 - seldom needed

    settings, surveys = _prepare()
    _run(open_archive_step(settings, surveys), settings, StepMetrics(ArchiveStep.name))


@step.command("stamp-classifier")
def stamp_classifier() -> None:
    """Classify the earliest alert of each object, and send its probabilities on.

    MODEL_NAME names the model, CLASSIFIER_STRATEGY (ZTF, ATLAS) the survey. A message that is no alert, and an
    alert that cannot be classified, goes to the topic of dead letters. Whatever is unavailable is waited for.
    """
    from stamp_service.steps import (  # noqa: PLC0415 - as above
        StampClassifierStep,
        StepMetrics,
        open_stamp_classifier_step,
    )

    settings, surveys = _prepare()
    metrics = StepMetrics(StampClassifierStep.name)
    job = open_stamp_classifier_step(settings, surveys, metrics.registry)
    _run(job, settings, metrics, transactional=True)


@step.command("early-classification")
def early_classification() -> None:
    """Classify the alerts of ZTF, and write the class probabilities of each object into a database, once.

    MODEL_NAME names the model, and DB_HOST the PostgreSQL; without one, a file in the data folder is written. A
    message that is no alert, and an alert that cannot be classified, goes to the topic of dead letters. Whatever
    is unavailable is waited for.
    """
    from stamp_service.steps import (  # noqa: PLC0415 - as above
        EarlyClassificationStep,
        StepMetrics,
        open_early_classification_step,
    )

    settings, surveys = _prepare()
    metrics = StepMetrics(EarlyClassificationStep.name)
    job = open_early_classification_step(settings, surveys, metrics.registry)
    _run(job, settings, metrics, transactional=job.sends_results)


def _prepare() -> tuple[Settings, Surveys]:
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    configure_logging(settings.log_level)
    return settings, surveys


def _run(job: "Step[T]", settings: Settings, metrics: "StepMetrics", *, transactional: bool = False) -> None:
    from stamp_service.steps import run_step  # noqa: PLC0415 - as above

    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.metrics_port is not None:
        try:
            metrics.serve(settings.metrics_port, settings.app_bind)
        except OSError as error:
            raise ConfigurationError(f"METRICS_PORT: {error.strerror}") from None
    run_step(job, settings, observer=metrics, stop=stop, transactional=transactional)
