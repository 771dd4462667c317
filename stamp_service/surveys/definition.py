"""What a survey definition says, and what can be asked of it."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stamp_service.errors import RequestError

Kind = Literal["science", "template", "difference"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Permission = Literal["stamps", "metadata", "packets"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
IntervalName = Literal["core", "minmax", "percentile", "zscale"]
StretchName = Literal["linear", "sqrt", "log", "asinh", "sigmoid", "power"]

# No id of any survey is longer; checked before a pattern sees the text.
MAX_ID_LENGTH = 128
_INT64_MAX = 2**63 - 1
_KEY_FIELD = re.compile(r"\{(alert_id|object_id)(?::(reversed|\.\d+))?\}")


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r}: {error}") from None
    return pattern


def _check_key_template(template: str) -> str:
    left = _KEY_FIELD.sub("", template)
    if "{" in left or "}" in left:
        raise ValueError(f"unknown field in key template {template!r}")
    if "{alert_id" not in template:
        raise ValueError(f"key template {template!r} has no alert_id")
    return template


@cache
def _key_pattern(template: str) -> re.Pattern[str]:
    """Turn a key template round: groups are named field, how it is written, number."""
    parts, position = [], 0
    for number, match in enumerate(_KEY_FIELD.finditer(template)):
        how = match[2] or "whole"
        group = how if how in {"whole", "reversed"} else "part"
        parts += [re.escape(template[position : match.start()]), f"(?P<{match[1]}_{group}_{number}>.*)"]
        position = match.end()
    return re.compile("".join([*parts, re.escape(template[position:])]), re.DOTALL)


Pattern = Annotated[str, AfterValidator(_check_pattern)]
KeyTemplate = Annotated[str, AfterValidator(_check_key_template)]
# Dotted paths into a record, in order of preference: the first that the packet's schema has is used.
Paths = Annotated[tuple[str, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identifier(_Part):
    """Where an id stands in a record, and what it looks like."""

    fields: Paths
    pattern: Pattern
    type: Literal["int64", "text"] = "text"

    @cached_property
    def name(self) -> str:
        """What the survey itself calls the id, such as `candid`: the name of the preferred field."""
        return self.fields[0].rpartition(".")[2]

    def matches(self, text: str) -> bool:
        """Say whether a text is such an id.

        Parameters
        ----------
        text : str
            Any text, however hostile.

        Returns
        -------
        bool
            True if the whole text matches the pattern (ASCII only) and, for `int64`, fits.
        """
        if not 0 < len(text) <= MAX_ID_LENGTH or re.fullmatch(self.pattern, text, re.ASCII) is None:
            return False
        return self.type != "int64" or int(text) <= _INT64_MAX


class TimeField(_Part):
    """Where the time of the measurement stands."""

    fields: Paths
    format: Literal["jd", "mjd"]


class Position(_Part):
    """Where right ascension and declination stand (ICRS, degrees)."""

    ra: Paths
    dec: Paths


class Band(_Part):
    """Where the band stands, and the band's name for each value that is not one."""

    fields: Paths
    names: dict[str, str] = Field(default_factory=dict)


class Photometry(_Part):
    """Where the measured brightness stands: magnitudes, or fluxes in nJy."""

    magnitude: tuple[str, ...] = ()
    flux: tuple[str, ...] = ()


class Series(_Part):
    """Where one series of an object's measurements stands in its alert, and what its records' fields are called.

    A record holds a magnitude, or a flux: in nJy, or with the zero point that makes a magnitude of it.
    """

    # A list of records, or one record.
    records: str
    source: Literal["alert", "detection", "forced"]
    time: Paths
    band: Paths
    alert_id: str | None = None
    # Says whether the source became fainter, by one of these texts.
    sign: str | None = None
    magnitude: str | None = None
    error: str | None = None
    # The magnitude that a source would have needed to be detected, where it was not.
    limit: str | None = None
    flux: tuple[str, ...] = ()
    flux_error: tuple[str, ...] = ()
    zero_point: str | None = None


class Drawing(_Part):
    """How a cutout of one kind is drawn unless the reader asks otherwise."""

    interval: IntervalName = "core"
    stretch: StretchName = "linear"


class Cutout(_Part):
    """One kind of cutout: where its bytes are, and how it is drawn."""

    fields: Paths
    mask_values: tuple[float, ...] = ()
    drawing: Drawing = Drawing()


class Orientation(_Part):
    """Which way up the survey publishes its stamps, and what says where north is.

    `north` is `wcs` (the header's WCS, TAN where it names no projection), a header card with the position
    angle in degrees of the rows' axis, for headers without a WCS, or `none`.
    """

    row0: Literal["top", "bottom"]
    north: Literal["wcs", "none"] | Annotated[str, Field(pattern="^[A-Z0-9_-]{1,8}$")] = "wcs"


class Access(_Part):
    """What a reader without a token may have."""

    anonymous: frozenset[Permission] = frozenset(PERMISSIONS)
    # For surveys that are restricted only where tokens exist at all; default: the same as `anonymous`.
    anonymous_without_key: frozenset[Permission] | None = None

    def without_token(self, *, key_configured: bool) -> frozenset[Permission]:
        """Permissions of anonymous readers.

        Parameters
        ----------
        key_configured : bool
            Whether the service can verify tokens at all.

        Returns
        -------
        frozenset of str
            What they may have.
        """
        if not key_configured and self.anonymous_without_key is not None:
            return self.anonymous_without_key
        return self.anonymous


class Survey(_Part):
    """A survey: everything that differs between surveys, as data."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,31}$")]
    title: str
    alert_id: Identifier
    object_id: Identifier
    time: TimeField
    position: Position
    band: Band
    photometry: Photometry = Photometry()
    # What the survey's classifier says of whether a source is real, 0 to 1.
    real_bogus: tuple[str, ...] = ()
    light_curve: tuple[Series, ...] = ()
    # Side of a pixel, for stamps whose headers do not say.
    pixel_scale_arcsec: Annotated[float, Field(gt=0)] | None = None
    # Where else an object is shown: addresses with {object_id}, by name.
    links: dict[str, Annotated[str, Field(pattern="^https?://")]] = Field(default_factory=dict)
    cutouts: dict[Kind, Cutout]
    key: KeyTemplate
    orientation: Orientation
    # `archive` is the survey's bucket where one is configured, otherwise the local directory; `lake` are the
    # Parquet lakes that were registered for it, whose columns have the same paths as the packets' fields.
    stores: Annotated[tuple[Literal["archive", "lake", "mars"], ...], Field(min_length=1)] = ("archive", "lake")
    access: Access = Access()

    @cached_property
    def cutout_roots(self) -> frozenset[str]:
        """Top-level fields of the record that carry cutouts."""
        return frozenset(path.split(".")[0] for cutout in self.cutouts.values() for path in cutout.fields)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the definition: what was drawn by another definition is another picture."""
        return hashlib.blake2b(self.model_dump_json().encode(), digest_size=8).hexdigest()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds this survey publishes, in the order science, template, difference."""
        return tuple(kind for kind in KINDS if kind in self.cutouts)

    def check_alert_id(self, alert_id: str, parameter: str = "alert_id") -> str:
        """Return an alert id that came from outside, once it is known to be harmless.

        Parameters
        ----------
        alert_id : str
            The id as it was given.
        parameter : str
            What the request calls it, for the error.

        Returns
        -------
        str
            The same id.

        Raises
        ------
        RequestError
            If it does not match the survey's pattern.
        """
        if not self.alert_id.matches(alert_id):
            raise RequestError(f"{parameter} is not a {self.name} alert id", parameter)
        return alert_id

    def check_object_id(self, object_id: str, parameter: str = "object_id") -> str:
        """Return an object id that came from outside, once it is known to be harmless.

        Parameters
        ----------
        object_id : str
            The id as it was given.
        parameter : str
            What the request calls it, for the error.

        Returns
        -------
        str
            The same id.

        Raises
        ------
        RequestError
            If it does not match the survey's pattern.
        """
        if not self.object_id.matches(object_id):
            raise RequestError(f"{parameter} is not a {self.name} object id", parameter)
        return object_id

    def object_key(self, alert_id: str, object_id: str | None = None) -> str:
        """Key of an alert's packet in a bucket.

        Parameters
        ----------
        alert_id : str
            A checked alert id.
        object_id : str, optional
            A checked object id, needed by templates that use it.

        Returns
        -------
        str
            The key.

        Raises
        ------
        RequestError
            If the template needs an object id and none is known.
        """
        if object_id is None and "{object_id" in self.key:
            raise RequestError(f"{self.name} alerts are stored by object: an object id is needed", "object_id")
        values: Mapping[str, str] = {"alert_id": alert_id, "object_id": object_id or ""}

        def fill(match: re.Match[str]) -> str:
            value, how = values[match[1]], match[2]
            if how is None:
                return value
            return value[::-1] if how == "reversed" else value[: int(how[1:])]

        return _KEY_FIELD.sub(fill, self.key)

    @property
    def key_prefix(self) -> str:
        """What all keys in a bucket begin with."""
        return self.key.partition("{")[0]

    def read_key(self, key: str) -> tuple[str, str | None] | None:
        """Undo `object_key`.

        Parameters
        ----------
        key : str
            A key from a bucket.

        Returns
        -------
        tuple of str and (str or None), or None
            The alert id, and the object id where keys have it; None if this is not the key of an alert.
        """
        match = _key_pattern(self.key).fullmatch(key)
        found: dict[str, str] = {}
        for name, value in (match.groupdict() if match else {}).items():
            field, how, _ = name.rsplit("_", 2)
            if how != "part":
                found.setdefault(field, value[::-1] if how == "reversed" else value)
        alert_id, object_id = found.get("alert_id", ""), found.get("object_id")
        if not self.alert_id.matches(alert_id) or ("{object_id" in self.key and object_id is None):
            return None
        return (alert_id, object_id) if self.object_key(alert_id, object_id) == key else None
