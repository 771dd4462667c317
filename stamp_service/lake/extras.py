"""The optional packages that lakes need."""

from functools import partial

from stamp_service.extras import Untyped, import_extra

__all__ = ["Untyped", "extra"]

extra = partial(import_extra, needed="Parquet lakes need", extras="lake")
