"""Schemas and packets that several tests need."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pytest

from stamp_service.errors import NotFound
from stamp_service.packets import Schema, write_ocf


class OneSchema:
    """A lookup that knows one schema."""

    def __init__(self, schema_id: int, schema: Schema) -> None:
        self.schema_id = schema_id
        self.known = schema

    def schema(self, schema_id: int) -> Schema:
        if schema_id != self.schema_id:
            raise NotFound(f"no schema {schema_id} here")
        return self.known


@pytest.fixture(scope="session")
def one_schema() -> type[OneSchema]:
    return OneSchema


@pytest.fixture(scope="session")
def lsst_parts(shared_data) -> list[Schema]:
    """Rubin's schema files, parsed, in alphabetical order."""
    folder = shared_data / "alerts" / "lsst" / "schema"
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.avsc"))]


@pytest.fixture(scope="session")
def lsst_truth(shared_data) -> dict[str, Any]:
    """The real LSST alert, decoded by fastavro."""
    folder = shared_data / "alerts" / "lsst"
    schema = fastavro.schema.load_schema(str(folder / "schema" / "lsst.v9_0.alert.avsc"))
    body = next(folder.glob("*.wire")).read_bytes()[5:]
    return fastavro.schemaless_reader(io.BytesIO(body), schema, None)


@pytest.fixture(scope="session")
def ocf_files(shared_data) -> list[Path]:
    """Every real object container file."""
    return sorted((shared_data / "alerts").glob("*/*.avro"))


CUTOUT = {"type": "record", "name": "cutout", "fields": [{"name": "stampData", "type": "bytes"}]}
ZTF_LIKE: dict[str, Any] = {
    "type": "record",
    "name": "alert",
    "namespace": "ztf",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {
            "name": "candidate",
            "type": {
                "type": "record",
                "name": "candidate",
                "fields": [
                    {"name": "jd", "type": "double"},
                    {"name": "fid", "type": "int"},
                    {"name": "ra", "type": "double"},
                    {"name": "dec", "type": "double"},
                    {"name": "magpsf", "type": ["null", "float"]},
                ],
            },
        },
        {"name": "cutoutScience", "type": ["null", CUTOUT]},
        {"name": "cutoutTemplate", "type": ["cutout", "null"]},
        {"name": "cutoutDifference", "type": ["null", "cutout"]},
    ],
}


@pytest.fixture
def ztf_record() -> dict[str, Any]:
    """A small record of `ztf_schema`, without template."""
    return {
        "objectId": "ZTF26abcdefg",
        "candid": 1234567890123456789,
        "candidate": {"jd": 2461000.5, "fid": 2, "ra": 10.5, "dec": -20.25, "magpsf": 17.5},
        "cutoutScience": {"stampData": b"science"},
        "cutoutTemplate": None,
        "cutoutDifference": {"stampData": b"difference"},
    }


@pytest.fixture(scope="session")
def ztf_schema() -> dict[str, Any]:
    """ZTF's schema with the fields that a survey definition asks for."""
    return ZTF_LIKE


@pytest.fixture
def ztf_packet(ztf_schema, ztf_record) -> Callable[..., bytes]:
    """Writes `ztf_record`, with changes, as an object container file."""

    def write(**changes: Any) -> bytes:
        return write_ocf(ztf_schema, ztf_record | changes)

    return write


@pytest.fixture(scope="session", params=["plain", "gzipped"])
def wrap(request) -> Callable[[bytes], bytes]:
    """Leaves a packet as it is, or gzips it."""
    return gzip.compress if request.param == "gzipped" else bytes
