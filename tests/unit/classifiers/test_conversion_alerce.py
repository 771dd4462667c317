"""From networks' files to model directories: graphs that say what TensorFlow said, and a reason for all others."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from stamp_service.classifiers import read_definition
from stamp_service.classifiers.conversion.alerce import convert_checkpoint
from stamp_service.errors import ConfigurationError
from tests.unit.classifiers.checkpoint_files import small_network

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
TOLERANCE = 2e-6


def run(graph, **inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    (output,) = onnxruntime.InferenceSession(graph, options).run(None, inputs)
    return output


@pytest.mark.parametrize(
    ("name", "features", "kernels"),
    [
        ("best_model_new_bogus_reg", None, "images only, 3x3"),
        ("best_model_new_bogus", None, "images only, 3x3"),
        ("best_model_so_far", "features26", "26 features, 3x3"),
        ("staging_synthetic", "features23", "23 features, 5x5"),
    ],
)
def test_published_networks_give_what_tensorflow_gave(published, shared_data, golden, name, features, kernels):
    inputs = np.load(shared_data / "models" / "golden_ztf_inputs.npz")
    told = golden["golden_ztf"] if name == "best_model_so_far" else golden["golden_ztf_other_models"]
    told = [told[str(candid)] for candid in inputs["candids"]]
    told = [one if name == "best_model_so_far" else one[name] for one in told]
    expected = np.array([[one[label] for label in CLASSES] for one in told])
    given = {"stamps": inputs["stamps"]} | ({"features": inputs[features]} if features else {})
    graph = (published[name] / "model.onnx").read_bytes()
    np.testing.assert_allclose(run(graph, **given), expected, rtol=0, atol=TOLERANCE)
    definition = read_definition(published[name])
    assert kernels in definition.description
    assert definition.classes == CLASSES


@pytest.mark.parametrize("features", [0, 23, 26])
@pytest.mark.parametrize("kernel_px", [3, 5])
def test_graphs_are_valid_and_reproducible(features, kernel_px):
    tensors = small_network(features, kernel_px)
    graphs = {convert_checkpoint(dict(items)).graph for items in (tensors.items(), reversed(tensors.items()))}
    assert len(graphs) == 1
    model = onnx.load_from_string(graphs.pop())
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [one.version for one in model.opset_import]) == (8, [17])
    given = {"stamps": [0, 21, 21, 3]} | ({"features": [0, features]} if features else {})
    assert {
        one.name: [side.dim_value for side in one.type.tensor_type.shape.dim] for one in model.graph.input
    } == given


def test_small_networks_see_all_orientations():
    graph = convert_checkpoint(small_network()).graph
    stamps = np.random.default_rng(1).uniform(size=(3, 21, 21, 3)).astype("f4")
    upright = run(graph, stamps=stamps)
    for turns in (1, 2, 3):
        np.testing.assert_allclose(run(graph, stamps=np.rot90(stamps, turns, (1, 2))), upright, atol=1e-6)
    assert np.abs(run(graph, stamps=stamps[:, ::-1]) - upright).max() > 1e-4


def test_features_are_those_that_the_networks_were_trained_with(published, shared_data):
    norms = json.loads((shared_data / "models" / "feature_norm_stats.json").read_bytes())
    (all_26, some_23) = (
        read_definition(published[name]).metadata.features for name in ("best_model_so_far", "staging_synthetic")
    )
    assert {one.name: {"mean": one.mean, "std": one.std} for one in all_26} == norms
    assert [one for one in all_26 if one.name not in {"rb", "distnr", "magnr"}] == list(some_23)


def without(name):
    return {key: value for key, value in small_network(23).items() if key != name}


def scalars(layer):
    return {f"{layer}/kernel": np.zeros(4, "f4"), f"{layer}/bias": np.zeros((), "f4")}


def nothing(*names):
    return {f"network/batchnorm_features/{name}": np.zeros(0, "f4") for name in names}


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"weights": np.zeros(3, "f4")}, "other layers"),
        ({}, "other layers"),
        (small_network(22), "takes 22 features"),
        (small_network(23) | nothing("gamma", "beta", "moving_mean", "moving_variance"), "dense layer 2"),
        (small_network(classes=6), "6 classes"),
        (without("network/conv_3_4/conv2d/bias"), "convolution 3 does not fit"),
        (without("network/conv_3_4/conv2d/kernel"), "convolution 3 does not fit"),
        (without("network/output_logits/kernel"), "has no network/output_logits/kernel"),
        (without("network/batchnorm_features/beta"), "has no network/batchnorm_features/beta"),
        (small_network() | {"network/conv_6_7/conv2d/bias": np.zeros(1, "f4")}, "other layers"),
        (small_network() | {"network/conv_1_1/conv2d/kernel": np.zeros((4, 4, 1, 2), "f4")}, "convolution 1"),
        (small_network() | {"network/conv_1_1/conv2d/kernel": np.zeros((5, 5, 3, 2), "f4")}, "first kernel"),
        (small_network() | {"network/conv_1_1/conv2d/kernel": np.zeros((99, 99, 3, 2), "f4")}, "first kernel"),
        (small_network() | {"network/conv_2_2/conv2d/kernel": np.zeros((3, 5, 2, 2), "f4")}, "convolution 2"),
        (small_network() | {"network/dense_1_9/dense_1_9/kernel": np.zeros((107, 4), "f4")}, "dense layer 1"),
        (small_network() | {"network/output_logits/kernel": np.zeros((5, 5), "f4")}, "dense layer 3"),
        (small_network() | {"network/output_logits/bias": np.zeros((), "f4")}, "dense layer 3"),
        (small_network(0, 3, 1) | scalars("network/output_logits"), "dense layer 3"),
        (small_network() | {"network/output_logits/bias": np.zeros(5)}, "not float32"),
        (small_network() | {"network/output_logits/bias": np.full(5, np.nan, "f4")}, "not finite"),
        (small_network(23) | {"network/batchnorm_features/beta": np.zeros(3, "f4")}, "normalisation does not fit"),
        (
            small_network(23) | {"network/batchnorm_features/gamma": np.zeros((), "f4")},
            "normalisation does not fit",
        ),
    ],
)
def test_other_networks_are_refused_with_the_reason(tensors, reason):
    with pytest.raises(ConfigurationError, match=reason):
        convert_checkpoint(tensors)
