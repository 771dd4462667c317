"""The index that the settings name."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from stamp_service.errors import ConfigurationError
from stamp_service.index.alert_index import AlertIndex
from stamp_service.remote.databases import through_psycopg
from stamp_service.settings import Settings

_HINT = "STAMP_INDEX_URL is no address of SQLite or PostgreSQL"


def open_index(settings: Settings) -> AlertIndex:
    """Open the index; its tables are made, or brought up to date, when it is first used.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    AlertIndex
        The index; nothing is connected yet.

    Raises
    ------
    ConfigurationError
        If the address is none, or PostgreSQL's client is not installed.
    """
    return AlertIndex(_address(settings), settings.index_timeout_s)


def _address(settings: Settings) -> URL:
    if settings.index_url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(settings.data_dir / "index.sqlite"))
    try:
        url = make_url(settings.index_url.get_secret_value())
    except ArgumentError:
        raise ConfigurationError(_HINT) from None
    if url.get_backend_name() == "sqlite":
        return url
    if url.get_backend_name() != "postgresql":
        raise ConfigurationError(_HINT)
    return through_psycopg(url)
