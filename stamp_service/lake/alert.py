"""An alert in a lake: a row that answers like a packet."""

import copy
from typing import TYPE_CHECKING, Any

from stamp_service.errors import CutoutAbsent, PacketCorrupt
from stamp_service.packets import Summary, id_text, summarise, summary_paths
from stamp_service.surveys import Kind, Survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stamp_service.lake.lake import Lake


class LakeAlert:
    """An alert that a lake was found to have; what is in it is read when it is asked for.

    Parameters
    ----------
    lake : Lake
        The lake.
    alert_id : str
        The alert's id.
    object_id : str or None
        Its object's id; None where the survey gave none.
    kinds : tuple of str
        Cutouts that the index knows it to have; empty if it does not know.
    """

    __slots__ = ("_kinds", "_lake", "_record", "alert_id", "object_id")

    def __init__(self, lake: "Lake", alert_id: str, object_id: str | None, kinds: tuple[Kind, ...] = ()) -> None:
        self._lake = lake
        self._kinds = kinds or None
        self._record: dict[str, Any] | None = None
        self.alert_id = alert_id
        self.object_id = object_id

    @property
    def survey(self) -> Survey:
        """The survey's definition."""
        return self._lake.survey

    def cutout(self, kind: Kind) -> bytes:
        """Read one cutout.

        Parameters
        ----------
        kind : str
            Which.

        Returns
        -------
        bytes
            The FITS file as it stands in the lake, gzipped or not.

        Raises
        ------
        CutoutAbsent
            If the alert has none.
        PacketCorrupt
            If the lake's file is damaged.
        StoreUnavailable
            If the lake could not be asked.
        """
        if kind not in self.survey.cutouts:
            raise CutoutAbsent(f"{self.survey.name} publishes no {kind} cutouts")
        data = self._read([kind]).get(kind)
        if data is None:
            raise CutoutAbsent(f"{self.survey.name} alert {self.alert_id} has no {kind} cutout in the lake")
        return data

    def cutouts(self) -> dict[Kind, bytes]:
        """Read all cutouts at once.

        Returns
        -------
        dict of str to bytes
            The FITS files of the kinds that the alert has.

        Raises
        ------
        PacketCorrupt
            If the lake's file is damaged.
        StoreUnavailable
            If the lake could not be asked.
        """
        found = self._read(self.survey.kinds)
        return {kind: found[kind] for kind in self.survey.kinds if kind in found}

    def kinds(self) -> tuple[Kind, ...]:
        """List the cutouts that the alert has.

        Returns
        -------
        tuple of str
            In the order science, template, difference.

        Raises
        ------
        PacketCorrupt
            If they have to be read and the lake's file is damaged.
        StoreUnavailable
            If they have to be read and the lake could not be asked.
        """
        if self._kinds is None:
            self._kinds = tuple(self.cutouts())
        return self._kinds

    def record(self) -> dict[str, Any]:
        """Read everything but the cutouts.

        Returns
        -------
        dict
            Column names to values, nested as they are in the lake.

        Raises
        ------
        PacketCorrupt
            If the lake's file is damaged.
        StoreUnavailable
            If the lake could not be asked.
        """
        # It is the caller's to change.
        return copy.deepcopy(self._read_record())

    def summary(self) -> Summary:
        """Read time, position, band and brightness.

        Returns
        -------
        Summary
            None for what the lake does not say.

        Raises
        ------
        PacketCorrupt
            If the lake's file is damaged.
        StoreUnavailable
            If the lake could not be asked.
        """
        record = self._read_record()
        return summarise(self.survey, [_value_at(record, paths) for paths in summary_paths(self.survey)])

    def _read_record(self) -> dict[str, Any]:
        if self._record is None:
            record = self._lake.record(self.alert_id)
            if id_text(_value_at(record, self.survey.alert_id.fields)) != self.alert_id:
                raise PacketCorrupt(
                    f"{self.survey.name} alert {self.alert_id}: the lake's row is of another alert"
                )
            self._record = record
        return self._record

    def _read(self, kinds: "Sequence[Kind]") -> dict[Kind, bytes]:
        return self._lake.read(kinds, alert_id=self.alert_id).cutouts


def _value_at(record: dict[str, Any], paths: tuple[str, ...]) -> object:
    """Look up the first path that the record has."""
    for path in paths:
        value: Any = record
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None
