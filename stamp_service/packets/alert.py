"""An alert: a packet read the way its survey's definition says."""

from collections.abc import Callable
from typing import Any, TypeVar

from stamp_service.errors import CutoutAbsent, PacketCorrupt, TooLarge
from stamp_service.packets.packet import MAX_PACKET_BYTES, Packet, SchemaLookup
from stamp_service.packets.plans import Group
from stamp_service.packets.summary import Summary, summarise, summary_paths
from stamp_service.surveys import Kind, Survey, Surveys

T = TypeVar("T")


class Alert:
    """An alert whose id has to be the one its packet holds.

    The packet is believed to be of another alert until its id was read, which happens together with the
    first thing that is asked of it.

    Parameters
    ----------
    survey : Survey
        The survey's definition.
    packet : Packet
        The packet.
    alert_id : str
        The id that the packet should have.
    """

    __slots__ = ("_object_id", "_outline", "_verified", "alert_id", "packet", "survey")

    def __init__(self, survey: Survey, packet: Packet, alert_id: str) -> None:
        self.survey = survey
        self.packet = packet
        self.alert_id = alert_id
        self._object_id: object = None
        self._verified = False
        self._outline: tuple[Summary, tuple[Kind, ...]] | None = None

    @classmethod
    def recognised(cls, survey: Survey, packet: Packet) -> "Alert | None":
        """Make the alert of a packet, if that is built like one of this survey's.

        Parameters
        ----------
        survey : Survey
            The survey's definition.
        packet : Packet
            The packet.

        Returns
        -------
        Alert or None
            The alert; None if the packet lacks fields that this survey's have, or has other ids.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged.
        """
        parts = (survey.alert_id.fields, survey.object_id.fields, survey.position.ra, survey.position.dec)
        if not all(packet.has(*paths) for paths in parts):
            return None
        alert_id, object_id = packet.get_many(parts[:2])
        text = id_text(alert_id)
        if text is None or not survey.alert_id.matches(text):
            return None
        if survey.alert_id.type == "int64" and not isinstance(alert_id, int):
            return None
        other = id_text(object_id)
        if object_id is not None and (other is None or not survey.object_id.matches(other)):
            return None
        alert = cls(survey, packet, text)
        alert._object_id, alert._verified = object_id, True
        return alert

    @property
    def object_id(self) -> str | None:
        """The id of the object; None where the survey gave none.

        Raises
        ------
        PacketCorrupt
            If the packet's object id does not look like one of the survey's, or it is of another alert.
        """
        if not self._verified:
            self._read()
        text = id_text(self._object_id)
        if self._object_id is None or (text is not None and self.survey.object_id.matches(text)):
            return text
        raise self._corrupt(f"the packet's object id is not one of {self.survey.name}'s")

    def cutout(self, kind: Kind) -> bytes:
        """Read one cutout and decode nothing else.

        Parameters
        ----------
        kind : str
            Which.

        Returns
        -------
        bytes
            The FITS file as it stands in the packet, gzipped or not.

        Raises
        ------
        CutoutAbsent
            If the alert was published without it.
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        if kind not in self.survey.cutouts:
            raise CutoutAbsent(f"{self.survey.name} publishes no {kind} cutouts")
        data = self._cutout_bytes(kind, self._read(self.survey.cutouts[kind].fields)[0])
        if data is None:
            raise CutoutAbsent(f"{self.survey.name} alert {self.alert_id} was published without a {kind} cutout")
        return data

    def cutouts(self) -> dict[Kind, bytes]:
        """Read all cutouts in one pass.

        Returns
        -------
        dict of str to bytes
            The FITS files of the kinds that the alert was published with.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        kinds = self.survey.kinds
        values = self._read(*(self.survey.cutouts[kind].fields for kind in kinds))
        read = {kind: self._cutout_bytes(kind, value) for kind, value in zip(kinds, values, strict=True)}
        return {kind: data for kind, data in read.items() if data is not None}

    def kinds(self) -> tuple[Kind, ...]:
        """List the cutouts that the alert was published with.

        Returns
        -------
        tuple of str
            In the order science, template, difference.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        return tuple(self.cutouts())

    def record(self) -> dict[str, Any]:
        """Decode everything but the cutouts.

        Returns
        -------
        dict
            Field names to values, as the survey names them.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        if not self._verified:
            self._read()
        return self._named(lambda: self.packet.record(without=self.survey.cutout_roots))

    def values(self, *groups: Group) -> list[object]:
        """Read some values in one pass and decode nothing else.

        Parameters
        ----------
        *groups : tuple of str
            For each value, the dotted paths where it may stand, in order of preference.

        Returns
        -------
        list
            For each group the first value that is not null; None where there is none.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        return self._read(*groups)

    def summary(self) -> Summary:
        """Read time, position, band and brightness in one pass.

        Returns
        -------
        Summary
            None for what the packet does not say.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        return summarise(self.survey, self._read(*summary_paths(self.survey)))

    def outline(self) -> tuple[Summary, tuple[Kind, ...]]:
        """Read `summary` and `kinds` in one pass, once, and hold the whole packet against its schema in the same.

        Returns
        -------
        summary : Summary
            None for what the packet does not say.
        kinds : tuple of str
            The cutouts that the alert was published with.

        Raises
        ------
        PacketCorrupt
            If the packet is damaged or of another alert.
        """
        if self._outline is not None:
            return self._outline
        paths, kinds = summary_paths(self.survey), self.survey.kinds
        cutouts = [self.survey.cutouts[kind].fields for kind in kinds]
        values = self._read(*paths, *cutouts, whole=True)
        found = zip(kinds, values[len(paths) :], strict=True)
        present = tuple(kind for kind, value in found if self._cutout_bytes(kind, value) is not None)
        self._outline = summarise(self.survey, values[: len(paths)]), present
        return self._outline

    def _read(self, *groups: Group, whole: bool = False) -> list[object]:
        """Read values, and the ids with them as long as they were not compared."""
        if self._verified:
            return self._named(lambda: self.packet.get_many(groups, whole=whole))
        ids = (self.survey.alert_id.fields, self.survey.object_id.fields)
        found, self._object_id, *values = self._named(lambda: self.packet.get_many((*ids, *groups), whole=whole))
        if id_text(found) != self.alert_id:
            raise self._corrupt("the packet is of another alert")
        self._verified = True
        return values

    def _cutout_bytes(self, kind: Kind, value: object) -> bytes | None:
        # Some writers fill in nothing for a cutout that there is not.
        if value is None or value == b"":
            return None
        if not isinstance(value, bytes):
            raise self._corrupt(f"the packet's {kind} cutout is not bytes")
        return value

    def _named(self, read: Callable[[], T]) -> T:
        """Let errors say which alert they are about."""
        try:
            return read()
        except PacketCorrupt as error:
            raise self._corrupt(str(error)) from None
        except TooLarge as error:
            raise TooLarge(f"{self.survey.name} alert {self.alert_id}: {error}") from None

    def _corrupt(self, reason: str) -> PacketCorrupt:
        return PacketCorrupt(f"{self.survey.name} alert {self.alert_id}: {reason}")


def id_text(value: object) -> str | None:
    """Write an id as text.

    Parameters
    ----------
    value : object
        What a packet holds.

    Returns
    -------
    str or None
        The text; None for what cannot be an id.
    """
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def open_alert(
    survey: Survey,
    alert_id: str,
    data: bytes,
    schemas: SchemaLookup | None = None,
    max_bytes: int = MAX_PACKET_BYTES,
) -> Alert:
    """Open the packet of an alert whose survey and id are known.

    Parameters
    ----------
    survey : Survey
        The survey's definition.
    alert_id : str
        The id that was asked for.
    data : bytes
        The packet.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_bytes : int
        Most bytes of the packet, as it came and after each decompression.

    Returns
    -------
    Alert
        The alert; whether the packet is of this alert shows when something is read from it.

    Raises
    ------
    PacketCorrupt
        If the bytes are not a packet.
    TooLarge
        If it is larger than `max_bytes`.
    StoreUnavailable
        If its schema could not be looked up.
    """
    try:
        packet = Packet.parse(data, schemas, max_bytes)
    except PacketCorrupt as error:
        raise PacketCorrupt(f"{survey.name} alert {alert_id}: {error}") from None
    except TooLarge as error:
        raise TooLarge(f"{survey.name} alert {alert_id}: {error}") from None
    return Alert(survey, packet, alert_id)


def recognise(
    surveys: Surveys,
    data: bytes,
    schemas: SchemaLookup | None = None,
    max_bytes: int = MAX_PACKET_BYTES,
) -> Alert:
    """Open a packet of unknown survey: the first whose fields and ids it has.

    Parameters
    ----------
    surveys : Surveys
        The definitions, in the order they are tried.
    data : bytes
        The packet.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_bytes : int
        Most bytes of the packet, as it came and after each decompression.

    Returns
    -------
    Alert
        The alert, of the survey that recognised it.

    Raises
    ------
    PacketCorrupt
        If the bytes are not a packet, or not one of any survey.
    TooLarge
        If it is larger than `max_bytes`.
    StoreUnavailable
        If its schema could not be looked up.
    """
    packet = Packet.parse(data, schemas, max_bytes)
    for survey in surveys.values():
        alert = Alert.recognised(survey, packet)
        if alert is not None:
            return alert
    raise PacketCorrupt(f"the packet is not an alert of {', '.join(surveys)}")
