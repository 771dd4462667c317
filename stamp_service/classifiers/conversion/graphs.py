"""ONNX graphs, put together node by node: the same weights give the same bytes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.conversion.extras import Untyped, extra

# What every ONNX Runtime of the last years reads.
_OPSET = 17
_IR_VERSION = 8

Weights = NDArray[np.float32]
# A side's name stands for any length: the batch is the only one.
Shape = tuple[int | str, ...]


class Graph:
    """An ONNX graph in the making.

    Parameters
    ----------
    name : str
        What it is called in the file.
    """

    def __init__(self, name: str) -> None:
        self._helper: Untyped = extra("onnx.helper")
        self._numpy_helper: Untyped = extra("onnx.numpy_helper")
        self._name = name
        self._nodes: list[Untyped] = []
        self._constants: list[Untyped] = []

    def constant(self, values: Weights | NDArray[np.int64] | list[int]) -> str:
        """Keep an array in the graph.

        Parameters
        ----------
        values : numpy.ndarray or list of int
            The array; integers become int64.

        Returns
        -------
        str
            Its name.
        """
        array = np.ascontiguousarray(values, dtype=np.int64 if isinstance(values, list) else None)
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Add a node.

        Parameters
        ----------
        operator : str
            Name of an ONNX operator.
        *inputs : str
            Names of what it works on.
        output : str, optional
            How its result is called; numbered by default.
        **attributes : object
            The operator's attributes.

        Returns
        -------
        str
            The name of its result.
        """
        name = output or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def dense(self, inputs: str, kernel: Weights, bias: Weights, activation: str | None = "Relu") -> str:
        """Add a dense layer.

        Parameters
        ----------
        inputs : str
            What it works on, `(N, in)`.
        kernel : numpy.ndarray
            `(in, out)`.
        bias : numpy.ndarray
            `(out,)`.
        activation : str, optional
            The operator that follows.

        Returns
        -------
        str
            The name of its result, `(N, out)`.
        """
        result = self.add("Gemm", inputs, self.constant(kernel), self.constant(bias))
        return self.add(activation, result) if activation else result

    def convolution(
        self, inputs: str, kernel: Weights, bias: Weights, padding: int | None = 0, activation: str | None = "Relu"
    ) -> str:
        """Add a convolutional layer with stride 1.

        Parameters
        ----------
        inputs : str
            What it works on, `(N, in, ny, nx)`.
        kernel : numpy.ndarray
            As TensorFlow keeps it, `(ky, kx, in, out)`.
        bias : numpy.ndarray
            `(out,)`.
        padding : int, optional
            Zeros on each side; None for as many as keep `(ny, nx)`, the odd one behind, as TensorFlow does.
        activation : str, optional
            The operator that follows.

        Returns
        -------
        str
            The name of its result, `(N, out, ny, nx)`.
        """
        pads = [padding] * 4
        if padding is None:
            rows, columns = kernel.shape[0] - 1, kernel.shape[1] - 1
            pads = [rows // 2, columns // 2, rows - rows // 2, columns - columns // 2]
        weights = self.constant(kernel.transpose(3, 2, 0, 1))
        result = self.add("Conv", inputs, weights, self.constant(bias), pads=pads)
        return self.add(activation, result) if activation else result

    def write(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """Write the graph as a model's file.

        Parameters
        ----------
        inputs, outputs : mapping of str to tuple
            The shapes of what it takes and gives by name, all float32.

        Returns
        -------
        bytes
            The file.
        """
        helper = self._helper
        float32 = extra("onnx").TensorProto.FLOAT
        takes, gives = (
            [helper.make_tensor_value_info(name, float32, shape) for name, shape in side.items()]
            for side in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, self._name, takes, gives, self._constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="stamp-service"
        )
        return bytes(model.SerializeToString(deterministic=True))


def channels_first(kernel: Weights, shape: tuple[int, ...]) -> Weights:
    """Reorder a dense layer's kernel whose input was flattened with the channels last, as TensorFlow does.

    Parameters
    ----------
    kernel : numpy.ndarray
        `(ny * nx * channels, out)`.
    shape : tuple of int
        `(ny, nx, channels)` of what is flattened.

    Returns
    -------
    numpy.ndarray
        The kernel for an input that is flattened with the channels first, as ONNX does.
    """
    return kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
