"""Records as strict JSON."""

import base64
from typing import Any

import orjson

# Beyond this, a double cannot tell neighbouring integers apart, and JavaScript has only doubles.
_MAX_SAFE_INTEGER = 2**53


def plain_record(value: Any, *, big_integers_as_text: bool = True) -> Any:  # noqa: ANN401 - whatever AVRO decodes to
    """Turn a decoded AVRO value into what strict JSON can hold.

    Parameters
    ----------
    value : object
        A record, or a part of one.
    big_integers_as_text : bool
        Whether integers beyond +-2^53 become strings.

    Returns
    -------
    object
        The same with bytes as base64 and, if asked, big integers as text. NaN and infinities stay floats;
        `orjson` writes them as null.
    """
    if isinstance(value, dict):
        return {key: plain_record(item, big_integers_as_text=big_integers_as_text) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_record(item, big_integers_as_text=big_integers_as_text) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and big_integers_as_text and abs(value) > _MAX_SAFE_INTEGER:
        return str(value)
    return value


def write_json(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can hold
    """Write strict JSON.

    Parameters
    ----------
    value : object
        What `plain_record` returned.

    Returns
    -------
    bytes
        JSON text; dates and times, which AVRO's logical types give, as ISO 8601.
    """
    return orjson.dumps(value, default=str)
