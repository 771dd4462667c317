"""Keras' HDF5 files of plain convolutional networks with one score, such as braai's, rebuilt as ONNX graphs.

The layers are read from the file's own description. Braai is described by Duev et al. (2019, MNRAS 489, 3582).
"""

from io import BytesIO
from typing import Annotated, Literal, NoReturn

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from stamp_service.classifiers.conversion.converted import Converted
from stamp_service.classifiers.conversion.extras import Untyped, extra
from stamp_service.classifiers.conversion.graphs import Graph, Shape, Weights, channels_first
from stamp_service.classifiers.definition import Output, Stamps
from stamp_service.errors import ConfigurationError, StampServiceError

Normalisation = Literal["minmax", "l2", "l2-rows", "none"]

_CLASSES = ("real", "bogus")
_INPUT, _OUTPUT = "triplet", "drb"
# The published files: their normalisation is not written in them. That of d6_m7 was found by comparing its scores
# with those that ZTF's packets carry.
_PUBLISHED: dict[str, Normalisation] = {"d6_m9": "l2", "d6_m7": "l2-rows"}
_PUBLISHED_SHA256 = {
    "24f97a6a37cf90da2697a657644049caf8c7f2bf382b60c64aa88dba0828ceaa": "d6_m9",
    "66a699da0c0f7ece4e4046e358cfd5a78bd3eabf0117921a09c6fdd640635110": "d6_m7",
}
# What braai's stamps that are too small are enlarged with, once they are normalised.
_PADDING = 1e-9
_MOST_WEIGHTS = 2**26
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "linear": None}

_Size = Annotated[int, Field(ge=1, le=64)]
_Side = Annotated[int, Field(ge=1, le=4096)]
_Inputs = tuple[None, _Side, _Side, Literal[3]]


class _Settings(BaseModel):
    """What matters of a layer's settings; values that are not listed are not understood."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,64}$")]
    batch_input_shape: _Inputs | None = None
    batch_shape: _Inputs | None = None
    strides: tuple[_Size, _Size] | None = None
    pool_size: tuple[_Size, _Size] = (2, 2)
    padding: Literal["valid", "same"] = "valid"
    dilation_rate: tuple[Literal[1], Literal[1]] = (1, 1)
    groups: Literal[1] = 1
    data_format: Literal["channels_last"] | None = None
    activation: Literal["relu", "sigmoid", "linear"] = "linear"
    use_bias: Literal[True] = True


class _Layer(BaseModel):
    class_name: Literal["InputLayer", "Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense"]
    config: _Settings


class _Layers(BaseModel):
    layers: Annotated[list[_Layer], Field(min_length=1, max_length=100)]


class _Model(BaseModel):
    class_name: Literal["Sequential"]
    # A list in Keras' early versions.
    config: _Layers | list[_Layer]

    @property
    def layers(self) -> list[_Layer]:
        return self.config.layers if isinstance(self.config, _Layers) else self.config


def choose_normalisation(name: str, sha256: str, wanted: Normalisation | None) -> tuple[Normalisation, str]:
    """Decide how a network's stamps are normalised, which its file does not say.

    Parameters
    ----------
    name : str
        The file's name.
    sha256 : str
        Of its content.
    wanted : str, optional
        What the user says.

    Returns
    -------
    tuple of str
        The normalisation, and a remark on why it is that one.

    Raises
    ------
    ConfigurationError
        If nothing tells, or the user is wrong about a published file.
    """
    published = _PUBLISHED_SHA256.get(sha256)
    if published is not None:
        if wanted not in {None, _PUBLISHED[published]}:
            raise ConfigurationError(f"This is braai's {published}, which takes {_PUBLISHED[published]}")
        return _PUBLISHED[published], f"{_PUBLISHED[published]}, since this is the published file of {published}"
    if wanted is not None:
        return wanted, f"{wanted}, as asked for"
    named = [version for version in _PUBLISHED if version in name]
    if len(named) != 1:
        choices = " or ".join(f"{how} as {version} takes" for version, how in _PUBLISHED.items())
        raise ConfigurationError(f"Nothing says how the stamps are normalised: choose --normalisation, {choices}")
    return _PUBLISHED[named[0]], f"{_PUBLISHED[named[0]]}, only because the file is named after {named[0]}"


def convert_keras(data: bytes, normalisation: Normalisation, remark: str) -> Converted:
    """Rebuild a network from a Keras file.

    Parameters
    ----------
    data : bytes
        The HDF5 file.
    normalisation : str
        How its stamps are normalised.
    remark : str
        Why it is that one.

    Returns
    -------
    Converted
        The graph, and what its `model.toml` has to say.

    Raises
    ------
    ConfigurationError
        If it is no such file, it is damaged, or it holds a network of another kind.
    """
    h5py = extra("h5py")
    try:
        with h5py.File(BytesIO(data), "r") as file:
            layers = _Model.model_validate_json(file.attrs["model_config"]).layers
            graph, shape = _build(layers, file["model_weights"])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "model_config"
        raise ConfigurationError(
            f"The Keras file holds a network of another kind: {where}: {first['msg']}"
        ) from None
    except StampServiceError:
        raise
    except Exception:  # a foreign parser and hostile bytes: whatever it raises, the file is at fault
        raise ConfigurationError("The file is not one of Keras' in HDF5, or is damaged") from None
    stamps = Stamps(
        input=_INPUT,
        kinds=("science", "template", "difference"),
        shape=shape,
        normalisation=normalisation,
        pad=_PADDING if normalisation.startswith("l2") else None,
    )
    description = f"Real or bogus, a Keras network of {len(layers)} layers; normalisation: {remark}"
    return Converted(graph, description, _CLASSES, stamps, Output(name=_OUTPUT, holds="score"))


def _refuse(why: str) -> NoReturn:
    raise ConfigurationError(f"The Keras file holds a network of another kind: {why}")


def _build(layers: list[_Layer], weights: Untyped) -> tuple[bytes, tuple[int, int]]:
    first = layers[0].config
    fed = first.batch_input_shape or first.batch_shape
    if fed is None:
        _refuse("it does not say what stamps it takes")
    graph = Graph("real_bogus")
    shape: tuple[int, ...] = fed[1:]
    value = graph.add("Transpose", _INPUT, perm=[0, 3, 1, 2])
    flattened: tuple[int, ...] | None = None
    for layer in layers:
        settings = layer.config
        if layer.class_name == "Conv2D":
            value, shape = _convolve(graph, value, shape, settings, weights)
        elif layer.class_name == "MaxPooling2D":
            value, shape = _pool(graph, value, shape, settings)
        elif layer.class_name == "Flatten":
            value, flattened, shape = graph.add("Flatten", value), shape, (int(np.prod(shape)),)
        elif layer.class_name == "Dense":
            if len(shape) != 1:
                _refuse("a dense layer comes before all is flattened")
            kernel, bias = _weights(weights, settings.name, 2, shape[0])
            if flattened is not None:
                kernel, flattened = channels_first(kernel, flattened), None
            value, shape = graph.dense(value, kernel, bias, _ACTIVATIONS[settings.activation]), bias.shape
    if shape != (1,) or layers[-1].config.activation != "sigmoid":
        _refuse("it does not end in one score")
    graph.add("Identity", value, output=_OUTPUT)
    outer: Shape = ("N", *fed[1:])
    return graph.write({_INPUT: outer}, {_OUTPUT: ("N", 1)}), (fed[1], fed[2])


def _convolve(
    graph: Graph, value: str, shape: tuple[int, ...], settings: _Settings, weights: Untyped
) -> tuple[str, tuple[int, ...]]:
    if len(shape) != 3 or settings.strides not in {None, (1, 1)}:
        _refuse(f"layer {settings.name} does not fit, or has strides")
    kernel, bias = _weights(weights, settings.name, 4, shape[2])
    keeps = settings.padding == "same"
    sides = [side if keeps else side - size + 1 for side, size in zip(shape[:2], kernel.shape, strict=False)]
    if min(sides) < 1:
        _refuse(f"layer {settings.name} is larger than what comes before it")
    padding = None if keeps else 0
    return graph.convolution(value, kernel, bias, padding, _ACTIVATIONS[settings.activation]), (*sides, len(bias))


def _pool(graph: Graph, value: str, shape: tuple[int, ...], settings: _Settings) -> tuple[str, tuple[int, ...]]:
    size, step = settings.pool_size, settings.strides or settings.pool_size
    if len(shape) != 3 or settings.padding != "valid" or any(map(int.__lt__, shape, size)):
        _refuse(f"layer {settings.name} does not fit, or is padded")
    sides = [(side - width) // by + 1 for side, width, by in zip(shape[:2], size, step, strict=True)]
    return graph.add("MaxPool", value, kernel_shape=list(size), strides=list(step)), (*sides, shape[2])


def _weights(groups: Untyped, layer: str, dimensions: int, inputs: int) -> tuple[Weights, Weights]:
    """Read a layer's kernel `(..., in, out)` and bias `(out,)`."""
    group = _follow(groups, [layer])
    found = {}
    for name in group.attrs["weight_names"]:
        text = name.decode() if isinstance(name, bytes) else str(name)
        dataset = _follow(group, text.split("/"))
        # Nothing that is elsewhere, or that is said to be large and is not there.
        if dataset.external or dataset.is_virtual or dataset.dtype != np.float32 or dataset.size > _MOST_WEIGHTS:
            _refuse(f"the weights of layer {layer} are not plain arrays of float32")
        found[text.split("/")[-1].removesuffix(":0")] = np.asarray(dataset[()], np.float32)
    kernel, bias = found["kernel"], found["bias"]
    if kernel.ndim != dimensions or kernel.shape[-2:] != (inputs, *bias.shape):
        _refuse(f"the weights of layer {layer} do not fit")
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        _refuse(f"the weights of layer {layer} are not finite")
    return kernel, bias


def _follow(group: Untyped, path: list[str]) -> Untyped:
    """Open what is at a path, as long as that does not lead out of the file."""
    hard_link = extra("h5py").HardLink
    for part in path:
        if not isinstance(group.get(part, getlink=True), hard_link):
            _refuse("there are no weights where they should be")
        group = group[part]
    return group
