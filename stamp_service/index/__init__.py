"""Which alerts exist: by object, by time, by position."""

from stamp_service.index.alert_index import AlertIndex, Holding
from stamp_service.index.cells import Cone
from stamp_service.index.entries import IndexedAlert, entry_of
from stamp_service.index.feed import IndexFeed, IndexOutcome
from stamp_service.index.opening import open_index
from stamp_service.index.pages import Page

__all__ = [
    "AlertIndex",
    "Cone",
    "Holding",
    "IndexFeed",
    "IndexOutcome",
    "IndexedAlert",
    "Page",
    "entry_of",
    "open_index",
]
