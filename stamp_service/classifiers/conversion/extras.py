"""The optional packages that conversion needs."""

from functools import partial

from stamp_service.extras import Untyped, import_extra

__all__ = ["Untyped", "extra"]

extra = partial(import_extra, needed="Converting models needs", extras="convert")
