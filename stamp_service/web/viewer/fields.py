"""What a packet's schema says about its fields."""

from collections.abc import Iterator, Mapping
from typing import Any

from stamp_service.packets import Alert
from stamp_service.resolver import AnyAlert


def field_notes(alert: AnyAlert) -> dict[str, str]:
    """Collect the `doc` of every field; units stand there, if anywhere.

    Parameters
    ----------
    alert : Alert or LakeAlert
        An alert; one out of a lake has no schema.

    Returns
    -------
    dict of str to str
        Notes by dotted path; the items of a list have the path of the list.
    """
    return dict(_notes(alert.packet.schema, "")) if isinstance(alert, Alert) else {}


def _notes(schema: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _notes(branch, path)
    elif isinstance(schema, Mapping):
        for field in schema.get("fields", ()):
            own = f"{path}.{field['name']}".lstrip(".")
            doc: Any = field.get("doc")
            if isinstance(doc, str) and doc.strip():
                yield own, doc.strip()
            yield from _notes(field["type"], own)
        for inner in ("items", "values"):
            if inner in schema:
                yield from _notes(schema[inner], path)
        if isinstance(schema.get("type"), list | Mapping):
            yield from _notes(schema["type"], path)
