"""What the stamp classifier reads and uses in the tests: small alerts, and a small model."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stamp_service.demo.fits import write_fits
from tests.integration.services.archiving import Archiving
from tests.pipeline_messages import pipeline_message
from tests.unit.classifiers.graphs import linear_graph, write_model

_SIZE_PX = 8
MODEL = "small"


@dataclass
class Classifying(Archiving):
    """What the stamp classifiers of one group have in common."""

    step: str = "stamp-classifier"

    def __post_init__(self) -> None:
        write_small_model(self.data_dir / "models")

    @property
    def results(self) -> str:
        """The topic of their results."""
        return f"results-{self.group}"

    @property
    def commands(self) -> str:
        """The topic of their commands to the scribe."""
        return f"scribe-{self.group}"

    def environment(self) -> dict[str, str]:
        """Write their environment."""
        own = {
            "STAMP_MODEL_DIR": str(self.data_dir / "models"),
            "MODEL_NAME": MODEL,
            "CLASSIFIER_STRATEGY": "ZTF",
            "PRODUCER_TOPIC": self.results,
            "SCRIBE_TOPIC": self.commands,
            # What a killed one leaves behind is undone soon.
            "STAMP_PRODUCER_OPTIONS": '{"transaction.timeout.ms": "2000", "reconnect.backoff.max.ms": "500"}',
        }
        return super().environment() | own | self.settings

    def aids(self, topic: str, *, committed: bool = True) -> list[str]:
        """List the keys in a topic of theirs: the objects."""
        if topic not in self.kafka.topics():
            return []
        return [message.key().decode() for message in self.kafka.read(topic, committed=committed)]


def write_small_model(folder: Path) -> None:
    """Write a model of small stamps."""
    graph = linear_graph({"stamps": ["n", _SIZE_PX, _SIZE_PX, 3]}, 5)
    stamps = {"input": "stamps", "kinds": ("science", "template", "difference"), "shape": (_SIZE_PX, _SIZE_PX)}
    write_model(folder / MODEL, graph, stamps=[stamps | {"normalisation": "minmax"}])


def small_messages(count: int, start: int = 0) -> Iterator[bytes]:
    """Make messages of ALeRCE's pipeline, each of another object, with small stamps."""
    draw = np.random.default_rng(start)
    for number in range(start, start + count):
        stamps = [draw.normal(100, 10, (_SIZE_PX, _SIZE_PX)).astype(np.float32) for _ in range(3)]
        cutouts = {
            f"cutout{kind}": {"stampData": gzip.compress(write_fits([(stamp, {})]), 1)}
            for kind, stamp in zip(("Science", "Template", "Difference"), stamps, strict=True)
        }
        candidate = {
            "jd": 2460000.5 + number,
            "fid": 1,
            "pid": number,
            "ra": 10.0,
            "dec": -10.0,
            "magpsf": 18.0,
            "sigmapsf": 0.1,
            "isdiffpos": "t",
        }
        yield pipeline_message({"objectId": f"{number:05d}", "candid": number, "candidate": candidate} | cutouts)
