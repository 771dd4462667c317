"""ALeRCE's stamp classifiers: the networks of their TensorFlow 1 checkpoints, rebuilt as ONNX graphs.

Carrasco-Davis et al. (2021, AJ 162, 231) describe the network with features: a convolutional network sees each
stamp in four orientations, what it finds is averaged over them, and the alert's features join in. Later networks
have no features, and average one layer later. Which it is, and all sizes, are seen from the checkpoint's tensors.
"""

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import NoReturn

import numpy as np

from stamp_service.classifiers.conversion.checkpoints import Tensors
from stamp_service.classifiers.conversion.converted import Converted
from stamp_service.classifiers.conversion.graphs import Graph, Shape, Weights, channels_first
from stamp_service.classifiers.definition import (
    AsteroidRule,
    Feature,
    Metadata,
    Output,
    Rules,
    Stamps,
    SupernovaRule,
)
from stamp_service.errors import ConfigurationError

_CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
_STAMPS = Stamps(
    input="stamps",
    kinds=("science", "template", "difference"),
    shape=(63, 63),
    crop=(21, 21),
    normalisation="minmax",
)
_RULES = Rules(asteroid=AsteroidRule(class_name="asteroid"), supernova=SupernovaRule(class_name="SN"))
# Zeros around a stamp before the first convolution.
_BORDER_PX = 3
_POOLED_AFTER = (1, 4)
_BATCH_NORM_EPSILON = 1e-3

_LAYER = re.compile(r"network/(conv|dense)_(\d)_\d+/(?:conv2d|dense_\2_\d+)/(kernel|bias)")
_NORMS = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True, slots=True)
class _Layer:
    kernel: Weights
    bias: Weights


@dataclass(frozen=True, slots=True)
class _Network:
    """The layers, in order, and the four arrays `(features,)` of the features' batch normalisation."""

    convolutions: list[_Layer]
    dense: list[_Layer]
    norms: list[Weights] | None

    @property
    def pooled_after(self) -> int:
        """After which dense layer the orientations are averaged."""
        return 0 if self.norms else len(self.dense) - 2

    @property
    def features(self) -> int:
        return self.norms[0].size if self.norms else 0


def convert_checkpoint(tensors: Tensors) -> Converted:
    """Rebuild a stamp classifier from its tensors.

    Parameters
    ----------
    tensors : mapping of str to numpy.ndarray
        The tensors of its checkpoint.

    Returns
    -------
    Converted
        The graph, and what its `model.toml` has to say.

    Raises
    ------
    ConfigurationError
        If it is another network.
    """
    network = _recognise(tensors)
    side_px = _check(network)
    graph = _build(network, side_px)
    size = len(network.convolutions[1].kernel)
    what = f"{network.features} features" if network.norms else "images only"
    return Converted(
        graph=graph,
        description=f"ALeRCE's stamp classifier of ZTF alerts: {what}, {size}x{size} kernels",
        classes=_CLASSES,
        stamps=_STAMPS,
        output=Output(name="probabilities"),
        metadata=_metadata(network.features) if network.norms else None,
        rules=_RULES,
    )


def _refuse(why: str) -> NoReturn:
    raise ConfigurationError(f"The checkpoint is not of one of ALeRCE's stamp classifiers: {why}")


def _recognise(tensors: Tensors) -> _Network:
    parts: dict[tuple[str, int], dict[str, Weights]] = {}
    for name in tensors:
        if match := _LAYER.fullmatch(name):
            parts.setdefault((match[1], int(match[2])), {})[match[3]] = _weights(tensors, name)
    with_features = any(name.startswith("network/batchnorm_features/") for name in tensors)
    expected = [("conv", number) for number in range(1, 6)]
    expected += [("dense", number) for number in range(1, 4 if with_features else 3)]
    if sorted(parts) != expected:
        _refuse("it has other layers")
    layers = [_Layer(parts[key].get("kernel", _NOTHING), parts[key].get("bias", _NOTHING)) for key in expected]
    logits = _Layer(*(_weights(tensors, f"network/output_logits/{part}") for part in ("kernel", "bias")))
    norms = [_weights(tensors, f"network/batchnorm_features/{name}") for name in _NORMS] if with_features else None
    return _Network(layers[:5], [*layers[5:], logits], norms)


_NOTHING: Weights = np.zeros(0, np.float32)


def _weights(tensors: Tensors, name: str) -> Weights:
    array = tensors.get(name)
    if array is None:
        _refuse(f"it has no {name}")
    if array.dtype != np.float32:
        _refuse(f"{name} is not float32")
    if not np.isfinite(array).all():
        raise ConfigurationError(f"The checkpoint's tensor {name} holds values that are not finite")
    return array.astype(np.float32)


def _check(network: _Network) -> int:
    """Hold each layer against the one before, and return the width of what the last convolution leaves, pixels."""
    if any(norm.shape != (network.features,) for norm in network.norms or ()):
        _refuse("its features' normalisation does not fit")
    side_px, channels = _STAMPS.fed_shape[0] + 2 * _BORDER_PX, len(_STAMPS.kinds)
    for number, layer in enumerate(network.convolutions):
        shape = layer.kernel.shape
        if len(shape) != 4 or shape[0] != shape[1] or shape[2] != channels or layer.bias.shape != shape[3:]:
            _refuse(f"convolution {number + 1} does not fit")
        channels = shape[3]
        side_px -= shape[0] - 1 if number == 0 else 0
        if number in _POOLED_AFTER:
            if side_px < 2 or side_px % 2:
                _refuse("its first kernel is of another size")
            side_px //= 2
    width = side_px * side_px * channels
    for number, layer in enumerate(network.dense):
        if layer.bias.ndim != 1 or layer.kernel.shape != (width, len(layer.bias)):
            _refuse(f"dense layer {number + 1} does not fit")
        width = len(layer.bias) + (network.features if number == network.pooled_after else 0)
    if len(network.dense[-1].bias) != len(_CLASSES):
        _refuse(f"it has {len(network.dense[-1].bias)} classes")
    return side_px


def _build(network: _Network, side_px: int) -> bytes:
    graph = Graph("stamp_classifier")
    images = _rotations(graph, _STAMPS.input)
    for number, layer in enumerate(network.convolutions):
        padding = None if number else _BORDER_PX
        images = graph.convolution(images, layer.kernel, layer.bias, padding)
        if number in _POOLED_AFTER:
            images = graph.add("MaxPool", images, kernel_shape=[2, 2], strides=[2, 2])
    found = graph.add("Flatten", images)
    for number, layer in enumerate(network.dense[:-1]):
        shape = (side_px, side_px, len(network.convolutions[-1].bias))
        kernel = layer.kernel if number else channels_first(layer.kernel, shape)
        found = graph.dense(found, kernel, layer.bias)
        if number == network.pooled_after:
            by_rotation = graph.add("Reshape", found, graph.constant([4, -1, len(layer.bias)]))
            found = graph.add("ReduceMean", by_rotation, axes=[0], keepdims=0)
            if network.norms:
                norms = [graph.constant(norm) for norm in network.norms]
                features = graph.add("BatchNormalization", "features", *norms, epsilon=_BATCH_NORM_EPSILON)
                found = graph.add("Concat", found, features, axis=1)
    logits = graph.dense(found, network.dense[-1].kernel, network.dense[-1].bias, None)
    graph.add("Softmax", logits, output="probabilities", axis=1)
    inputs: dict[str, Shape] = {_STAMPS.input: ("N", *_STAMPS.fed_shape, len(_STAMPS.kinds))}
    if network.norms:
        inputs["features"] = ("N", network.features)
    return graph.write(inputs, {"probabilities": ("N", len(_CLASSES))})


def _rotations(graph: Graph, stamps: str) -> str:
    """Turn stamps `(N, ny, nx, kinds)` counter-clockwise by 0, 90, 180 and 270 degrees: `(4 N, kinds, ny, nx)`."""
    upright = graph.add("Transpose", stamps, perm=[0, 3, 1, 2])
    mirrored = graph.add("Transpose", stamps, perm=[0, 3, 2, 1])

    def reverse(images: str, *axes: int) -> str:
        # From the last to the one before the first; the latter is however far one likes before the start.
        start, end = [-1] * len(axes), [np.iinfo(np.int64).min] * len(axes)
        bounds = [graph.constant([int(value) for value in values]) for values in (start, end, axes, start)]
        return graph.add("Slice", images, *bounds)

    return graph.add("Concat", upright, reverse(mirrored, 2), reverse(upright, 2, 3), reverse(mirrored, 3), axis=0)


def _metadata(count: int) -> Metadata:
    table = tomllib.loads(files(__package__).joinpath("ztf_features.toml").read_text(encoding="utf-8"))
    features = tuple(Feature.model_validate(feature) for feature in table["features"])
    none: list[str] = []
    for left_out in (none, table["left_out_of_23"]):
        known = tuple(feature for feature in features if feature.name not in left_out)
        if len(known) == count:
            return Metadata(input="features", features=known)
    _refuse(f"it takes {count} features, and which they are is not known")
