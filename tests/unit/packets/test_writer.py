"""Packets that the project writes, read by fastavro."""

import io

import fastavro
import pytest

from stamp_service.packets import CODECS, frame_ocf, write_ocf, write_wire

SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "bytes"}]}
RECORD = {"a": 7, "b": b"x" * 5000}


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
def test_fastavro_reads_what_is_written(codec):
    reader = fastavro.reader(io.BytesIO(write_ocf(SCHEMA, RECORD, codec)))
    assert reader.metadata["avro.codec"] == codec
    assert list(reader) == [RECORD]


def test_the_same_record_gives_the_same_file():
    assert write_ocf(SCHEMA, RECORD) == write_ocf(SCHEMA, dict(RECORD))
    assert len({write_ocf(SCHEMA, RECORD | {"a": number})[-16:] for number in range(10)}) == 10
    assert write_ocf(SCHEMA, RECORD, sync_marker=b"0123456789abcdef").endswith(b"0123456789abcdef")


def test_wire_format_starts_with_the_id():
    data = write_wire(SCHEMA, 900, RECORD)
    assert data[:5] == b"\x00\x00\x00\x03\x84"
    assert fastavro.schemaless_reader(io.BytesIO(data[5:]), SCHEMA, None) == RECORD


def test_schemas_in_parts_are_put_together():
    parts = [
        {"type": "record", "name": "x.point", "fields": [{"name": "n", "type": "long"}]},
        {"type": "record", "name": "x.r", "fields": [{"name": "p", "type": "x.point"}]},
    ]
    (record,) = fastavro.reader(io.BytesIO(write_ocf(parts, {"p": {"n": 3}})))
    assert record == {"p": {"n": 3}}


def test_what_cannot_be_written():
    with pytest.raises(ValueError, match="codec"):
        write_ocf(SCHEMA, RECORD, "lzma")
    with pytest.raises(ValueError, match="16 bytes"):
        frame_ocf(SCHEMA, b"", sync_marker=b"short")
    assert set(CODECS) == {"null", "deflate", "snappy", "zstandard"}
