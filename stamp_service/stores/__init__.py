"""Where packets are kept, and where their schemas come from."""

from stamp_service.remote.s3_clients import S3Access
from stamp_service.stores.factory import open_archives, open_local, open_named_stores, open_packed, open_stores
from stamp_service.stores.listing import ListedStore, fetch_each, listed_stores
from stamp_service.stores.local import LocalStore
from stamp_service.stores.mars import MarsPatience, MarsStore
from stamp_service.stores.memory import MemoryStore
from stamp_service.stores.packed import PackedAlert, PackedStore
from stamp_service.stores.packet_files import PacketFiles, find_packets, open_packet
from stamp_service.stores.protocol import Store
from stamp_service.stores.s3 import S3Store
from stamp_service.stores.schemas import (
    FolderSchemas,
    RegistrySchemas,
    SchemaChain,
    SchemaSource,
    import_schema,
    import_schemas,
    open_schemas,
)

__all__ = [
    "FolderSchemas",
    "ListedStore",
    "LocalStore",
    "MarsPatience",
    "MarsStore",
    "MemoryStore",
    "PackedAlert",
    "PackedStore",
    "PacketFiles",
    "RegistrySchemas",
    "S3Access",
    "S3Store",
    "SchemaChain",
    "SchemaSource",
    "Store",
    "fetch_each",
    "find_packets",
    "import_schema",
    "import_schemas",
    "listed_stores",
    "open_archives",
    "open_local",
    "open_named_stores",
    "open_packed",
    "open_packet",
    "open_schemas",
    "open_stores",
]
