"""Model directories that tests make: graphs small enough to be worked out by hand."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stamp_service.classifiers import ModelDefinition, write_definition

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")


def linear_graph(
    inputs: Mapping[str, Sequence[int | str]],
    outputs: int,
    *,
    softmax: bool = True,
    dtype: int = TensorProto.FLOAT,
) -> bytes:
    """Make a graph: every input flattened, side by side, times a seeded matrix, and softmax.

    Shapes are with the batch's axis, which is a word where it may be any.
    """
    sizes = {name: int(np.prod([int(size) for size in shape[1:]])) for name, shape in inputs.items()}
    nodes = [helper.make_node("Flatten", [name], [f"{name}_flat"]) for name in inputs]
    nodes.append(helper.make_node("Concat", [f"{name}_flat" for name in inputs], ["all"], axis=1))
    nodes.append(helper.make_node("MatMul", ["all", "weights"], ["sums" if softmax else "out"]))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["sums"], ["out"], axis=1))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("out", dtype, [None, outputs])],
        [numpy_helper.from_array(weights(sum(sizes.values()), outputs, dtype), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def weights(rows: int, columns: int, dtype: int = TensorProto.FLOAT) -> np.ndarray:
    """The matrix of `linear_graph`, of its inputs in their order."""
    made = np.random.default_rng(5).normal(0, rows**-0.5, (rows, columns))
    return made.astype(helper.tensor_dtype_to_np_dtype(dtype))


def write_model(folder: Path, graph: bytes, **values: Any) -> ModelDefinition:
    """Write a model directory; what is not said is as for a small model of ZTF alerts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    given = {
        "name": folder.name,
        "version": "1.0",
        "survey": "ztf",
        "classes": CLASSES,
        "model_sha256": hashlib.sha256(graph).hexdigest(),
        "output": {"name": "out"},
        "stamps": [{"input": "stamps", "kinds": ("science", "template", "difference"), "shape": (63, 63)}],
    }
    definition = ModelDefinition.model_validate(given | values)
    write_definition(folder, definition)
    return definition
