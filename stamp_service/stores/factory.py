"""The stores that the settings name, in the order in which each survey is looked up."""

from collections.abc import Mapping
from itertools import chain

from stamp_service.errors import ConfigurationError
from stamp_service.remote.s3_clients import S3Access
from stamp_service.settings import Settings
from stamp_service.stores.local import LocalStore
from stamp_service.stores.mars import MarsPatience, MarsStore
from stamp_service.stores.packed import PackedBuckets, PackedStore
from stamp_service.stores.protocol import Store
from stamp_service.stores.s3 import S3Store
from stamp_service.stores.schemas import open_schemas
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


def open_archives(settings: Settings, surveys: Surveys) -> Mapping[str, LocalStore | S3Store]:
    """Open the stores with one object per alert.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    mapping of str to LocalStore or S3Store
        The store of each survey, whether the survey is kept packed or not.
    """
    buckets = {name: bucket for name in surveys if (bucket := settings.bucket(name)) is not None}
    local = open_local(settings) if len(buckets) < len(surveys) else None
    s3 = _open_s3(settings, buckets) if buckets else None
    stores = {name: s3 if name in buckets else local for name in surveys}
    return {name: store for name, store in stores.items() if store is not None}


def open_packed(settings: Settings, surveys: Surveys) -> PackedStore:
    """Open the packed store.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys; those with a bucket have their packs there.

    Returns
    -------
    PackedStore
        The store, for any survey.

    Raises
    ------
    ConfigurationError
        If a survey is to be kept packed that does not exist.
    """
    for name in settings.packed_surveys:
        if name not in surveys:
            raise ConfigurationError(f"STAMP_PACKED_SURVEYS names {name}, which is no survey")
    buckets = {name: bucket for name in surveys if (bucket := settings.bucket(name)) is not None}
    remote = PackedBuckets(buckets=buckets, access=_s3_access(settings), attempts=settings.s3_attempts)
    return PackedStore(
        settings.data_dir / "packed",
        schemas=open_schemas(settings),
        max_packet_bytes=settings.max_packet_bytes,
        codec=settings.packed_codec,
        remote=remote if buckets else None,
    )


def open_named_stores(settings: Settings, surveys: Surveys) -> Mapping[str, Mapping[str, tuple[Store, ...]]]:
    """Open every store that some survey is resolved from; surveys share them.

    Parameters
    ----------
    settings : Settings
        The settings.
    surveys : Surveys
        The surveys.

    Returns
    -------
    mapping of str to mapping of str to tuple of Store
        For each survey, the stores that each word of its `stores` stands for, in their order; none where they are
        not configured, or are lakes.

    Raises
    ------
    ConfigurationError
        If a survey has nothing to be looked up in.
    """
    buckets = {name: bucket for name in surveys if (bucket := settings.bucket(name)) is not None}
    packed = open_packed(settings, surveys) if settings.packed_surveys else None
    archived = [survey for survey in surveys.values() if "archive" in survey.stores]
    local = open_local(settings) if any(survey.name not in buckets for survey in archived) else None
    s3 = _open_s3(settings, buckets) if buckets else None
    mars = _open_mars(settings, settings.mars_url) if settings.mars_url else None

    def order(survey: Survey) -> Mapping[str, tuple[Store, ...]]:
        archive = s3 if survey.name in buckets else local
        # Behind the packed store stands the other one: what was put there is found, and packed once asked for.
        kept = (packed, archive) if survey.name in settings.packed_surveys else (archive,)
        named: Mapping[str, tuple[Store | None, ...]] = {"archive": kept, "mars": (mars,)}
        found: dict[str, tuple[Store, ...]] = {
            word: tuple(store for store in named.get(word, ()) if store is not None) for word in survey.stores
        }
        if not any(found.values()) and "lake" not in survey.stores:
            raise ConfigurationError(f"Survey {survey.name} is looked up in MARS alone, and MARS_URL is not set")
        return found

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
    named = open_named_stores(settings, surveys)
    return {name: tuple(chain.from_iterable(stores.values())) for name, stores in named.items()}


def _s3_access(settings: Settings) -> S3Access:
    return S3Access(
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        connect_timeout_s=settings.s3_connect_timeout_s,
        read_timeout_s=settings.s3_read_timeout_s,
    )


def _open_s3(settings: Settings, buckets: Mapping[str, str]) -> S3Store:
    return S3Store(
        buckets,
        _s3_access(settings),
        attempts=settings.s3_attempts,
        max_packet_bytes=settings.max_packet_bytes,
    )


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
