"""The stores that the settings name, in the order in which each survey is looked up."""

from collections.abc import Mapping

from stamp_service.errors import ConfigurationError
from stamp_service.remote.s3_clients import S3Access
from stamp_service.settings import Settings
from stamp_service.stores.local import LocalStore
from stamp_service.stores.mars import MarsPatience, MarsStore
from stamp_service.stores.protocol import Store
from stamp_service.stores.s3 import S3Store
from stamp_service.surveys import Survey, Surveys


def open_local(settings: Settings) -> LocalStore:
    """Open the local directory.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    LocalStore
        The store, made if it did not exist.
    """
    return LocalStore(settings.data_dir / "alerts", settings.max_packet_bytes)


def open_named_stores(settings: Settings, surveys: Surveys) -> Mapping[str, Mapping[str, Store]]:
    """Open every store that some survey is resolved from; surveys share them.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    mapping of str to mapping of str to Store
        For each survey, its stores by the words of its `stores`, in their order. Words that stand for no store,
        because they are not configured or mean lakes, are left out.

    Raises
    ------
    ConfigurationError
        If a survey has nothing to be looked up in.
    """
    buckets = {name: bucket for name in surveys if (bucket := settings.bucket(name)) is not None}
    archived = [survey for survey in surveys.values() if "archive" in survey.stores]
    local = open_local(settings) if any(survey.name not in buckets for survey in archived) else None
    s3 = _open_s3(settings, buckets) if buckets else None
    mars = _open_mars(settings, settings.mars_url) if settings.mars_url else None

    def order(survey: Survey) -> Mapping[str, Store]:
        named: Mapping[str, Store | None] = {"archive": s3 if survey.name in buckets else local, "mars": mars}
        stores: dict[str, Store] = {
            word: store for word in survey.stores if (store := named.get(word)) is not None
        }
        if not stores and "lake" not in survey.stores:
            raise ConfigurationError(f"Survey {survey.name} is looked up in MARS alone, and MARS_URL is not set")
        return stores

    return {survey.name: order(survey) for survey in surveys.values()}


def open_stores(settings: Settings, surveys: Surveys) -> Mapping[str, tuple[Store, ...]]:
    """Open the same stores without their words.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    mapping of str to tuple of Store
        The stores of each survey, in the order of its `stores`.

    Raises
    ------
    ConfigurationError
        If a survey has nothing to be looked up in.
    """
    return {name: tuple(stores.values()) for name, stores in open_named_stores(settings, surveys).items()}


def _open_s3(settings: Settings, buckets: Mapping[str, str]) -> S3Store:
    access = S3Access(
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        connect_timeout_s=settings.s3_connect_timeout_s,
        read_timeout_s=settings.s3_read_timeout_s,
    )
    return S3Store(buckets, access, attempts=settings.s3_attempts, max_packet_bytes=settings.max_packet_bytes)


def _open_mars(settings: Settings, url: str) -> MarsStore:
    patience = MarsPatience(
        connect_timeout_s=settings.mars_connect_timeout_s,
        read_timeout_s=settings.mars_read_timeout_s,
        total_timeout_s=settings.mars_total_timeout_s,
        attempts=settings.mars_attempts,
    )
    return MarsStore(
        url, settings.mars_packet_hosts, patience=patience, max_packet_bytes=settings.max_packet_bytes
    )
