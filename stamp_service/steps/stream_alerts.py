"""Alerts as streams bring them: packets of surveys and messages of ALeRCE's pipeline, in any mixture."""

import math
from dataclasses import dataclass
from typing import Any

from stamp_service.classifiers import ClassifiableAlert
from stamp_service.errors import PacketCorrupt
from stamp_service.packets import Alert, Packet, SchemaLookup, id_text
from stamp_service.surveys import Kind, Survey, Surveys
from stamp_service.times import MJD_EPOCH_JD

# Modified Julian date 0, as a Julian date.
_STAMPS = "stamps"
_KINDS: tuple[Kind, ...] = ("science", "template", "difference")
# What the pipeline calls by a name of its own, and no survey's definition says: the magnitude's error.
_MAGNITUDE_ERRORS = {"ztf": "candidate.sigmapsf", "atlas": "candidate.Dmag"}
# Where both surveys have everything else that the pipeline hands on.
_CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, eq=False)
class StreamAlert:
    """An alert, and what says which object and which of its alerts it is.

    Parameters
    ----------
    alert : ClassifiableAlert
        The alert.
    object_id : str
        The `aid` in a message of the pipeline, the survey's object id in a packet.
    time_mjd : float
        Time of the measurement, modified Julian date.
    """

    alert: ClassifiableAlert
    object_id: str
    time_mjd: float


class PipelineAlert:
    """A message of ALeRCE's pipeline, read as if its survey had published it; a `ClassifiableAlert`.

    The pipeline renames what all surveys have (position, time, magnitude), turns `isdiffpos` into 1 or -1, and has
    everything else of the survey's `candidate` in `extra_fields`.

    Parameters
    ----------
    survey : Survey
        The survey that it is of.
    packet : Packet
        The message.

    Raises
    ------
    PacketCorrupt
        If it does not say which alert of which object it is.
    """

    def __init__(self, survey: Survey, packet: Packet) -> None:
        found = packet.get_many((("candid",), ("aid",)))
        alert_id, object_id = map(id_text, found)
        if not alert_id or not object_id:
            raise PacketCorrupt("the message does not say which alert of which object it is")
        self.survey = survey
        self.alert_id = alert_id
        self.object_id = object_id
        self._packet = packet
        self._record: dict[str, Any] | None = None

    def cutouts(self) -> dict[Kind, bytes]:
        """Read all cutouts.

        Returns
        -------
        dict of str to bytes
            The FITS files of the kinds that the message has.

        Raises
        ------
        PacketCorrupt
            If the message is damaged.
        """
        values = self._packet.get_many([(f"{_STAMPS}.{kind}",) for kind in _KINDS])
        # Some writers fill in nothing for a cutout that there is not.
        return {
            kind: value for kind, value in zip(_KINDS, values, strict=True) if isinstance(value, bytes) and value
        }

    def record(self) -> dict[str, Any]:
        """Read everything but the cutouts.

        Returns
        -------
        dict
            Field names to values, as the survey names and nests them.

        Raises
        ------
        PacketCorrupt
            If the message is damaged.
        """
        if self._record is None:
            self._record = self._translated(self._packet.record(without=(_STAMPS,)))
        return self._record

    def _translated(self, message: dict[str, Any]) -> dict[str, Any]:
        survey, time = self.survey, message["mjd"]
        values: dict[str, object] = {
            survey.alert_id.fields[0]: self.alert_id,
            survey.object_id.fields[0]: message.get("oid"),
            survey.time.fields[0]: time + MJD_EPOCH_JD if survey.time.format == "jd" else time,
            survey.position.ra[0]: message.get("ra"),
            survey.position.dec[0]: message.get("dec"),
            survey.band.fields[0]: _band(survey, message.get("fid")),
            f"{_CANDIDATE}.isdiffpos": _sign(message.get("isdiffpos")),
        }
        values |= dict.fromkeys(survey.photometry.magnitude[:1], message.get("mag"))
        if survey.name in _MAGNITUDE_ERRORS:
            values[_MAGNITUDE_ERRORS[survey.name]] = message.get("e_mag")
        extra = message.get("extra_fields")
        if extra is not None and not isinstance(extra, dict):
            raise PacketCorrupt("the message's extra_fields are no map")
        record = {_CANDIDATE: dict(extra or {})}
        for path, value in values.items():
            _put(record, path, value)
        return record


def _band(survey: Survey, band: object) -> object:
    """Write a band as the survey does, which may have numbers for names."""
    for number, name in survey.band.names.items():
        if name == band:
            return int(number) if str(number).isdigit() else number
    return band


def _sign(isdiffpos: object) -> str | None:
    """Write 1 and -1, or 0, as surveys do."""
    if not isinstance(isdiffpos, int):
        return isdiffpos if isinstance(isdiffpos, str) else None
    return "t" if isdiffpos > 0 else "f"


def _put(record: dict[str, Any], path: str, value: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        record = record.setdefault(parent, {})
    record[name] = value


def read_alert(
    surveys: Surveys, survey: Survey, data: bytes, schemas: SchemaLookup | None, max_bytes: int
) -> StreamAlert | None:
    """Read a message of either form.

    Parameters
    ----------
    surveys : Surveys
        The surveys that packets may be of.
    survey : Survey
        The survey that is wanted.
    data : bytes
        The message.
    schemas : SchemaLookup, optional
        Where schemas of wire-format messages come from.
    max_bytes : int
        Most bytes of the message, as it came and after each decompression.

    Returns
    -------
    StreamAlert or None
        The alert; None where it is of another survey.

    Raises
    ------
    PacketCorrupt
        If it is no alert, or does not say of which object and time.
    TooLarge
        If it is larger than `max_bytes`.
    StoreUnavailable
        If its schema could not be looked up.
    """
    packet = Packet.parse(data, schemas, max_bytes)
    if packet.has("aid") and packet.has(f"{_STAMPS}.science"):
        return _of_pipeline(surveys, survey, packet)
    for published_by in surveys.values():
        alert = Alert.recognised(published_by, packet)
        if alert is not None:
            return _dated(alert, alert.summary().time_mjd) if published_by is survey else None
    raise PacketCorrupt(f"the message is neither of ALeRCE's pipeline nor an alert of {', '.join(surveys)}")


def _of_pipeline(surveys: Surveys, survey: Survey, packet: Packet) -> StreamAlert | None:
    *sources, time_mjd = packet.get_many((("sid",), ("tid",), ("mjd",)))
    words = [source.lower() for source in sources if isinstance(source, str)]
    if any(word.startswith(name) for word in words for name in surveys if name != survey.name):
        return None
    return _dated(PipelineAlert(survey, packet), time_mjd)


def _dated(alert: ClassifiableAlert, time_mjd: object) -> StreamAlert:
    object_id = alert.object_id
    if object_id is None or not isinstance(time_mjd, int | float) or not math.isfinite(time_mjd):
        raise PacketCorrupt(
            f"{alert.survey.name} alert {alert.alert_id} does not say of which object and time it is"
        )
    return StreamAlert(alert, object_id, float(time_mjd))
