"""The nightly public archive: list, download, read and plot."""
