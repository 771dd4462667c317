"""Which alerts exist: by object, by time, by position."""

from stamp_service.index.alert_index import AlertIndex
from stamp_service.index.cells import Cone
from stamp_service.index.entries import IndexedAlert, entry_of
from stamp_service.index.feeding import Feed, IndexOutcome
from stamp_service.index.opening import open_index
from stamp_service.index.pages import Page
from stamp_service.index.rebuilding import Rebuilt, rebuild

__all__ = [
    "AlertIndex",
    "Cone",
    "Feed",
    "IndexOutcome",
    "IndexedAlert",
    "Page",
    "Rebuilt",
    "entry_of",
    "open_index",
    "rebuild",
]
