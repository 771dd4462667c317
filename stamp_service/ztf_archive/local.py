"""The alerts that are on this machine: in downloaded nights, or in the local store."""

from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stamp_service.errors import AlertNotFound, NotFound, RequestError
from stamp_service.packets import Packet, open_alert
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import LocalStore, PackedStore, open_local, open_packed
from stamp_service.surveys import Survey, load_surveys
from stamp_service.ztf_archive.nights import PACKET_SUFFIX, NightPacket, iter_night
from stamp_service.ztf_archive.releases import is_release_name

_FOLDER = "ztf_archive"
# Ids of a night's packets in its order, kept beside it: reading them off the night takes half a minute per GB.
_IDS_SUFFIX = ".ids.npy"


def nights_folder(settings: Settings) -> Path:
    """Name the folder of downloaded nights.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist.
    """
    return settings.data_dir / _FOLDER


def get_local_release_list(*, settings: Settings | None = None) -> list[str]:
    """List the nights that were downloaded.

    Parameters
    ----------
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    list of str
        Names of files, newest first.
    """
    folder = nights_folder(settings or load_settings())
    if not folder.is_dir():
        return []
    return sorted((file.name for file in folder.iterdir() if is_release_name(file.name)), reverse=True)


def get_number_local_releases(*, settings: Settings | None = None) -> int:
    """Count the nights that were downloaded.

    Parameters
    ----------
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    int
        How many.
    """
    return len(get_local_release_list(settings=settings))


def get_local_alert_list(*, settings: Settings | None = None) -> list[int]:
    """List the alerts that `iter_alerts` would read.

    The first time, each night is read from beginning to end; its ids are kept beside it.

    Parameters
    ----------
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    list of int
        Their `candid`, night by night from the newest back; in no particular order without a night.

    Raises
    ------
    PacketCorrupt
        If a night is damaged.
    StoreUnavailable
        If a night or the store cannot be read.
    """
    with closing(_Here(settings)) as here:
        nights = here.nights()
        if not nights:
            return [int(alert_id) for _, alert_id in here.stored()]
        return [int(candid) for night in nights for candid in here.ids(night)]


def get_number_local_alerts(*, settings: Settings | None = None) -> int:
    """Count the alerts that `iter_alerts` would read.

    Parameters
    ----------
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    int
        How many.
    """
    return len(get_local_alert_list(settings=settings))


def iter_alerts(
    num_alerts: int | None = None, raw: bool = False, *, settings: Settings | None = None
) -> Iterator[Any]:
    """Read all local alerts: those of the downloaded nights, or of the local store where there is no night.

    Parameters
    ----------
    num_alerts : int, optional
        How many to hand out at a time.
    raw : bool
        Whether to hand out packets instead of decoded alerts.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    iterator of dict or bytes, or of lists of these
        One alert at a time; lists of `num_alerts` if that is given, the last of which may be shorter.

    Raises
    ------
    RequestError
        If `num_alerts` is not positive.
    NotFound
        If there is no alert on this machine.
    PacketCorrupt
        If a night or a packet is damaged.
    """
    if num_alerts is not None and num_alerts < 1:
        raise RequestError("num_alerts is not a positive number", "num_alerts")
    here = _Here(settings)
    packets = here.packets()
    first = next(packets, None)
    if first is None:
        raise NotFound("there is no alert on this machine: download a night first")
    alerts = (packet if raw else here.decode(packet) for packet in _chain(first, packets))
    return alerts if num_alerts is None else _batches(alerts, num_alerts)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _batches(alerts: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(alerts, size)):
        yield batch


def get_alert_data(candid: int | str, raw: bool = False, *, settings: Settings | None = None) -> Any:  # noqa: ANN401 - bytes or a record, as the caller says
    """Find one alert in the local store or in the downloaded nights.

    Parameters
    ----------
    candid : int or str
        The alert's id.
    raw : bool
        Whether to return the packet instead of the decoded alert.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    dict or bytes
        The alert with its cutouts, or its packet. The store answers in milliseconds; in a night, everything before
        the alert is read.

    Raises
    ------
    RequestError
        If this is no id.
    AlertNotFound
        If the alert is not on this machine.
    PacketCorrupt
        If a night or the packet is damaged.
    """
    with closing(_Here(settings)) as here:
        packet = here.find(here.survey.check_alert_id(str(candid), "candid"))
        return packet if raw else here.decode(packet)


class _Here:
    """The alerts of this machine."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings or load_settings()
        surveys = load_surveys(self._settings.surveys_dir)
        self.survey: Survey = surveys["ztf"]
        is_packed = self.survey.name in self._settings.packed_surveys
        packed = [open_packed(self._settings, surveys)] if is_packed else []
        self._stores: list[PackedStore | LocalStore] = [*packed, open_local(self._settings)]

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def nights(self) -> list[Path]:
        folder = nights_folder(self._settings)
        return [folder / name for name in get_local_release_list(settings=self._settings)]

    def read(self, night: Path) -> Iterator[NightPacket]:
        return iter_night(night, max_packet_bytes=self._settings.max_packet_bytes)

    def packets(self) -> Iterator[bytes]:
        with closing(self):
            nights = self.nights()
            for night in nights:
                yield from (packet for packet, _ in self.read(night))
            if not nights:
                yield from (store.get(self.survey, alert_id) for store, alert_id in self.stored())

    def stored(self) -> Iterator[tuple[PackedStore | LocalStore, str]]:
        """Name what the stores have, each alert once: what was packed later is in both."""
        seen: set[str] = set()
        for store in self._stores:
            for alert_id in store.alert_ids(self.survey):
                if alert_id not in seen:
                    yield store, alert_id
                    if store is not self._stores[-1]:
                        seen.add(alert_id)

    def decode(self, packet: bytes) -> dict[str, Any]:
        return Packet.parse(packet, max_bytes=self._settings.max_packet_bytes).record()

    def find(self, alert_id: str) -> bytes:
        for store in self._stores:
            with suppress(AlertNotFound):
                return store.get(self.survey, alert_id)
        for night in self.nights():
            (places,) = np.nonzero(self.ids(night) == int(alert_id))
            if places.size:
                packet = next(islice(self.read(night), int(places[0]), None)).packet
                # Reading anything compares the id: members may be called anything.
                _ = open_alert(self.survey, alert_id, packet).object_id
                return packet
        raise AlertNotFound(f"there is no {self.survey.name} alert {alert_id} on this machine")

    def ids(self, night: Path) -> npt.NDArray[np.int64]:
        """Read the ids of a night's packets, shape (n,); off the night itself only if it changed."""
        status = night.stat()
        # Its name says which file it is about, so that it can never be taken for another's.
        kept = night.with_name(f"{night.name}.{status.st_size}-{status.st_mtime_ns}{_IDS_SUFFIX}")
        try:
            ids: npt.NDArray[np.int64] = np.load(kept, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            ids = np.fromiter((self._candid(packet) for packet in self.read(night)), dtype=np.int64)
            _keep(ids, kept, night)
        return ids

    def _candid(self, member: NightPacket) -> int:
        """Take the id that the member is named after, or look into the packet; 0 if it has none."""
        stem = member.name.rpartition("/")[2].removesuffix(PACKET_SUFFIX)
        if self.survey.alert_id.matches(stem):
            return int(stem)
        candid = Packet.parse(member.packet, max_bytes=self._settings.max_packet_bytes).get(
            *self.survey.alert_id.fields
        )
        return candid if isinstance(candid, int) else 0


def _keep(ids: npt.NDArray[np.int64], path: Path, night: Path) -> None:
    """Write ids beside their night, and let go of what was kept of an earlier one."""
    part = path.with_name(f"{path.name}.part")
    try:
        for old in night.parent.glob(f"{night.name}.*{_IDS_SUFFIX}"):
            old.unlink(missing_ok=True)
        with part.open("wb") as file:
            np.save(file, ids)
        part.replace(path)
    except OSError:
        # A folder that cannot be written to costs time only.
        part.unlink(missing_ok=True)
