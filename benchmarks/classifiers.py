"""Packet bytes to probabilities, against ONNX Runtime's forward pass alone, on one core.

Every way runs in one thread and is measured in that thread's processor time. `whole` recognises packets and
classifies them; `forward` runs the same graph on what was prepared beforehand; `prepare` does all but that:
recognise the packet, inflate, decode FITS, cut out and normalise, take and scale features. Ways take turns. On a
machine that is shared, whatever lives on caches suffers more than a convolution does, so two figures are given:
from the median of the rounds, and from each batch's quickest round, the closest to what it takes undisturbed.

    python -m benchmarks.classifiers [--rounds 15] [--data ../shared/data]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from stamp_service.classifiers import OnnxClassifier, Running, open_model
from stamp_service.classifiers.conversion import convert
from stamp_service.classifiers.definition import GRAPH_FILE
from stamp_service.classifiers.preparing import Feed, Preparation
from stamp_service.classifiers.sessions import open_graph
from stamp_service.packets import Alert, recognise
from stamp_service.surveys import Surveys, load_surveys

ROOT = Path(__file__).resolve().parents[1]
MODELS = {
    "best_model_new_bogus_reg": "images, 3x3",
    "best_model_so_far": "images and 26 features, 3x3",
    "staging_synthetic": "images and 23 features, 5x5",
}
BATCHES = (1, 8, 32, 256)
ALERTS = 256
Way = Callable[[], object]


def read_packets(data: Path, model: OnnxClassifier, surveys: Surveys) -> list[bytes]:
    """Read the ZTF packets that can be classified, as often as it takes."""
    packets = [file.read_bytes() for file in sorted((data / "alerts/ztf").glob("*.avro"))]
    packets += [file.read_bytes() for file in sorted((data / "alerts/ztf_snappy").glob("*.avro"))]
    found = model.classify([recognise(surveys, packet) for packet in packets])
    good = [packet for packet, one in zip(packets, found, strict=True) if one.probabilities is not None]
    return list(islice(cycle(good), ALERTS))


def ways(
    packets: list[bytes], surveys: Surveys, folder: Path, model: OnnxClassifier, size: int
) -> dict[str, list[Way]]:
    """List what is compared, with batches of one size."""
    definition, running = model.definition, Running(batch=size)
    classifier = OnnxClassifier(definition, (folder / GRAPH_FILE).read_bytes(), running)
    graph = open_graph((folder / GRAPH_FILE).read_bytes(), definition, running.providers)
    preparation = Preparation(definition, running.max_cutout_bytes, running.max_stamp_px)
    batches = [packets[start : start + size] for start in range(0, len(packets), size)]

    def opened(batch: list[bytes]) -> list[Alert]:
        return [recognise(surveys, packet) for packet in batch]

    def feed(batch: list[bytes]) -> Feed:
        return preparation.feed([preparation.take(preparation.read(alert)) for alert in opened(batch)])

    feeds = [feed(batch) for batch in batches]
    output = definition.output.name
    direct = np.concatenate([graph.run(fed, output) for fed in feeds])
    whole = [one for batch in batches for one in classifier.classify(opened(batch))]
    assert np.array_equal(direct, [list((one.probabilities or {}).values()) for one in whole])
    return {
        "whole": [lambda batch=batch: classifier.classify(opened(batch)) for batch in batches],
        "forward": [lambda fed=fed: graph.session.run([output], fed) for fed in feeds],
        "prepare": [lambda batch=batch: feed(batch) for batch in batches],
    }


def measure(compared: dict[str, list[Way]], rounds: int, alerts: int) -> dict[str, tuple[float, float]]:
    """Time the ways in turn, in ms of this thread for one alert: the median of the rounds, and undisturbed."""
    times = {name: np.empty((rounds, len(batches))) for name, batches in compared.items()}
    for number in range(rounds):
        for name, batches in compared.items():
            for batch, way in enumerate(batches):
                start = time.thread_time()
                way()
                times[name][number, batch] = (time.thread_time() - start) / alerts * 1e3
    return {name: (float(np.median(taken.sum(1))), float(taken.min(0).sum())) for name, taken in times.items()}


def scaling(packets: list[bytes], surveys: Surveys, folder: Path, rounds: int) -> None:
    """Print alerts per second, by the clock, of batches side by side."""
    alerts = [recognise(surveys, packet) for packet in packets]
    models = {threads: open_model(folder, Running(threads=threads)) for threads in (1, 2, 4)}
    times: dict[int, list[float]] = {threads: [] for threads in models}
    for _ in range(rounds):
        for threads, model in models.items():
            start = time.perf_counter()
            model.classify(alerts)
            times[threads].append(time.perf_counter() - start)
    rates = {threads: ALERTS / statistics.median(taken) for threads, taken in times.items()}
    print("threads, alerts/s by the clock: " + ", ".join(f"{one}: {rate:.0f}" for one, rate in rates.items()))


def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    surveys = load_surveys()
    with tempfile.TemporaryDirectory() as made:
        for name, what in MODELS.items():
            folder = Path(made) / name
            convert(options.data / "models" / name, folder)
            model = open_model(folder)
            packets = read_packets(options.data, model, surveys)
            print(
                f"{name} ({what}): alerts/s whole, forward alone, whole / forward, ms to prepare one; median, best"
            )
            for size in BATCHES:
                some = packets[: max(size, ALERTS // 2)]
                taken = measure(ways(some, surveys, folder, model, size), options.rounds, len(some))
                figures = [
                    f"{1e3 / whole:6.0f} {1e3 / forward:6.0f} {forward / whole:6.0%} {prepare:7.3f}"
                    for whole, forward, prepare in zip(*taken.values(), strict=True)
                ]
                print(f"  batch {size:4}: {'   '.join(figures)}", flush=True)
            scaling(packets, surveys, folder, options.rounds)


if __name__ == "__main__":
    main()
