"""The public archive, asked and downloaded from."""

from pathlib import Path
from urllib.parse import urljoin

from stamp_service.settings import Settings, load_settings
from stamp_service.ztf_archive.downloads import Downloader
from stamp_service.ztf_archive.local import nights_folder
from stamp_service.ztf_archive.releases import Release, parse_index, release_name

# The index has a line of 300 bytes per night.
_MAX_INDEX_BYTES = 16 * 1024 * 1024


def list_releases(*, settings: Settings | None = None) -> list[Release]:
    """Ask the archive which nights it has, with their sizes.

    Parameters
    ----------
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    list of Release
        The nights with alerts, newest first.

    Raises
    ------
    NotFound
        If there is nothing at the archive's address.
    StoreUnavailable
        If the archive cannot be asked, or answers with something else.
    """
    settings = settings or load_settings()
    page = _downloader(settings).page(_base(settings), _MAX_INDEX_BYTES)
    return [release for release in parse_index(page) if not release.is_empty]


def get_remote_release_list(*, settings: Settings | None = None) -> list[str]:
    """Ask the archive which nights it has.

    Parameters
    ----------
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    list of str
        Names of the files of nights with alerts, newest first.

    Raises
    ------
    NotFound
        If there is nothing at the archive's address.
    StoreUnavailable
        If the archive cannot be asked, or answers with something else.
    """
    return [release.name for release in list_releases(settings=settings)]


def download_data_date(year: int, month: int, day: int, *, settings: Settings | None = None) -> Path:
    """Download one night, even if it is here already.

    Parameters
    ----------
    year, month, day : int
        The date, UTC.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    pathlib.Path
        The night, whole and verified.

    Raises
    ------
    RequestError
        If there is no such date.
    NotFound
        If the archive has no such night.
    StoreUnavailable
        If it cannot be had now; what arrived is kept, and the next call goes on from there.
    """
    return _download(release_name(year, month, day), settings or load_settings())


def download_recent_data(
    max_downloads: float = 1, stop_on_exist: bool = False, *, settings: Settings | None = None
) -> list[Path]:
    """Download the newest nights, from the newest back, except those that are here.

    Parameters
    ----------
    max_downloads : int or float
        How many of the newest nights to look at; `math.inf` for all. Those that are here count.
    stop_on_exist : bool
        Whether to end at the first that is here.
    settings : Settings, optional
        The settings; those of the environment if none are given.

    Returns
    -------
    list of pathlib.Path
        What was downloaded.

    Raises
    ------
    StoreUnavailable
        If the archive cannot be asked, or a night cannot be had now.
    """
    settings = settings or load_settings()
    downloaded: list[Path] = []
    for number, name in enumerate(get_remote_release_list(settings=settings)):
        if number >= max_downloads:
            break
        if not (nights_folder(settings) / name).exists():
            downloaded.append(_download(name, settings))
        elif stop_on_exist:
            break
    return downloaded


def _download(name: str, settings: Settings) -> Path:
    path = nights_folder(settings) / name
    _downloader(settings).download(urljoin(_base(settings), name), path)
    return path


def _base(settings: Settings) -> str:
    return settings.ztf_archive_url.rstrip("/") + "/"


def _downloader(settings: Settings) -> Downloader:
    return Downloader("the ZTF archive", read_timeout_s=settings.ztf_archive_timeout_s)
