"""Stamp Service: alert packets, metadata and stamps of sky surveys."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("stamp-service")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
