"""The nightly public archive: list, download, read and plot."""

from stamp_service.ztf_archive.filling import add_night
from stamp_service.ztf_archive.local import (
    get_alert_data,
    get_local_alert_list,
    get_local_release_list,
    get_number_local_alerts,
    get_number_local_releases,
    iter_alerts,
    nights_folder,
)
from stamp_service.ztf_archive.nights import NightPacket, iter_night
from stamp_service.ztf_archive.plotting import plot_stamps
from stamp_service.ztf_archive.releases import Release, release_name
from stamp_service.ztf_archive.remote import (
    download_data_date,
    download_recent_data,
    get_remote_release_list,
    list_releases,
)

# The name under which earlier versions of the broker have it.
download_data = download_recent_data

__all__ = [
    "NightPacket",
    "Release",
    "add_night",
    "download_data",
    "download_data_date",
    "download_recent_data",
    "get_alert_data",
    "get_local_alert_list",
    "get_local_release_list",
    "get_number_local_alerts",
    "get_number_local_releases",
    "get_remote_release_list",
    "iter_alerts",
    "iter_night",
    "list_releases",
    "nights_folder",
    "plot_stamps",
    "release_name",
]
