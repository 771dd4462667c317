"""Graphs on ONNX Runtime: opening one, holding it against what its definition says, and running it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.definition import ModelDefinition
from stamp_service.classifiers.preparing import Feed
from stamp_service.errors import ConfigurationError
from stamp_service.extras import Untyped, import_extra

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that is ready to run.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The graph; any thread may run it.
    types : dict of str to dtype
        What each input is to be cast to.
    rows : int or None
        How many alerts it takes at a time, if it takes one number only.
    """

    session: Untyped
    types: dict[str, Any]
    rows: int | None

    def run(self, feed: Feed, output: str) -> NDArray[np.float64]:
        """Run the graph.

        Parameters
        ----------
        feed : dict of str to ndarray
            An array for each input, with as many rows as there are alerts.
        output : str
            Which output.

        Returns
        -------
        ndarray
            (alerts, values), float64.
        """
        cast = {name: array.astype(self.types[name], copy=False) for name, array in feed.items()}
        (found,) = self.session.run([output], cast)
        rows = len(next(iter(feed.values())))
        return np.asarray(found, dtype=np.float64).reshape(rows, -1)


def open_graph(content: bytes, definition: ModelDefinition, providers: tuple[str, ...]) -> Graph:
    """Open a graph and run it once.

    Parameters
    ----------
    content : bytes
        `model.onnx`.
    definition : ModelDefinition
        What it should be.
    providers : tuple of str
        ONNX Runtime's execution providers, in order of preference.

    Returns
    -------
    Graph
        The graph, which was found to take and give what the definition says. It runs in the thread that calls it.

    Raises
    ------
    ConfigurationError
        If ONNX Runtime or a provider is not installed, or the graph is another one.
    """
    runtime = import_extra("onnxruntime", "Classifiers need", "classifiers")
    place = f"Model {definition.name}"
    available = runtime.get_available_providers()
    unknown = [name for name in providers if name not in available]
    if unknown:
        raise ConfigurationError(
            f"STAMP_CLASSIFIER_PROVIDERS: {unknown[0]} is not one of {', '.join(available)}, which are here"
        )
    options = runtime.SessionOptions()
    # Batches run side by side, each in one thread: preparing alerts then scales with the cores as well.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = runtime.InferenceSession(content, options, providers=list(providers))
    except Exception:  # ONNX Runtime has a dozen exceptions of its own; what they say names internals
        raise ConfigurationError(f"{place}: ONNX Runtime cannot load its graph") from None
    wanted = {stamps.input for stamps in definition.stamps}
    wanted |= {definition.metadata.input} if definition.metadata is not None else set()
    inputs = {one.name: one for one in session.get_inputs()}
    if set(inputs) != wanted:
        raise ConfigurationError(
            f"{place}: its graph takes {', '.join(sorted(inputs))}, and model.toml says other"
        )
    if any(one.type not in _TYPES for one in inputs.values()):
        raise ConfigurationError(f"{place}: its graph takes something else than floating-point numbers")
    fixed = {one.shape[0] for one in inputs.values() if one.shape and isinstance(one.shape[0], int)}
    graph = Graph(session, {name: _TYPES[one.type] for name, one in inputs.items()}, min(fixed, default=None))
    _try_out(graph, definition)
    return graph


def _try_out(graph: Graph, definition: ModelDefinition) -> None:
    """Feed a graph with nothing, to see whether shapes fit; the first run is the slowest, too."""
    rows = graph.rows or 2
    feed: Feed = {}
    for stamps in definition.stamps:
        ny, nx = stamps.fed_shape
        kinds = len(stamps.kinds)
        shapes = {"NHWC": (rows, ny, nx, kinds), "NCHW": (rows, kinds, ny, nx), "NHW": (rows, ny, nx)}
        feed[stamps.input] = np.zeros(shapes[stamps.layout], np.float32)
    if definition.metadata is not None:
        feed[definition.metadata.input] = np.zeros((rows, len(definition.metadata.features)), np.float32)
    expected = (rows, 1 if definition.output.holds == "score" else len(definition.classes))
    try:
        found = graph.run(feed, definition.output.name).shape
    except Exception:  # as above, and numpy's where the output is no table
        raise ConfigurationError(
            f"Model {definition.name}: its graph does not take what model.toml describes"
        ) from None
    if found != expected:
        raise ConfigurationError(
            f"Model {definition.name}: its graph gives {found[1]} values for an alert, not {expected[1]}"
        )
