"""Model directories as classifiers: bad alerts among good ones, and graphs of all sorts."""

import gzip
import io
import math
import os
import shutil
import sys

import numpy as np
import pytest
from astropy.io import fits
from onnx import TensorProto

from stamp_service.classifiers import DEMO, Models, Running, open_model, open_models, usable_cores
from stamp_service.errors import ConfigurationError, PacketCorrupt, RequestError, StoreUnavailable
from stamp_service.packets import recognise
from stamp_service.settings import Settings
from tests.unit.classifiers.graphs import CLASSES, linear_graph, weights, write_model
from tests.unit.classifiers.test_features import Sent

KINDS = ("science", "template", "difference")
# The input contract of ALeRCE's ATLAS step: what its alerts' headers say, and where they are.
ATLAS_NUMBERS = (
    {"name": "FILTER", "card": "FILTER", "categories": {"c": 0, "o": 1}},
    {"name": "AIRMASS", "card": "AIRMASS"},
    {"name": "SEEING", "card": "SEEING", "mean": 4, "std": 2},
    {"name": "SUNELONG", "card": "SUNELONG", "mean": 120, "std": 30},
    {"name": "MANGLE", "card": "MANGLE", "mean": 90, "std": 30},
    {"name": "ra", "derived": "ra", "mean": 180, "std": 100},
    {"name": "dec", "derived": "dec", "std": 45},
)


def cutout(pixels, gzipped=True):
    file = io.BytesIO()
    fits.PrimaryHDU(np.array(pixels, np.float32)).writeto(file)
    return gzip.compress(file.getvalue()) if gzipped else file.getvalue()


@pytest.fixture
def alert(surveys):
    """Make alerts of 3x3 pixels, whose three images differ by a factor."""

    def make(number=1.0, record=None, **cutouts):
        pixels = np.arange(9).reshape(3, 3) + number
        files = {kind: cutout(pixels * factor, gzipped=factor != 2) for factor, kind in enumerate(KINDS, 1)}
        made = Sent(
            surveys["ztf"], {"candidate": {"magpsf": number}} if record is None else record, files | cutouts
        )
        made.alert_id = str(number)
        return made

    return make


def images(number, *factors):
    return [(np.arange(9) + number) * factor for factor in factors]


def softmax(sums):
    return np.exp(sums) / np.exp(sums).sum()


def probabilities(found):
    return np.array([list(one.probabilities.values()) for one in found])


def stamps(kinds=KINDS, **values):
    return {"input": "stamps", "kinds": kinds, "shape": (3, 3)} | values


MAGNITUDE = {"input": "numbers", "features": [{"name": "magpsf", "fields": ["candidate.magpsf"]}]}


@pytest.fixture
def model(tmp_path):
    graph = linear_graph({"stamps": ["N", 3, 3, 3], "numbers": ["N", 1]}, 5)
    write_model(tmp_path / "own", graph, stamps=[stamps()], metadata=MAGNITUDE)
    return open_model(tmp_path / "own", Running(threads=2, batch=3))


class Broken(Sent):
    def record(self):
        raise PacketCorrupt("the packet ends early")


class Away(Sent):
    def cutouts(self):
        raise StoreUnavailable("the lake cannot be asked")


def test_bad_alerts_change_nothing_for_the_others(model, alert, surveys):
    bad = {
        "the alert has no magpsf": alert(1, {"candidate": {"magpsf": None}}),
        "the alert's magpsf is not a number": alert(2, {"candidate": {"magpsf": math.nan}}),
        "the science stamp has 2 x 2 pixels, not 3 x 3": alert(3, science=cutout(np.eye(2))),
        "the template stamp has 1 x 3 pixels, not 3 x 3": alert(4, template=cutout(np.ones((3, 1)))),
        "The cutout's gzip is cut short.": alert(5, science=cutout(np.eye(3))[:60]),
        "The cutout's FITS file is cut short.": alert(6, difference=cutout(np.eye(3), gzipped=False)[:2890]),
        "the packet ends early": Broken(surveys["ztf"], {}),
        "the model is for alerts of ztf": Sent(surveys["atlas"], {}),
        "the model gives no number for this alert": alert(7, science=cutout(np.full((3, 3), np.nan))),
    }
    empty = alert(8)
    del empty._cutouts["template"]
    bad["the alert has no template stamp"] = empty
    good = [alert(number + 0.5) for number in range(5)]
    mixed = [one for pair in zip(list(bad.values())[:5], good, strict=True) for one in pair] + list(bad.values())[
        5:
    ]
    found = model.classify(mixed)
    assert [one.alert_id for one in found] == [one.alert_id for one in mixed]
    reasons = [one.reason for one in found]
    assert reasons[0:10:2] + reasons[10:] == list(bad)
    assert all((one.probabilities is None) == (one.reason is not None) for one in found)
    assert probabilities(found[1:10:2]) == pytest.approx(probabilities(model.classify(good)), abs=1e-6)
    expected = np.stack(images(0.5, 1, 2, 3), axis=-1).ravel()
    assert probabilities(found[1:2])[0] == pytest.approx(softmax([*expected, 0.5] @ weights(28, 5)), abs=1e-6)


def test_none_and_nothing_but_bad_ones(model, alert):
    assert model.classify([]) == []
    found = model.classify([alert(1, {})])
    assert (found[0].probabilities, found[0].reason, found[0].best()) == (None, "the alert has no magpsf", None)


def test_a_store_that_cannot_be_asked_is_no_reason(model, alert, surveys):
    with pytest.raises(StoreUnavailable):
        model.classify([alert(1), Away(surveys["ztf"], {"candidate": {"magpsf": 1.0}})])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_batches_and_threads_make_no_difference(tmp_path, model, alert, threads, batch):
    alerts = [alert(number / 4) for number in range(10)]
    other = open_model(tmp_path / "own", Running(threads=threads, batch=batch))
    assert probabilities(other.classify(alerts)) == pytest.approx(probabilities(model.classify(alerts)), abs=1e-6)


def test_a_forked_process_has_a_graph_of_its_own(model, alert):
    alerts = [alert(number) for number in range(7)]
    expected = probabilities(model.classify(alerts))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"same" if np.allclose(probabilities(model.classify(alerts)), expected) else b"other")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        assert said.read() == b"same"
    os.waitpid(child, 0)


def test_logits_scores_and_the_best(tmp_path, alert):
    graph = linear_graph({"stamps": ["N", 3, 3, 1]}, 5, softmax=False)
    write_model(tmp_path / "logits", graph, stamps=[stamps(KINDS[:1])], output={"name": "out", "holds": "logits"})
    (found,) = open_model(tmp_path / "logits").classify([alert(300)])
    expected = softmax(images(300, 1)[0] @ weights(9, 5).astype(np.float64))
    assert list(found.probabilities.values()) == pytest.approx(expected, rel=1e-4)
    best = int(np.argmax(expected))
    assert found.best() == (CLASSES[best], pytest.approx(expected[best]))

    score = linear_graph({"stamps": ["N", 3, 3, 1]}, 1, softmax=False)
    small = stamps(KINDS[:1], normalisation="l2")
    output = {"name": "out", "holds": "score"}
    write_model(tmp_path / "score", score, stamps=[small], output=output, classes=("real", "bogus"))
    (found,) = open_model(tmp_path / "score").classify([alert(1)])
    pixels = images(1, 1)[0]
    real = float(pixels @ weights(9, 1)[:, 0] / np.linalg.norm(pixels))
    assert found.probabilities == pytest.approx({"real": real, "bogus": 1 - real}, abs=1e-6)


def test_somebody_elses_graph(tmp_path, alert):
    # float64, channels first, an input for each kind, and one alert at a time.
    graph = linear_graph({"old": [1, 1, 3, 3], "new": [1, 2, 3, 3]}, 5, dtype=TensorProto.DOUBLE)
    inputs = [
        stamps(KINDS[1:2], input="old", layout="NCHW"),
        stamps((KINDS[2], KINDS[0]), input="new", layout="NCHW", normalisation="minmax"),
    ]
    write_model(tmp_path / "other", graph, stamps=inputs)
    model = open_model(tmp_path / "other", Running(batch=8))
    found = model.classify([alert(number) for number in (1, 2, 3)])
    scaled = np.arange(9) / 8
    for number, row in zip((1, 2, 3), probabilities(found), strict=True):
        fed = np.concatenate([images(number, 2)[0], scaled, scaled])
        assert row == pytest.approx(softmax(fed @ weights(27, 5, TensorProto.DOUBLE)), abs=1e-6)


def test_a_graph_for_a_fixed_number_of_alerts(tmp_path, alert):
    write_model(
        tmp_path / "two", linear_graph({"stamps": [2, 3, 3, 3]}, 5), stamps=[stamps(normalisation="minmax")]
    )
    write_model(
        tmp_path / "any", linear_graph({"stamps": ["N", 3, 3, 3]}, 5), stamps=[stamps(normalisation="minmax")]
    )
    alerts = [alert(number) for number in range(5)]
    two, anything = (open_model(tmp_path / name).classify(alerts) for name in ("two", "any"))
    assert probabilities(two) == pytest.approx(probabilities(anything), abs=1e-6)


def test_the_atlas_contract(tmp_path, shared_data, surveys):
    """61x61 science and difference images, gzipped or plain, header cards and the alert's position."""
    graph = linear_graph({"stamps": ["N", 61, 61, 2], "numbers": ["N", 7]}, 5)
    classes = ("agn", "asteroid", "bogus", "sn", "vs")
    write_model(
        tmp_path / "atlas_stamp_classifier",
        graph,
        survey="atlas",
        classes=classes,
        stamps=[stamps(("science", "difference"), shape=(61, 61), normalisation="minmax")],
        metadata={"input": "numbers", "features": ATLAS_NUMBERS},
    )
    files = sorted((shared_data / "alerts/atlas").glob("*.avro"))
    alerts = [recognise(surveys, file.read_bytes()) for file in files]
    zipped = {alert.cutouts()["science"].startswith(b"\x1f\x8b") for alert in alerts}
    assert zipped == {True, False}
    found = open_model(tmp_path / "atlas_stamp_classifier").classify(alerts)
    for alert, one in zip(alerts, found, strict=True):
        pixels, header = read_atlas(alert)
        position = [alert.summary().ra_deg, alert.summary().dec_deg]
        numbers = [{"c": 0, "o": 1}[header["FILTER"]], *(header[key] for key in ("AIRMASS", "SEEING", "SUNELONG"))]
        numbers = np.array([*numbers, header["MANGLE"], *position])
        numbers = (numbers - [0, 0, 4, 120, 90, 180, 0]) / [1, 1, 2, 30, 30, 100, 45]
        expected = softmax(
            np.concatenate([pixels.ravel(), numbers]) @ weights(61 * 61 * 2 + 7, 5).astype(np.float64)
        )
        assert one.reason is None
        assert one.probabilities == pytest.approx(dict(zip(classes, expected, strict=True)), abs=1e-5)


def read_atlas(alert):
    """Read and scale images with gzip and astropy."""
    scaled, header = [], None
    for kind in ("science", "difference"):
        data = alert.cutouts()[kind]
        plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        with fits.open(io.BytesIO(plain), output_verify="ignore") as hdus:
            pixels = hdus[0].data.astype(np.float64)
            header = header or {
                key: hdus[0].header[key] for key in ("FILTER", "AIRMASS", "SEEING", "SUNELONG", "MANGLE")
            }
        scaled.append((pixels - np.nanmin(pixels)) / (np.nanmax(pixels) - np.nanmin(pixels)))
    return np.nan_to_num(np.stack(scaled, axis=-1)), header


@pytest.mark.parametrize(
    ("graph", "values", "message"),
    [
        (b"no graph", {}, "ONNX Runtime cannot load its graph"),
        (linear_graph({"images": ["N", 3, 3, 3]}, 5), {}, "its graph takes images, and model.toml says other"),
        (linear_graph({"stamps": ["N", 3, 3, 1]}, 5), {}, "its graph does not take what model.toml describes"),
        (linear_graph({"stamps": ["N", 3, 3, 3]}, 4), {}, "its graph gives 4 values for an alert, not 5"),
        (
            linear_graph({"stamps": ["N", 3, 3, 3]}, 5),
            {"output": {"name": "probabilities"}},
            "its graph does not take what model.toml describes",
        ),
    ],
)
def test_graphs_that_are_not_what_their_definition_says(tmp_path, graph, values, message):
    write_model(tmp_path / "own", graph, **{"stamps": [stamps()]} | values)
    with pytest.raises(ConfigurationError, match=f"^Model own: {message}$"):
        open_model(tmp_path / "own")


def test_providers_that_are_not_here(tmp_path):
    write_model(tmp_path / "own", linear_graph({"stamps": ["N", 3, 3, 3]}, 5), stamps=[stamps()])
    with pytest.raises(
        ConfigurationError, match=r"STAMP_CLASSIFIER_PROVIDERS: Abacus is not one of .*CPUExecutionPro"
    ):
        open_model(tmp_path / "own", Running(providers=("Abacus",)))


def test_without_onnx_runtime_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    write_model(tmp_path / "own", linear_graph({"stamps": ["N", 3, 3, 3]}, 5), stamps=[stamps()])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ConfigurationError, match=r"^Classifiers need: pip install 'stamp-service\[classifiers\]'$"
    ):
        open_model(tmp_path / "own")


@pytest.fixture
def models(tmp_path):
    """Two models of ZTF alerts, and one of LSST's."""
    graph = linear_graph({"stamps": ["N", 3, 3, 3]}, 5)
    write_model(tmp_path / "first", graph, stamps=[stamps()])
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    write_model(tmp_path / "rubin", graph, stamps=[stamps()], survey="lsst")
    (tmp_path / "empty").mkdir()
    return Models(tmp_path, Running())


def test_models_have_the_names_of_their_folders(models):
    assert models.names() == (DEMO, "first", "rubin", "second")
    assert models.named("second") is models.named("second")
    assert models.named("second").name == "first"
    assert models.default_for("lsst") == "rubin"
    with pytest.raises(RequestError, match="model: name one of first, second"):
        models.default_for("ztf")
    with pytest.raises(RequestError, match="model: there is no model for atlas alerts"):
        models.default_for("atlas")
    with pytest.raises(RequestError, match="--model is not one of demo, first, rubin, second"):
        models.named("empty", "--model")


def test_the_demonstration_is_always_there(tmp_path):
    models = open_models(Settings(data_dir=tmp_path, demo=False))
    assert models.names() == (DEMO,)
    assert models.default_for("ztf") == DEMO
    with pytest.raises(ConfigurationError, match="STAMP_MODEL_DIR is not a folder"):
        open_models(Settings(data_dir=tmp_path, demo=False, model_dir=tmp_path / "none"))


def test_threads_are_the_cores_that_were_given():
    assert 1 <= usable_cores() <= os.cpu_count()
    assert usable_cores() <= len(os.sched_getaffinity(0))
