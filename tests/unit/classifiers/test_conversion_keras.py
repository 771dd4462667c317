"""Keras' HDF5 files: what is rebuilt, how its normalisation is found, and what is refused."""

import io
import json
import shutil
import sys
from contextlib import suppress

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.classifiers.conversion import convert
from stamp_service.classifiers.conversion.keras import convert_keras
from stamp_service.errors import ConfigurationError, StampServiceError

REMARK = "for a test"


def layer(kind, name, **settings):
    return {"class_name": kind, "config": {"name": name, **settings}}


def arrays(*shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return {"kernel": rng.normal(0, 0.2, shape).astype("f4"), "bias": rng.normal(0, 0.2, shape[-1:]).astype("f4")}


LAYERS = [
    layer("Conv2D", "first", batch_input_shape=[None, 9, 11, 3], activation="relu", padding="same"),
    layer("MaxPooling2D", "pool", pool_size=[2, 3], strides=[2, 2]),
    layer("Conv2D", "second", activation="linear", strides=[1, 1], unknown_setting={"a": 1}),
    layer("Dropout", "dropout"),
    layer("Flatten", "flatten"),
    layer("Dense", "hidden", activation="relu"),
    layer("Dense", "last", activation="sigmoid"),
]
WEIGHTS = {
    "first": arrays(4, 3, 3, 2),
    "second": arrays(2, 3, 2, 3),
    "hidden": arrays(27, 4),
    "last": arrays(4, 1),
}


def keras_file(layers=LAYERS, weights=WEIGHTS, *, model="Sequential", old=False, spoil=None):
    """Write a file as Keras does, and let a function change it."""
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        config = layers if old else {"name": "net", "layers": layers}
        file.attrs["model_config"] = json.dumps({"class_name": model, "config": config})
        groups = file.create_group("model_weights")
        for name, values in weights.items():
            group = groups.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in values]
            for part, value in values.items():
                group[f"{name}/{part}:0"] = value
        if spoil is not None:
            spoil(file)
    return data.getvalue()


def slow_network(stamps):
    """The same network in numpy, pixel by pixel."""
    kernel, bias = WEIGHTS["first"].values()
    # Of an even kernel's zeros, one more stands behind than before.
    padded = np.pad(stamps, ((0, 0), (1, 2), (1, 1), (0, 0)))
    found = np.maximum(correlate(padded, kernel) + bias, 0)
    rows, columns = (found.shape[1] - 2) // 2 + 1, (found.shape[2] - 3) // 2 + 1
    pooled = [
        [found[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 3].max((1, 2)) for x in range(columns)] for y in range(rows)
    ]
    kernel, bias = WEIGHTS["second"].values()
    found = correlate(np.array(pooled).transpose(2, 0, 1, 3), kernel) + bias
    hidden = np.maximum(
        found.reshape(len(stamps), -1) @ WEIGHTS["hidden"]["kernel"] + WEIGHTS["hidden"]["bias"], 0
    )
    return 1 / (1 + np.exp(-(hidden @ WEIGHTS["last"]["kernel"] + WEIGHTS["last"]["bias"])))


def correlate(images, kernel):
    rows, columns = kernel.shape[:2]
    ny, nx = images.shape[1] - rows + 1, images.shape[2] - columns + 1
    return np.array(
        [[np.tensordot(images[:, y : y + rows, x : x + columns], kernel, 3) for x in range(nx)] for y in range(ny)]
    ).transpose(2, 0, 1, 3)


@pytest.mark.parametrize("old", [True, False])
def test_a_network_is_rebuilt_from_its_own_description(old):
    made = convert_keras(keras_file(old=old), "minmax", REMARK)
    assert (made.stamps.shape, made.stamps.normalisation, made.stamps.pad) == ((9, 11), "minmax", None)
    assert (made.classes, made.output.holds) == (("real", "bogus"), "score")
    assert REMARK in made.description
    onnx.checker.check_model(onnx.load_from_string(made.graph), full_check=True)
    stamps = np.random.default_rng(1).normal(size=(3, 9, 11, 3)).astype("f4")
    (scores,) = onnxruntime.InferenceSession(made.graph).run(None, {"triplet": stamps})
    np.testing.assert_allclose(scores, slow_network(stamps), atol=1e-6)
    assert convert_keras(keras_file(old=old), "minmax", REMARK).graph == made.graph


def changed(number, **changes):
    layers = [{**one, "config": dict(one["config"])} for one in LAYERS]
    layers[number]["config"] |= changes
    return keras_file(layers)


def replaced(number, *new):
    return keras_file([*LAYERS[:number], *new, *LAYERS[number + 1 :]])


def with_weights(**new):
    return keras_file(weights=WEIGHTS | new)


def elsewhere(file):
    del file["model_weights/last/last/bias:0"]
    file["model_weights/last/last/bias:0"] = h5py.ExternalLink("/etc/other.h5", "/x")


def linked(file):
    del file["model_weights/last/last/bias:0"]
    file["model_weights/last/last/bias:0"] = h5py.SoftLink("/model_weights/hidden/hidden/bias:0")


def outside(file):
    del file["model_weights/last/last/bias:0"]
    file["model_weights/last"].create_dataset("last/bias:0", (1,), "f4", external=[("/etc/passwd", 0, 4)])


def endless(file):
    del file["model_weights/last/last/bias:0"]
    file["model_weights/last"].create_dataset("last/bias:0", (2**40,), "f4", chunks=(2**20,))


def renamed(file):
    file["model_weights/last"].attrs["weight_names"] = [b"../../etc/kernel:0"]


def wordless(file):
    file.attrs["model_config"] = 7


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (keras_file(model="Functional"), "class_name"),
        (keras_file([]), "layers"),
        (keras_file(LAYERS[:-1]), "one score"),
        (replaced(3, layer("LSTM", "memory")), "class_name"),
        (replaced(4), "before all is flattened"),
        (replaced(2, layer("Dense", "hidden")), "before all is flattened"),
        (changed(0, batch_input_shape=None), "what stamps it takes"),
        (changed(0, batch_input_shape=[None, 9, 11, 2]), "batch_input_shape"),
        (changed(0, batch_input_shape=[None, 10**6, 10**6, 3]), "batch_input_shape"),
        (changed(0, batch_input_shape=[None, 1, 1, 3], padding="valid"), "layer first is larger"),
        (changed(0, strides=[2, 2]), "strides"),
        (changed(0, data_format="channels_first"), "data_format"),
        (changed(0, dilation_rate=[2, 2]), "dilation_rate"),
        (changed(0, name="../first"), "name"),
        (changed(0, use_bias=False), "use_bias"),
        (changed(1, pool_size=[64, 64]), "layer pool does not fit"),
        (changed(1, padding="same"), "layer pool does not fit"),
        (changed(2, activation="elu"), "activation"),
        (changed(2, name="third"), "no weights where they should be"),
        (changed(6, activation="linear"), "one score"),
        (with_weights(last=arrays(5, 1)), "of layer last do not fit"),
        (with_weights(last=arrays(4, 2)), "one score"),
        (with_weights(last={"kernel": WEIGHTS["last"]["kernel"]}), "damaged"),
        (with_weights(first=arrays(3, 3)), "of layer first do not fit"),
        (with_weights(last=arrays(4, 1) | {"bias": np.zeros(1)}), "not plain arrays"),
        (with_weights(last=arrays(4, 1) | {"bias": np.full(1, np.inf, "f4")}), "not finite"),
        (keras_file(spoil=elsewhere), "no weights where they should be"),
        (keras_file(spoil=linked), "no weights where they should be"),
        (keras_file(spoil=outside), "not plain arrays"),
        (keras_file(spoil=endless), "not plain arrays"),
        (keras_file(spoil=renamed), "no weights where they should be"),
        (keras_file(spoil=wordless), "model_config"),
        (keras_file(spoil=lambda file: file.attrs.pop("model_config")), "damaged"),
        (keras_file(spoil=lambda file: file.pop("model_weights")), "damaged"),
        (keras_file()[:-1000], "damaged"),
        (b"\x89HDF\r\n\x1a\n", "damaged"),
    ],
)
def test_what_is_not_rebuilt_is_refused_with_the_reason(data, reason):
    with pytest.raises(ConfigurationError, match=reason):
        convert_keras(data, "l2", REMARK)


WHOLE = keras_file()


@settings(max_examples=40)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_damaged_files_do_no_harm(at, octet):
    # HDF5 has no checksums that would find a weight that has changed.
    with suppress(StampServiceError):
        convert_keras(WHOLE[:at] + bytes([octet]) + WHOLE[at + 1 :], "l2", REMARK)


@pytest.mark.parametrize(
    ("source", "name", "wanted", "normalisation", "remark"),
    [
        ("braai_d6_m9.h5", "braai_d6_m9.h5", None, "l2", "since this is the published file of d6_m9"),
        ("d6_m7.h5", "d6_m7.h5", "l2-rows", "l2-rows", "since this is the published file of d6_m7"),
        # What is in a file counts, not what it is called.
        ("d6_m7.h5", "braai_d6_m9.h5", None, "l2-rows", "since this is the published file of d6_m7"),
    ],
)
def test_published_files_are_known(shared_data, tmp_path, source, name, wanted, normalisation, remark):
    shutil.copyfile(shared_data / "models" / source, tmp_path / name)
    made = convert(tmp_path / name, tmp_path / "out", normalisation=wanted)
    assert (made.stamps[0].normalisation, made.stamps[0].pad) == (normalisation, 1e-9)
    assert made.description.endswith(f"normalisation: {normalisation}, {remark}")


@pytest.mark.parametrize(
    ("name", "wanted", "normalisation", "remark"),
    [
        ("my_d6_m9_retrained.h5", None, "l2", "only because the file is named after d6_m9"),
        ("d6_m7.hdf5", None, "l2-rows", "only because the file is named after d6_m7"),
        ("mine.h5", "none", "none", "as asked for"),
        ("d6_m7.h5", "l2", "l2", "as asked for"),
    ],
)
def test_others_are_named_or_asked_for(tmp_path, name, wanted, normalisation, remark):
    (tmp_path / name).write_bytes(WHOLE)
    made = convert(tmp_path / name, tmp_path / "out", normalisation=wanted)
    assert made.stamps[0].normalisation == normalisation
    assert made.description.endswith(f"normalisation: {normalisation}, {remark}")


@pytest.mark.parametrize("name", ["mine.h5", "d6_m7_or_d6_m9.h5"])
def test_nothing_is_guessed(tmp_path, name):
    (tmp_path / name).write_bytes(WHOLE)
    with pytest.raises(ConfigurationError, match="choose --normalisation, l2 as d6_m9 takes or l2-rows as d6_m7"):
        convert(tmp_path / name, tmp_path / "out")


def test_who_is_wrong_about_a_published_file_is_told_so(shared_data, tmp_path):
    with pytest.raises(ConfigurationError, match="This is braai's d6_m7, which takes l2-rows"):
        convert(shared_data / "models" / "d6_m7.h5", tmp_path / "out", normalisation="l2")


@pytest.mark.parametrize("package", ["h5py", "onnx.helper"])
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, tmp_path, package):
    (tmp_path / "d6_m7.h5").write_bytes(WHOLE)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=r"stamp-service\[convert\]"):
        convert(tmp_path / "d6_m7.h5", tmp_path / "out")
