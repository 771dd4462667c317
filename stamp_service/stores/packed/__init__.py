"""Packets by the thousand in AVRO object container files, which any AVRO reader opens."""

from stamp_service.stores.packed.archive import PackedAlert
from stamp_service.stores.packed.store import PackedBuckets, PackedStore

__all__ = ["PackedAlert", "PackedBuckets", "PackedStore"]
