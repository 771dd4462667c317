"""Trains the classifier that the package brings along: `python -m stamp_service.demo.training`, two minutes.

It is a demonstration: trained on synthetic alerts, it says nothing about the real sky. It is a network of one
hidden layer, which sees the same central pixels as ALeRCE's. Needed are the extras `classifiers` and `convert`;
the same packages on the same machine give the same bytes.
"""

import hashlib
import math
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stamp_service.classifiers.conversion import write_model
from stamp_service.classifiers.conversion.graphs import Graph
from stamp_service.classifiers.definition import (
    AsteroidRule,
    ModelDefinition,
    Output,
    Rules,
    Stamps,
    SupernovaRule,
)
from stamp_service.classifiers.models import DEMO, DEMO_FOLDER
from stamp_service.classifiers.reading import Unfit
from stamp_service.classifiers.stamps import prepare, take_images
from stamp_service.demo import ztf
from stamp_service.demo.classes import CLASSES
from stamp_service.demo.events import make_event
from stamp_service.images import decode_stamp
from stamp_service.packets import recognise
from stamp_service.surveys import KINDS, load_surveys

Pixels = NDArray[np.float32]
Labels = NDArray[np.int64]

VERSION = "1"
DESCRIPTION = "A demonstration: trained on synthetic alerts; says nothing about the real sky"
STAMPS = Stamps(input="stamps", kinds=KINDS, shape=ztf.CAMERA.shape, crop=(21, 21), normalisation="minmax")

_TRAINING_SEED, _TEST_SEED = 1, 2
_TRAINING_OBJECTS, _TEST_OBJECTS = 1500, 500
_MIB = 2**20
_HIDDEN = 16
_STEPS, _OF_EACH_CLASS = 4000, 12
_RATE, _DECAY = 1e-3, 1e-3


def labelled_stamps(seed: int, objects: int) -> tuple[Pixels, Labels]:
    """Make synthetic alerts whose classes are known.

    Parameters
    ----------
    seed : int
        The same seed gives the same alerts.
    objects : int
        How many objects; those stamps of theirs that are cut off at a chip's edge are left out.

    Returns
    -------
    tuple of numpy.ndarray
        Stamps as the network is fed, `(n, ny, nx, kinds)`, and the numbers of their classes, `(n,)`.
    """
    classes = list(CLASSES.values())
    surveys = load_surveys()
    images, labels = [], []
    for index in range(objects):
        rng = np.random.default_rng([seed, index])
        event = make_event(rng, ztf.CAMERA, index)
        for alert in ztf.alerts(rng, event):
            cutouts = recognise(surveys, alert.packet).cutouts()
            stamps = {kind: decode_stamp(cutouts[kind], max_bytes=_MIB, max_pixels=_MIB) for kind in KINDS}
            try:
                images.append(take_images(STAMPS, stamps))
            except Unfit:
                continue
            labels.append(classes.index(event.name))
    return prepare(STAMPS, images), np.array(labels)


class Network:
    """A network of one hidden layer, with ReLU, trained with Adam on the cross-entropy.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of its first parameters.
    """

    def __init__(self, rng: Generator) -> None:
        sizes = (math.prod(STAMPS.fed_shape) * len(KINDS), _HIDDEN, len(CLASSES))
        self.parameters: list[Pixels] = []
        for inputs, outputs in pairwise(sizes):
            # He et al. (2015, arXiv:1502.01852), for layers that ReLU follows.
            kernel = rng.standard_normal((inputs, outputs), np.float32) * np.float32(math.sqrt(2 / inputs))
            self.parameters += [kernel, np.zeros(outputs, np.float32)]
        self._moments = [(np.zeros_like(values), np.zeros_like(values)) for values in self.parameters]

    def ask(self, stamps: Pixels) -> tuple[Pixels, Pixels]:
        """Run the network.

        Parameters
        ----------
        stamps : numpy.ndarray
            `(n, ny, nx, kinds)`.

        Returns
        -------
        tuple of numpy.ndarray
            What the hidden layer gives, `(n, hidden)`, and the probabilities, `(n, classes)`.
        """
        first, first_bias, second, second_bias = self.parameters
        hidden = np.maximum(stamps.reshape(len(stamps), -1) @ first + first_bias, 0)
        logits = hidden @ second + second_bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return hidden, odds / odds.sum(axis=1, keepdims=True)

    def learn(self, stamps: Pixels, labels: Labels, rate: float, step: int) -> None:
        """Take a step of Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), and shrink a little.

        Parameters
        ----------
        stamps : numpy.ndarray
            `(n, ny, nx, kinds)`.
        labels : numpy.ndarray
            `(n,)`, the classes' numbers.
        rate : float
            How far.
        step : int
            Counted from 1.
        """
        hidden, probabilities = self.ask(stamps)
        error = (probabilities - np.eye(len(CLASSES), dtype=np.float32)[labels]) / np.float32(len(labels))
        before = (error @ self.parameters[2].T) * (hidden > 0)
        inputs = stamps.reshape(len(stamps), -1)
        gradients = (inputs.T @ before, before.sum(axis=0), hidden.T @ error, error.sum(axis=0))
        for values, gradient, (mean, square) in zip(self.parameters, gradients, self._moments, strict=True):
            mean[...] += 0.1 * (gradient - mean)
            square[...] += 0.001 * (gradient**2 - square)
            towards = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
            values[...] -= rate * (towards + _DECAY * values)

    def graph(self) -> bytes:
        """Write the network.

        Returns
        -------
        bytes
            An ONNX file.
        """
        first, first_bias, second, second_bias = self.parameters
        graph = Graph(DEMO)
        hidden = graph.dense(graph.add("Flatten", STAMPS.input), first, first_bias)
        graph.add("Softmax", graph.dense(hidden, second, second_bias, None), output="probabilities", axis=1)
        inputs = {STAMPS.input: ("N", *STAMPS.fed_shape, len(KINDS))}
        return graph.write(inputs, {"probabilities": ("N", len(CLASSES))})


def train(stamps: Pixels, labels: Labels, steps: int = _STEPS) -> Network:
    """Train a network, on as many stamps of each class, which are turned and mirrored at random.

    Parameters
    ----------
    stamps : numpy.ndarray
        `(n, ny, nx, kinds)`.
    labels : numpy.ndarray
        `(n,)`, the classes' numbers.
    steps : int
        For how long.

    Returns
    -------
    Network
        The network.
    """
    rng = np.random.default_rng(_TRAINING_SEED)
    network = Network(rng)
    members = [np.flatnonzero(labels == number) for number in range(len(CLASSES))]
    for step in range(1, steps + 1):
        rows = np.concatenate([rng.choice(some, _OF_EACH_CLASS) for some in members])
        seen = np.rot90(stamps[rows], int(rng.integers(4)), axes=(1, 2))
        seen = np.ascontiguousarray(seen[:, ::-1] if rng.integers(2) else seen)
        network.learn(seen, labels[rows], _RATE * (1 - step / (steps + 1)), step)
    return network


def define(graph: bytes) -> ModelDefinition:
    """Say what the demonstration is.

    Parameters
    ----------
    graph : bytes
        Its ONNX file.

    Returns
    -------
    ModelDefinition
        What its `model.toml` says.
    """
    return ModelDefinition(
        name=DEMO,
        version=VERSION,
        description=DESCRIPTION,
        survey="ztf",
        classes=tuple(CLASSES),
        model_sha256=hashlib.sha256(graph).hexdigest(),
        source=__spec__.name,
        output=Output(name="probabilities"),
        stamps=(STAMPS,),
        rules=Rules(asteroid=AsteroidRule(class_name="asteroid"), supernova=SupernovaRule(class_name="SN")),
    )


@click.command()
@click.option(
    "--to", "target", default=DEMO_FOLDER, type=click.Path(path_type=Path), help="The directory to write."
)
def main(target: Path) -> None:
    """Train the demonstration, and say how often it is right about synthetic alerts that it has not seen."""
    network = train(*labelled_stamps(_TRAINING_SEED, _TRAINING_OBJECTS))
    stamps, labels = labelled_stamps(_TEST_SEED, _TEST_OBJECTS)
    guesses = network.ask(stamps)[1].argmax(axis=1)
    for number, name in enumerate(CLASSES):
        right = guesses[labels == number] == number
        click.echo(f"{name:8}  {right.sum()} of {len(right)} right")
    click.echo(f"{'all':8}  {np.mean(guesses == labels):.1%} right")
    graph = network.graph()
    write_model(target, graph, define(graph))


if __name__ == "__main__":
    main()
