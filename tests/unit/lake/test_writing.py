"""Lakes that this package writes: what is in the files, where they stand, and what is left out."""

import io
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC
from functools import partial

import fastavro
import pyarrow.parquet as pq
import pytest
from astropy.time import Time

from stamp_service.errors import PacketCorrupt, StoreUnavailable
from stamp_service.lake.building import build_index
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.reading import read_cutouts
from stamp_service.lake.writing import AlertRef, write_lake
from stamp_service.packets import assemble_schema, recognise
from stamp_service.surveys import Surveys

FOLDERS = {"ztf": ["ztf", "ztf_snappy"], "atlas": ["atlas"], "lsst": ["lsst", "lsst_elasticc"]}


class OneSchema:
    """Rubin's schema, the same object each time."""

    def __init__(self, schema):
        self.known = schema

    def schema(self, schema_id):
        return self.known


@pytest.fixture(scope="module")
def schemas(shared_data):
    folder = shared_data / "alerts" / "lsst" / "schema"
    parts = [fastavro.schema.load_schema(str(folder / "lsst.v9_0.alert.avsc"))]
    return OneSchema(assemble_schema(parts, "lsst.v9_0.alert"))


@pytest.fixture(scope="module")
def alerts(shared_data, surveys, schemas):
    """The real alerts of each survey, and references to them."""
    found = {}
    for name, folders in FOLDERS.items():
        one = Surveys([surveys[name]])
        files = [file for folder in folders for file in sorted((shared_data / "alerts" / folder).glob("*.[aw]*e"))]
        files += [file for folder in folders for file in sorted((shared_data / "alerts" / folder).glob("*.avro"))]
        opened = [recognise(one, file.read_bytes(), schemas) for file in files]
        found[name] = {alert.alert_id: alert for alert in opened}
    return found


def refs_to(alerts):
    return [AlertRef.of(alert, partial(bytes, alert.packet.data)) for alert in alerts.values()]


class Reports:
    """What became of the alerts."""

    def __init__(self):
        self.states = {}
        self.reasons = {}

    def __call__(self, ref, state, reason):
        self.states.setdefault(ref.alert_id, []).append(state)
        if reason:
            self.reasons[ref.alert_id] = reason


def read_lake(root):
    """Read every file: its path and rows."""
    return {path: pq.read_table(root / path, partitioning=None) for path, _ in LocalFiles(root).walk()}


def dig(record, paths):
    """The first of some dotted paths that leads to something."""
    for path in paths:
        value = record
        for name in path.split("."):
            value = None if value is None else value.get(name)
        if value is not None:
            return value
    return None


def unlike(row, value, path=""):
    """List where a row differs from a record; fields that the record lacks have to be null."""
    if isinstance(value, dict) and isinstance(row, dict):
        for name in value.keys() - row.keys():
            # A field that is always null has no column.
            yield from [] if value[name] is None else [f"{path}.{name} is missing"]
        for name in row:
            yield from unlike(row[name], value.get(name), f"{path}.{name}")
    elif isinstance(value, list) and isinstance(row, list) and len(value) == len(row):
        for index, (left, right) in enumerate(zip(row, value, strict=True)):
            yield from unlike(left, right, f"{path}[{index}]")
    elif isinstance(value, float) and math.isnan(value):
        yield from [] if isinstance(row, float) and math.isnan(row) else [f"{path}: {row!r}"]
    elif row != value or type(row) is not type(value):
        yield f"{path}: {row!r} is not {value!r}"


@pytest.fixture(scope="module")
def written(alerts, surveys, schemas, tmp_path_factory):
    """A lake of each survey's real alerts, a few to a file."""
    roots = {}
    for name in FOLDERS:
        roots[name] = tmp_path_factory.mktemp(name)
        paths = list(
            write_lake(
                LocalFiles(roots[name]), refs_to(alerts[name]), surveys[name], rows_per_file=5, schemas=schemas
            )
        )
        assert sorted(paths) == [path for path, _ in LocalFiles(roots[name]).walk()]
    return roots


@pytest.fixture(scope="module")
def rows_of(written):
    """The rows of each file of each of these lakes."""
    return {
        name: {path: table.to_pylist() for path, table in read_lake(root).items()}
        for name, root in written.items()
    }


@pytest.mark.parametrize("name", FOLDERS)
def test_every_row_is_its_packet_field_for_field(name, alerts, surveys, rows_of):
    found = [row for rows in rows_of[name].values() for row in rows]
    rows = {str(dig(row, surveys[name].alert_id.fields)): row for row in found}
    assert rows.keys() == alerts[name].keys()
    assert len(rows) == {"ztf": 108, "atlas": 10, "lsst": 11}[name]
    for alert_id, alert in alerts[name].items():
        assert list(unlike(rows[alert_id], alert.packet.record())) == [], alert_id


@pytest.mark.parametrize("name", FOLDERS)
def test_a_day_has_its_folder_as_fink_names_it(name, surveys, rows_of):
    survey = surveys[name]
    for path, rows in rows_of[name].items():
        for row in rows:
            time_of = Time(dig(row, survey.time.fields), format=survey.time.format).to_datetime(timezone=UTC)
            assert path.startswith(f"{time_of:year=%Y/month=%m/day=%d}/part-")


@pytest.mark.parametrize("name", FOLDERS)
def test_rows_are_sorted_by_object_and_time(name, alerts, surveys, schemas, tmp_path):
    # All on one day, latest first.
    refs = [replace(ref, time_mjd=60000.9 - index / 1e4) for index, ref in enumerate(refs_to(alerts[name]))]
    when = {ref.alert_id: ref.time_mjd for ref in refs}
    total = 0
    for path in write_lake(LocalFiles(tmp_path), refs, surveys[name], schemas=schemas):
        order = [
            (dig(row, surveys[name].object_id.fields) or 0, when[str(dig(row, surveys[name].alert_id.fields))])
            for row in pq.read_table(tmp_path / path, partitioning=None).to_pylist()
        ]
        assert order == sorted(order)
        total += len(order)
    assert total == len(refs)


@pytest.mark.parametrize("name", FOLDERS)
def test_files_hold_as_many_rows_as_they_may(name, rows_of):
    assert max(map(len, rows_of[name].values())) <= 5


@pytest.mark.parametrize("name", FOLDERS)
def test_every_cutout_is_found_in_its_fragment(name, alerts, surveys, schemas, tmp_path):
    files = LocalFiles(tmp_path)
    # All on one day, whatever their schema: some have their id elsewhere than others.
    refs = [replace(ref, time_mjd=60000.5) for ref in refs_to(alerts[name])]
    paths = write_lake(files, refs, surveys[name], schemas=schemas)
    indexes = {path: build_index(files, path, files.version(path), surveys[name]) for path in paths}
    assert sum(index.rows for index in indexes.values()) == len(refs)
    for alert_id, alert in alerts[name].items():
        ((path, row),) = [
            (path, row) for path, index in indexes.items() if (row := index.find_alert(alert_id)) is not None
        ]
        assert indexes[path].object_id(row) == alert.object_id
        cutouts, tier = read_cutouts(files, path, indexes[path], row, surveys[name].kinds)
        assert {kind: data for kind, data in cutouts.items() if data} == alert.cutouts()
        assert tier == "fragment"


def parquet_leaves(file):
    schema = pq.ParquetFile(file).schema
    columns = [schema.column(index) for index in range(len(schema))]
    return {
        column.path: (column.physical_type, str(column.logical_type), column.max_definition_level)
        for column in columns
    }


def test_columns_are_those_of_finks_ztf_lake(shared_data, written):
    real = parquet_leaves(shared_data / "lake" / "fink_ztf_datatest.snappy.parquet")
    ours = {}
    for path, _ in LocalFiles(written["ztf"]).walk():
        ours |= parquet_leaves(written["ztf"] / path)
    shared = real.keys() & ours.keys()
    # What is Fink's own: the broker adds it.
    assert {path.split(".")[0] for path in real.keys() - shared} == {
        "cdsxmatch", "fink_broker_version", "fink_science_version", "mulens", "nalerthist", "rf_kn_vs_nonkn",
        "rf_snia_vs_nonia", "roid", "snn_sn_vs_all", "snn_snia_vs_nonia", "timestamp", "tracklet",
    }  # fmt: skip
    assert {path: ours[path] for path in shared} == {path: real[path] for path in shared}
    assert len(shared) > 160


def test_columns_fit_finks_rubin_lake(shared_data, written):
    real = parquet_leaves(shared_data / "lake" / "fink_lsst_or4_v7.1.snappy.parquet")
    ours = {}
    for path, _ in LocalFiles(written["lsst"]).walk():
        ours |= parquet_leaves(written["lsst"] / path)
    shared = real.keys() & ours.keys()
    assert {"diaSource.diaSourceId", "diaObject.diaObjectId", "cutoutScience"} <= shared
    # Between schema 7.1 and ELAsTiCC's or 9.0 some fields changed their type; names and nesting are the same.
    differing = {path for path in shared if ours[path] != real[path]}
    assert len(differing) < len(shared) / 10, differing


@pytest.mark.parametrize("name", FOLDERS)
def test_cutouts_stand_in_small_plain_pages(name, surveys, written):
    payloads = {path for cutout in surveys[name].cutouts.values() for path in cutout.fields}
    for path, _ in LocalFiles(written[name]).walk():
        file = pq.ParquetFile(written[name] / path)
        assert file.metadata.num_row_groups == 1
        group = file.metadata.row_group(0)
        columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
        assert all(column.compression == "SNAPPY" for column in columns.values())
        assert all(column.has_offset_index and not column.has_dictionary_page for column in columns.values())
        assert all(columns[payload].statistics is None for payload in payloads & columns.keys())
        ids = set(surveys[name].alert_id.fields) & columns.keys()
        assert ids
        assert all(columns[field].statistics.has_min_max and columns[field].has_column_index for field in ids)


def test_the_same_alerts_again_add_nothing(alerts, surveys, tmp_path):
    refs, files = refs_to(alerts["ztf"])[:20], LocalFiles(tmp_path)
    first = list(write_lake(files, refs, surveys["ztf"], rows_per_file=3))
    before = dict(files.walk())
    reports = Reports()
    assert list(write_lake(files, refs[::-1], surveys["ztf"], rows_per_file=3, report=reports)) == []
    assert dict(files.walk()) == before
    assert sorted(before) == sorted(first)
    assert set(map(tuple, reports.states.values())) == {("present",)}


def test_what_a_day_lacks_is_added_in_another_file(alerts, surveys, tmp_path):
    refs = [replace(ref, time_mjd=60000.5) for ref in refs_to(alerts["ztf"])]
    files = LocalFiles(tmp_path)
    (first,) = write_lake(files, refs[:30], surveys["ztf"])
    before = files.version(first)
    reports = Reports()
    second = list(write_lake(files, refs[20:60], surveys["ztf"], report=reports))
    assert files.version(first) == before
    assert Counter(states for (states,) in reports.states.values()) == {"present": 10, "written": 30}
    ids = [
        dig(row, surveys["ztf"].alert_id.fields)
        for table in read_lake(tmp_path).values()
        for row in table.to_pylist()
    ]
    assert sorted(map(str, ids)) == sorted(ref.alert_id for ref in refs[:60])
    assert first not in second


def test_a_lake_of_another_survey_is_not_added_to(alerts, surveys, tmp_path):
    files = LocalFiles(tmp_path)
    list(write_lake(files, [replace(ref, time_mjd=6e4) for ref in refs_to(alerts["atlas"])], surveys["atlas"]))
    before = dict(files.walk())
    with pytest.raises(PacketCorrupt):
        list(write_lake(files, [replace(ref, time_mjd=6e4) for ref in refs_to(alerts["lsst"])], surveys["lsst"]))
    assert dict(files.walk()) == before


def test_an_alert_that_comes_twice_is_written_once(alerts, surveys, tmp_path):
    refs, reports = refs_to(alerts["atlas"]), Reports()
    list(write_lake(LocalFiles(tmp_path), [*refs, *refs], surveys["atlas"], report=reports))
    assert sum(table.num_rows for table in read_lake(tmp_path).values()) == len(refs)
    assert set(map(tuple, reports.states.values())) == {("present", "written")}


def test_what_cannot_be_written_is_reported_and_the_rest_written(alerts, surveys, tmp_path):
    good = refs_to(alerts["ztf"])[:6]
    other = refs_to(alerts["atlas"])[0]
    packet = good[0].read()

    def vanished():
        raise FileNotFoundError(2, "No such file or directory")

    bad = {
        "truncated": packet[: len(packet) // 2],
        "of another alert": packet,
        "of another survey": other.read(),
        "no packet": b"hello",
        "empty": b"",
    }
    refs = [
        AlertRef(f"9{index}", "ZTF18aaaaaaa", 60000.0, partial(bytes, data))
        for index, data in enumerate(bad.values())
    ]
    refs.append(AlertRef("98", None, 60000.0, vanished))
    refs.append(AlertRef("99", None, None, good[0].read))
    refs += [AlertRef("100", None, 1e300, good[0].read), AlertRef("101", None, -1e9, good[0].read)]
    reports = Reports()
    list(write_lake(LocalFiles(tmp_path), [*refs, *good], surveys["ztf"], report=reports))
    assert {alert_id for alert_id, states in reports.states.items() if states == ["written"]} == {
        ref.alert_id for ref in good
    }
    assert {alert_id for alert_id, states in reports.states.items() if states == ["refused"]} == {
        ref.alert_id for ref in refs
    }
    assert reports.reasons["98"] == "No such file or directory"
    assert "another alert" in reports.reasons["91"]
    assert sum(table.num_rows for table in read_lake(tmp_path).values()) == len(good)


def test_a_store_that_fails_stops_the_run_and_what_is_there_stays(alerts, surveys, tmp_path):
    refs = sorted(refs_to(alerts["ztf"])[:20], key=lambda ref: ref.time_mjd)

    def down():
        raise StoreUnavailable("the archive is down")

    refs[-1] = replace(refs[-1], read=down)
    with pytest.raises(StoreUnavailable, match="archive is down"):
        list(write_lake(LocalFiles(tmp_path), refs, surveys["ztf"]))
    rows = sum(table.num_rows for table in read_lake(tmp_path).values())
    assert 0 < rows < len(refs)


def packet_of(fields, record):
    """An ATLAS-like packet with further fields."""
    base = {"objectId": "ATLAS1", "candidate": {"mjd": 60000.0, "RA": 1.0, "Dec": 2.0}}
    numbers = [{"name": name, "type": "double"} for name in ("mjd", "RA", "Dec")]
    schema = {
        "type": "record",
        "name": "alert",
        "fields": [
            {"name": "objectId", "type": "string"},
            {"name": "candid", "type": "string"},
            {"name": "candidate", "type": {"type": "record", "name": "candidate", "fields": numbers}},
            *fields,
        ],
    }
    sink = io.BytesIO()
    fastavro.writer(sink, schema, [base | record])
    return sink.getvalue()


def test_schema_versions_share_a_file_and_what_is_missing_is_null(surveys, tmp_path):
    atlas = surveys["atlas"]
    history = {"type": "array", "items": {"type": "record", "name": "p", "fields": [{"name": "x", "type": "int"}]}}
    longer = {"type": "array", "items": {"type": "record", "name": "p", "fields": [
        {"name": "x", "type": "long"}, {"name": "y", "type": "string"}]}}  # fmt: skip
    packets = {
        "1": packet_of([{"name": "past", "type": history}], {"candid": "1", "past": [{"x": 3}]}),
        "2": packet_of([{"name": "past", "type": longer}], {"candid": "2", "past": [{"x": 2**40, "y": "a"}]}),
        "3": packet_of([], {"candid": "3"}),
        # The same name, and nothing in common: one of the two has to stay out.
        "4": packet_of([{"name": "past", "type": "string"}], {"candid": "4", "past": "long ago"}),
    }
    refs = [AlertRef(name, "ATLAS1", 60000.0, partial(bytes, data)) for name, data in packets.items()]
    reports = Reports()
    (path,) = write_lake(LocalFiles(tmp_path), refs, atlas, report=reports)
    rows = pq.read_table(tmp_path / path, partitioning=None).to_pylist()
    assert [(row["candid"], row["past"]) for row in rows] == [
        ("1", [{"x": 3, "y": None}]),
        ("2", [{"x": 2**40, "y": "a"}]),
        ("3", None),
    ]
    assert reports.states["4"] == ["refused"]
    assert "unlike" in reports.reasons["4"]


def test_a_value_beyond_its_type_keeps_nobody_else_out(surveys, tmp_path):
    field = [{"name": "n", "type": "int"}]
    # A body is varints: what is written as long reads as int.
    too_large = packet_of([{"name": "n", "type": "long"}], {"candid": "2", "n": 2**40}).replace(
        b'"name": "n", "type": "long"', b'"name": "n", "type": "int" '
    )
    packets = {"1": packet_of(field, {"candid": "1", "n": 1}), "2": too_large,
               "3": packet_of(field, {"candid": "3", "n": 3})}  # fmt: skip
    refs = [AlertRef(name, "ATLAS1", 60000.0, partial(bytes, data)) for name, data in packets.items()]
    reports = Reports()
    (path,) = write_lake(LocalFiles(tmp_path), refs, surveys["atlas"], report=reports)
    assert pq.read_table(tmp_path / path, partitioning=None)["n"].to_pylist() == [1, 3]
    assert reports.states["2"] == ["refused"]
