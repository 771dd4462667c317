"""What the converters hand over: a graph, and what is known about it."""

from dataclasses import dataclass, field

from stamp_service.classifiers.definition import Metadata, Output, Rules, Stamps


@dataclass(frozen=True, slots=True)
class Converted:
    """A network, read and rebuilt.

    Parameters
    ----------
    graph : bytes
        The ONNX file.
    description : str
        What it is, and what was decided about it.
    classes : tuple of str
        In the order of its output.
    stamps : Stamps
        Its input of stamps.
    output : Output
        What it gives.
    metadata : Metadata, optional
        Its input of numbers.
    rules : Rules
        The rules around it.
    """

    graph: bytes
    description: str
    classes: tuple[str, ...]
    stamps: Stamps
    output: Output
    metadata: Metadata | None = None
    rules: Rules = field(default_factory=Rules)
