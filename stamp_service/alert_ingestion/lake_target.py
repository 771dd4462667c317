"""Alerts into Parquet lakes: one for each survey, in a folder of its name."""

from collections.abc import Sequence
from pathlib import Path

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.files import Filesystem
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.opening import LakeAccess, open_filesystem
from stamp_service.lake.writing import AlertRef, State, write_lake
from stamp_service.packets import MAX_PACKET_BYTES, Alert, SchemaLookup
from stamp_service.stores.outcomes import ADDED, DAMAGED, PRESENT, Outcome, refused
from stamp_service.surveys import Survey

_CANNOT_BE_WRITTEN = "a lake cannot hold it"


class LakeTarget:
    """Alerts as rows of lakes; see `Target` for what the methods promise.

    Every call writes files of its own, so few calls with many alerts make a good lake.

    Parameters
    ----------
    root : str
        A folder, or an address that lakes may have; the lakes are below it.
    access : LakeAccess
        How to reach it.
    schemas : SchemaLookup, optional
        Where schemas of wire-format packets come from.
    max_packet_bytes : int
        Most bytes of a packet, as it came and after each decompression.
    """

    def __init__(
        self,
        root: str,
        access: LakeAccess,
        schemas: SchemaLookup | None = None,
        max_packet_bytes: int = MAX_PACKET_BYTES,
    ) -> None:
        self._root = root.rstrip("/")
        self._access = access
        self._schemas = schemas
        self._max_packet_bytes = max_packet_bytes
        self._files: dict[str, Filesystem] = {}

    def add(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """Write alerts into the lakes of their surveys.

        Parameters
        ----------
        alerts : sequence of Alert
            The alerts.

        Returns
        -------
        list of Outcome
            What became of each.

        Raises
        ------
        StoreUnavailable
            If a lake cannot be read and written to.
        ConfigurationError
            If the address is not that of a lake, or a package is missing.
        """
        outcomes: dict[int, Outcome] = {}
        groups: dict[str, tuple[Survey, dict[int, tuple[AlertRef, int]]]] = {}
        for number, alert in enumerate(alerts):
            try:
                ref = AlertRef.of(alert, lambda packet=alert.packet.data: packet)  # type: ignore[misc]  # mypy cannot infer a default's type
            except PacketCorrupt as error:
                outcomes[number] = refused(str(error), DAMAGED)
            else:
                _, refs = groups.setdefault(alert.survey.name, (alert.survey, {}))
                refs[id(ref)] = ref, number
        for survey, refs in groups.values():
            outcomes |= self._write(survey, refs)
        return [outcomes[number] for number in range(len(alerts))]

    def _write(self, survey: Survey, refs: dict[int, tuple[AlertRef, int]]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}

        def report(ref: AlertRef, state: State, reason: str) -> None:
            _, number = refs[id(ref)]
            if state == "refused":
                outcomes[number] = refused(f"{survey.name} alert {ref.alert_id}: {reason}", _CANNOT_BE_WRITTEN)
            else:
                outcomes[number] = ADDED if state == "written" else PRESENT

        paths = write_lake(
            self._open(survey),
            [ref for ref, _ in refs.values()],
            survey,
            schemas=self._schemas,
            max_packet_bytes=self._max_packet_bytes,
            report=report,
        )
        for _ in paths:
            pass
        return outcomes

    def _open(self, survey: Survey) -> Filesystem:
        if survey.name not in self._files:
            files = open_filesystem(f"{self._root}/{survey.name}", self._access)
            if isinstance(files, LocalFiles):
                # A missing folder is otherwise an error: a disk that is not mounted.
                Path(files.url).mkdir(parents=True, exist_ok=True)
            self._files[survey.name] = files
        return self._files[survey.name]

    def close(self) -> None:
        """Let go of connections."""
        for files in self._files.values():
            files.close()
        self._files.clear()
