"""Cutouts out of Parquet files: the three ways agree with each other and with pyarrow's own read."""

import math
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.parquet import encryption

from stamp_service.errors import PacketCorrupt
from stamp_service.lake.building import build_index, scan_file
from stamp_service.lake.files import FileChanged
from stamp_service.lake.ids import Ids
from stamp_service.lake.reading import read_cutouts, read_record
from stamp_service.lake.side_index import SideIndex
from stamp_service.surveys.definition import KINDS
from tests.unit.lake.parquet_samples import REAL, expected, open_file, write, ztf_table

CODECS = ["snappy", "gzip", "zstd", "brotli", "lz4", "none"]


def by_pyarrow(index):
    """Return the same index, good for pyarrow only."""
    ids = _ids(index)
    return SideIndex(index.version, index.survey_name, "pyarrow", ids, groups=index.groups, cutouts=index.cutouts)


def by_page(index):
    """Return the same index, good for pages and below."""
    ids = _ids(index)
    return SideIndex(index.version, index.survey_name, "page", ids, groups=index.groups, cutouts=index.cutouts)


def _ids(index):
    return Ids(index.alert_ids, index.object_ids, index.times)


def all_ways(path, surveys, name):
    """Build, dump, load and scan; return what reads cutouts and an index for every way that the file allows."""
    files, file_path, version, survey = open_file(path, surveys, name)
    built = build_index(files, file_path, version, survey)
    dumped = path.with_suffix(".index")
    dumped.write_bytes(built.dump())
    loaded = SideIndex.load(dumped)
    indexes = [loaded, scan_file(files, file_path, version, survey), by_pyarrow(built)]
    if built.tier != "pyarrow":
        indexes.append(by_page(loaded))
    readers = [
        lambda row, kinds=KINDS, index=index: read_cutouts(files, file_path, index, row, kinds)
        for index in indexes
    ]
    return readers, indexes


def assert_all_agree(path, surveys, name, rows=None):
    readers, indexes = all_ways(path, surveys, name)
    truth = expected(path, surveys[name])
    assert all(index.rows == len(truth) for index in indexes)
    for reader in readers:
        for row in range(len(truth)) if rows is None else rows:
            assert reader(row)[0] == truth[row]
    return indexes


@pytest.mark.parametrize("name", REAL)
def test_every_row_of_the_real_files_agrees_in_all_ways(shared_data, surveys, tmp_path, name):
    path = tmp_path / "real.parquet"
    path.write_bytes((shared_data / "lake" / REAL[name]).read_bytes())
    indexes = assert_all_agree(path, surveys, name)
    assert [index.tier for index in indexes] == ["fragment", "page", "pyarrow", "page"]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize(
    "options",
    [
        {"row_group_size": 40},
        {"write_batch_size": 100, "data_page_size": 1},
        {"write_batch_size": 1, "data_page_size": 1, "write_page_index": True},
        {"compression": "none"},
    ],
    ids=["groups", "pages of 100", "pages of 1", "uncompressed"],
)
def test_replicated_files_are_read_by_fragments(shared_data, surveys, tmp_path, name, options):
    table = pq.read_table(shared_data / "lake" / REAL[name])
    path = tmp_path / "replicated.parquet"
    write(path, pa.concat_tables([table, table.slice(0, 40)]), **options)
    rows = random.Random(1).sample(range(table.num_rows + 40), 6)
    indexes = assert_all_agree(path, surveys, name, rows)
    assert [index.tier for index in indexes] == ["fragment", "page", "pyarrow", "page"]


def half_zeros(size, seed):
    return random.Random(seed).randbytes(size) + bytes(size)


VALUES = st.one_of(
    st.none(), st.binary(max_size=40), st.builds(half_zeros, st.integers(0, 90_000), st.integers(0, 9))
)
UNHURRIED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
WAYS = pytest.mark.parametrize(
    "options", [{}, {"compression": "zstd"}, {"use_dictionary": True}], ids=["fragment", "page", "pyarrow"]
)


@settings(max_examples=18, deadline=None, suppress_health_check=UNHURRIED)
@given(data=st.data())
def test_any_file_of_pyarrow_agrees_in_all_ways(tmp_path, surveys, data):
    rows = data.draw(st.integers(0, 12))
    table = ztf_table({kind: data.draw(st.lists(VALUES, min_size=rows, max_size=rows)) for kind in KINDS})
    options = {
        "compression": data.draw(st.sampled_from(CODECS)),
        "data_page_version": data.draw(st.sampled_from(["1.0", "2.0"])),
        "use_dictionary": data.draw(st.booleans()),
        "write_batch_size": data.draw(st.integers(1, 20)),
        "data_page_size": data.draw(st.sampled_from([1, 1000, 1 << 20])),
        "row_group_size": data.draw(st.integers(1, 12)),
        "write_page_index": data.draw(st.booleans()),
        "write_statistics": data.draw(st.booleans()),
    }
    path = tmp_path / "any.parquet"
    write(path, table, **options)
    indexes = assert_all_agree(path, surveys, "ztf")
    by_fragment = not rows or options["compression"] in {"snappy", "none"}
    for_pyarrow = (
        options["data_page_version"] == "2.0" or options["use_dictionary"] or options["compression"] == "lz4"
    )
    tier = "pyarrow" if rows and for_pyarrow else "fragment" if by_fragment else "page"
    assert indexes[0].tier == tier


def sample(tmp_path, rows=30, **options):
    """Write a file with cutouts of some kB, every fifth null, all of them different."""
    source = random.Random(7)
    cutouts = {
        kind: [None if row % 5 == 4 else source.randbytes(3000) + bytes(2000) for row in range(rows)]
        for kind in KINDS
    }
    path = tmp_path / "sample.parquet"
    write(path, ztf_table(cutouts), **options)
    return path


def test_nulls_are_missing_and_known_to_be(tmp_path, surveys):
    path = sample(tmp_path)
    files, name, version, survey = open_file(path, surveys, "ztf")
    index = build_index(files, name, version, survey)
    assert index.kinds(3) == KINDS
    assert index.kinds(4) == ()
    assert read_cutouts(files, name, index, 4, KINDS) == ({}, "fragment")


def test_only_the_kinds_that_were_asked_for_are_read(tmp_path, surveys):
    readers, _ = all_ways(sample(tmp_path), surveys, "ztf")
    for reader in readers:
        assert list(reader(2, ["template"])[0]) == ["template"]


def test_a_row_beyond_the_file_is_no_row(tmp_path, surveys):
    for reader in all_ways(sample(tmp_path), surveys, "ztf")[0]:
        for row in (-1, 30):
            with pytest.raises(IndexError):
                reader(row)


@WAYS
def test_a_replaced_file_is_noticed(tmp_path, surveys, options):
    path = sample(tmp_path, **options)
    readers, _ = all_ways(path, surveys, "ztf")
    sample(tmp_path, rows=40, **options)
    for reader in readers:
        with pytest.raises(FileChanged):
            reader(3)
    path.unlink()
    for reader in readers:
        with pytest.raises(FileChanged):
            reader(3)


class Forgetful:
    """Files whose reads do not look at the version, as on a remote file system that cannot tell cheaply."""

    def __init__(self, files):
        self._files = files

    def version(self, path):
        return self._files.version(path)

    def read(self, path, version, ranges):
        del version
        return self._files.read(path, self._files.version(path), ranges)


@pytest.mark.parametrize("compression", ["snappy", "none", "gzip"])
def test_bytes_of_another_row_are_never_given_out(tmp_path, surveys, compression):
    path = sample(tmp_path, compression=compression)
    files, name, version, survey = open_file(path, surveys, "ztf")
    indexes = [build_index(files, name, version, survey), scan_file(files, name, version, survey)]
    # The same alerts in another order: the layout is the same, the pixels are not.
    write(path, pq.read_table(path).take([*range(5, 30), *range(5)]), compression=compression)
    os.utime(path, ns=(0, 0))
    for index in indexes:
        with pytest.raises(FileChanged):
            read_cutouts(Forgetful(files), name, index, 3, KINDS)
    with pytest.raises(FileChanged):
        read_cutouts(Forgetful(files), name, by_pyarrow(indexes[0]), 3, KINDS)


def test_a_record_is_the_row_without_its_cutouts(tmp_path, surveys):
    path = sample(tmp_path, row_group_size=7)
    files, name, version, survey = open_file(path, surveys, "ztf")
    index = scan_file(files, name, version, survey)
    record = read_record(files, name, index, 9, survey)
    assert record == {"candid": 1009, "objectId": "ZTF180000002", "candidate": {"jd": 2458991.5}}


def damaged(content, seed):
    """Flip some bits of a file, half of the time in its last part, where the footer is."""
    source = random.Random(seed)
    copy = bytearray(content)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(copy)) if seed % 2 else len(copy) - 1 - source.randrange(3000)
        copy[at] ^= 1 << source.randrange(8)
    return bytes(copy)


def truth_or_refusal(path, surveys, truth):
    """Read every row in every way: each gives that row's bytes, or says that the file is damaged."""
    files, name, version, survey = open_file(path, surveys, "ztf")
    outcomes = set()
    for make in (build_index, scan_file):
        try:
            index = make(files, name, version, survey)
        except PacketCorrupt:
            outcomes.add("refused")
            continue
        for row in range(0, min(index.rows, 30), 3):
            alert = index.alert_id(row)
            try:
                outcomes.add(read_cutouts(files, name, index, row, KINDS)[0] == truth.get(alert))
            except (PacketCorrupt, FileChanged):
                outcomes.add("refused")
    return outcomes


@WAYS
def test_truncated_files_are_refused(tmp_path, surveys, options):
    path = sample(tmp_path, **options)
    content = path.read_bytes()
    for length in range(0, len(content), len(content) // 25):
        path.write_bytes(content[:length])
        assert truth_or_refusal(path, surveys, {}) == {"refused"}


def test_damage_after_indexing_is_refused_or_harmless(tmp_path, surveys):
    path = sample(tmp_path)
    truth = expected(path, surveys["ztf"])
    files, name, version, survey = open_file(path, surveys, "ztf")
    index = build_index(files, name, version, survey)
    content = path.read_bytes()
    outcomes = []
    for seed in range(1, 400, 2):
        path.write_bytes(damaged(content, seed))
        row = seed % 30
        try:
            outcomes.append(read_cutouts(Forgetful(files), name, index, row, KINDS)[0] == truth[row])
        except FileChanged:
            outcomes.append(None)
    assert False not in outcomes
    assert {None, True} <= set(outcomes)


@WAYS
def test_damage_before_indexing_never_gives_another_rows_bytes(tmp_path, surveys, options):
    path = sample(tmp_path, **options)
    content, truth = path.read_bytes(), expected(path, surveys["ztf"])
    owners = {value: row for row, cutouts in enumerate(truth) for value in cutouts.values()}
    outcomes = set()
    for seed in range(40):
        path.write_bytes(damaged(content, seed))
        files, name, version, survey = open_file(path, surveys, "ztf")
        try:
            index = (build_index, scan_file)[seed // 2 % 2](files, name, version, survey)
            for row in range(0, min(index.rows, 30), 4):
                read = read_cutouts(files, name, index, row, KINDS)[0]
                outcomes |= {owners.get(value, row) == row for value in read.values()}
        except (PacketCorrupt, FileChanged):
            outcomes.add("refused")
    assert outcomes == {True, "refused"}


@WAYS
def test_pages_are_compared_with_their_checksums(tmp_path, surveys, options):
    path = sample(tmp_path, write_page_checksum=True, **options)
    content, truth = path.read_bytes(), expected(path, surveys["ztf"])
    pixel = truth[7]["template"][:2900]
    assert build_index(*open_file(path, surveys, "ztf")).rows == 30
    at = content.find(pixel[100:130])
    assert at > 0
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    files, name, version, survey = open_file(path, surveys, "ztf")
    with pytest.raises(PacketCorrupt):
        read_cutouts(files, name, build_index(files, name, version, survey), 7, KINDS)


def test_foreign_bytes_are_refused(tmp_path, surveys):
    path = tmp_path / "foreign.parquet"
    for content in (b"", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff" * 4 + b"PAR1", os.urandom(5000), b"{}" * 40):
        path.write_bytes(content)
        assert truth_or_refusal(path, surveys, {}) == {"refused"}


def refused(path, surveys, name="ztf"):
    for make in (build_index, scan_file):
        with pytest.raises(PacketCorrupt) as error:
            make(*open_file(path, surveys, name))
    return str(error.value)


def test_files_without_the_columns_are_refused_by_name(tmp_path, surveys):
    table = pq.read_table(sample(tmp_path))
    path = tmp_path / "lacking.parquet"
    write(path, table.drop_columns(["candid"]))
    assert "column candid" in refused(path, surveys)
    write(path, table.select(["candid", "objectId"]))
    assert "column cutoutScience.stampData" in refused(path, surveys)
    write(path, table.set_column(0, "candid", pa.array([[1]] * 30)))
    assert "column candid" in refused(path, surveys)
    write(path, table.set_column(0, "candid", pa.array([1.5] * 30)))
    assert "column candid" in refused(path, surveys)
    write(path, table.set_column(0, "candid", pa.array(["x" * 200] * 30)))
    assert "column candid" in refused(path, surveys)
    write(path, table.set_column(3, "cutoutScience", pa.array([{"stampData": 1}] * 30)))
    assert "column cutoutScience.stampData" in refused(path, surveys)


def test_a_file_may_lack_a_kind_the_objects_and_the_times(tmp_path, surveys):
    table = pq.read_table(sample(tmp_path)).select(["candid", "cutoutScience"])
    path = tmp_path / "lacking.parquet"
    write(path, table)
    files, name, version, survey = open_file(path, surveys, "ztf")
    for index in (build_index(files, name, version, survey), scan_file(files, name, version, survey)):
        assert index.object_id(0) is None
        assert math.isnan(index.time(0))
        assert list(read_cutouts(files, name, index, 0, KINDS)[0]) == ["science"]


def test_empty_files_have_no_rows(tmp_path, surveys):
    path = tmp_path / "empty.parquet"
    table = ztf_table({kind: [] for kind in KINDS})
    write(path, table)
    assert all(index.rows == 0 for index in all_ways(path, surveys, "ztf")[1])
    with pq.ParquetWriter(path, table.schema):
        pass
    assert all(index.rows == 0 for index in all_ways(path, surveys, "ztf")[1])


def test_two_rows_of_one_object_come_oldest_first(tmp_path, surveys):
    files, name, version, survey = open_file(sample(tmp_path), surveys, "ztf")
    index = build_index(files, name, version, survey)
    # Later rows of this file are earlier in time.
    assert index.find_object("ZTF180000002") == (23, 16, 9, 2)
    assert index.find_alert("1009") == 9
    assert index.alert_id(9) == "1009"
    assert index.time(9) == 2458991.5


def test_encrypted_files_are_refused_as_such(tmp_path, surveys):
    class Wrapping(encryption.KmsClient):
        def wrap_key(self, key_bytes, master_key_identifier):
            return key_bytes

        def unwrap_key(self, wrapped_key, master_key_identifier):
            return wrapped_key

    factory = encryption.CryptoFactory(lambda _: Wrapping())
    table = pq.read_table(sample(tmp_path))
    path = tmp_path / "encrypted.parquet"
    for plaintext_footer in (False, True):
        keys = {"master": ["candid", "cutoutScience.stampData"]}
        how = encryption.EncryptionConfiguration("footer", column_keys=keys, plaintext_footer=plaintext_footer)
        properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), how)
        write(path, table, encryption_properties=properties)
        assert refused(path, surveys) == "the Parquet file is encrypted"
