"""A step in a process of its own, as it is deployed; and one that kills itself between two stages."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stamp_service.settings import load_settings
from stamp_service.steps import (
    Item,
    Output,
    StampClassifierStep,
    StepMetrics,
    open_archive_step,
    open_early_classification_step,
    open_stamp_classifier_step,
    run_step,
)
from stamp_service.steps.classification_outputs import Classified
from stamp_service.surveys import load_surveys
from tests.conftest import ROOT
from tests.integration.services.kafka import RunningKafka

_COMMAND = "from stamp_service.cli import main; main()"
_KILLED = "import sys; from tests.integration.services.archiving import run_until; run_until(*sys.argv[1:])"
# What comes first in a program whose machine's clock is wrong.
_SHIFTED = """
import datetime, time
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(hours={hours})
datetime.datetime, now = Shifted, time.time
time.time = lambda: now() + 3600 * {hours}
"""
# The group notices soon that a member is gone, and a client that the broker is back.
_IMPATIENT = {
    "reconnect.backoff.max.ms": "500",
    "session.timeout.ms": "1500",
    "heartbeat.interval.ms": "300",
    "topic.metadata.refresh.interval.ms": "500",
    "statistics.interval.ms": "200",
}


@dataclass
class Archiving:
    """What the processes of one group have in common.

    Parameters
    ----------
    kafka : RunningKafka
        The broker.
    topic : str
        What they read.
    data_dir : pathlib.Path
        Their data folder.
    partitions : int
        How many the topic has.
    settings : mapping of str to str
        Settings besides.
    group : str
        Their group.
    step : str
        What they are.
    """

    kafka: RunningKafka
    topic: str
    data_dir: Path
    partitions: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    group: str = field(default_factory=lambda: f"archive-{uuid.uuid4().hex[:12]}")
    step: str = "archive"

    @property
    def letters(self) -> str:
        """The topic of their dead letters."""
        return f"letters-{self.group}"

    def environment(self) -> dict[str, str]:
        """Write their environment."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STAMP_")}
        own = {
            "STAMP_DATA_DIR": str(self.data_dir),
            "STAMP_DEAD_LETTER_TOPIC": self.letters,
            "STAMP_CONSUMER_OPTIONS": json.dumps(_IMPATIENT),
            "CONSUMER_SERVER": self.kafka.server,
            "CONSUMER_GROUP_ID": self.group,
            "CONSUMER_TOPICS": self.topic,
            "CONSUME_MESSAGES": "10",
            "CONSUME_TIMEOUT": "0.2",
        }
        return inherited | own | self.settings

    def logs(self) -> list[Path]:
        """Name the files that they have logged to, one each."""
        return sorted(self.data_dir.parent.glob("step-*.log"))

    def logged(self, words: str) -> int:
        """Count how often they have logged something."""
        return sum(log.read_text().count(words) for log in self.logs())

    def has_joined(self, process: "subprocess.Popen[str]") -> bool:
        """Say whether a process was given partitions."""
        return re.search(r"has [1-9]\d* partitions", self._log_of(process).read_text()) is not None

    def _log_of(self, process: "subprocess.Popen[str]") -> Path:
        return self.data_dir.parent / f"step-{process.pid}.log"

    def acknowledged(self) -> int:
        """Count the messages that are acknowledged."""
        return self.kafka.committed(self.group, self.topic, self.partitions)

    @contextmanager
    def running(self, dies_after: str | None = None, fast_by_h: float = 0) -> Iterator["subprocess.Popen[str]"]:
        """Run a process until the block ends, or until it has finished a stage; its clock may be fast or slow."""
        program = [_COMMAND, "step", self.step] if dies_after is None else [_KILLED, self.step, dies_after]
        if fast_by_h:
            program[0] = _SHIFTED.format(hours=fast_by_h) + program[0]
        unnamed = self.data_dir.parent / "step"
        with unnamed.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", *program],
                cwd=ROOT,
                env=self.environment(),
                stdout=log,
                stderr=log,
                text=True,
            )
        unnamed.rename(self._log_of(process))
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
                    raise


class _Fatal(StepMetrics):
    """Kills the process as soon as a stage is done with messages."""

    def __init__(self, step: str, stage: str) -> None:
        super().__init__(step)
        self._fatal = stage
        self._has_messages = False

    def consumed(self, count: int) -> None:
        super().consumed(count)
        self._has_messages = count > 0

    def finished(self, stage: str, seconds: float) -> None:
        super().finished(stage, seconds)
        if stage == self._fatal and self._has_messages:
            os.kill(os.getpid(), signal.SIGKILL)


class _Deadly:
    """A message that kills the process as soon as it is its turn to be produced."""

    @property
    def topic(self) -> str:
        time.sleep(0.5)  # those before it are on their way
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


class _Interrupted(StampClassifierStep):
    """A step that dies when its messages were produced, and before they are committed."""

    def __init__(self, step: StampClassifierStep) -> None:
        vars(self).update(vars(step))

    def outputs(self, items: Sequence[Item[Classified | None]]) -> Iterable[Output]:
        yield from super().outputs(items)
        yield _Deadly()


def run_until(step: str, stage: str) -> None:
    """Work until a stage is done with messages, and die."""
    settings, surveys, fatal = load_settings(), load_surveys(), _Fatal(step, stage)
    if step == "archive":
        run_step(open_archive_step(settings, surveys), settings, observer=fatal)
        return
    if step == "early-classification":
        run_step(open_early_classification_step(settings, surveys), settings, observer=fatal)
        return
    classifier = open_stamp_classifier_step(settings, surveys)
    job = _Interrupted(classifier) if stage == "transaction" else classifier
    run_step(job, settings, observer=fatal, transactional=True)
