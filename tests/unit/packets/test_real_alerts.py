"""Every real alert: what comes out is what fastavro decodes, byte for byte."""

import gzip
import io
from typing import Any

import fastavro
import pytest

from stamp_service.packets import CODECS, Packet, assemble_schema, frame_ocf, frame_wire, recognise, wire_id_of


def truth_of(data: bytes) -> dict[str, Any]:
    (record,) = fastavro.reader(io.BytesIO(data))
    return record


def dig(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = None if record is None else record.get(name)
    return record


def test_every_container_is_read_as_fastavro_reads_it(ocf_files, surveys):
    for file in ocf_files:
        data = file.read_bytes()
        truth = truth_of(data)
        alert = recognise(surveys, data)
        packet = alert.packet
        packet.check()
        assert packet.data is data
        assert packet.format == "ocf"
        assert repr(packet.record()) == repr(truth), file.name
        survey = alert.survey
        assert survey.name == file.parent.name.split("_")[0]
        expected = {kind: dig(truth, survey.cutouts[kind].fields[0]) for kind in survey.kinds}
        for kind, cutout in expected.items():
            assert packet.get(*survey.cutouts[kind].fields) == cutout
            if cutout is not None:
                assert alert.cutout(kind) == cutout
        assert alert.cutouts() == {kind: cutout for kind, cutout in expected.items() if cutout is not None}
        assert alert.kinds() == tuple(kind for kind, cutout in expected.items() if cutout is not None)
        assert alert.outline() == (alert.summary(), alert.kinds())
        ids = [dig(truth, path) for path in survey.alert_id.fields]
        assert alert.alert_id == str(next(value for value in ids if value is not None))
        objects = [dig(truth, path) for path in survey.object_id.fields]
        assert alert.object_id == str(next(value for value in objects if value is not None))
        left = {name: value for name, value in truth.items() if name not in survey.cutout_roots}
        assert repr(alert.record()) == repr(left)


def test_file_names_are_ids(ocf_files, surveys):
    for file in ocf_files:
        if file.parent.name in {"ztf", "atlas"}:
            assert recognise(surveys, file.read_bytes()).alert_id == file.stem.rpartition("2019_01_10_")[2]


def test_every_field_of_real_alerts_can_be_read_alone(ocf_files):
    for file in ocf_files[::7]:
        data = file.read_bytes()
        truth = truth_of(data)
        packet = Packet.parse(data)
        paths = [
            *truth,
            *(f"{name}.{inner}" for name in truth if isinstance(truth[name], dict) for inner in truth[name]),
        ]
        assert repr(packet.get_many([[path] for path in paths])) == repr([dig(truth, path) for path in paths])


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_the_same_values(ocf_files, surveys, codec, wrap):
    for file in ocf_files[::11]:
        alert = recognise(surveys, file.read_bytes())
        data = wrap(frame_ocf(alert.packet.schema, alert.packet.body(), codec))
        again = recognise(surveys, data)
        assert (again.survey.name, again.alert_id, again.object_id) == (
            alert.survey.name,
            alert.alert_id,
            alert.object_id,
        )
        assert again.packet.codec == codec
        assert again.packet.data is data
        assert again.packet.body() == alert.packet.body()
        assert again.cutouts() == alert.cutouts()
        assert repr(again.packet.record()) == repr(alert.packet.record())


def test_the_lsst_alert_in_wire_format(shared_data, surveys, lsst_parts, lsst_truth, one_schema, wrap):
    lookup = one_schema(900, assemble_schema(lsst_parts, "lsst.v9_0.alert"))
    file = next((shared_data / "alerts" / "lsst").glob("*.wire"))
    data = wrap(file.read_bytes())
    alert = recognise(surveys, data, lookup)
    packet = alert.packet
    packet.check()
    assert (packet.format, packet.schema_id, packet.codec) == ("wire", 900, "null")
    assert alert.survey.name == "lsst"
    assert alert.alert_id == file.stem == str(lsst_truth["diaSourceId"])
    assert alert.object_id == str(lsst_truth["diaObject"]["diaObjectId"])
    assert repr(packet.record()) == repr(lsst_truth)
    for kind in alert.kinds():
        assert alert.cutout(kind) == lsst_truth[f"cutout{kind.title()}"]
    assert len(alert.kinds()) == 3


def test_schema_parts_in_a_list_serve_as_well(shared_data, surveys, lsst_parts, lsst_truth, one_schema):
    ordered = sorted(lsst_parts, key=lambda part: part["name"] == "alert")
    data = next((shared_data / "alerts" / "lsst").glob("*.wire")).read_bytes()
    alert = recognise(surveys, data, one_schema(900, ordered))
    assert repr(alert.packet.record()) == repr(lsst_truth)
    assert wire_id_of(alert.packet.schema) == 900


def test_wire_format_and_container_are_the_same_record(shared_data, surveys, lsst_parts, one_schema):
    lookup = one_schema(900, assemble_schema(lsst_parts, "lsst.v9_0.alert"))
    data = next((shared_data / "alerts" / "lsst").glob("*.wire")).read_bytes()
    wire = Packet.parse(data, lookup)
    container = recognise(surveys, frame_ocf(wire.schema, wire.body(), "zstandard"))
    assert container.survey.name == "lsst"
    assert repr(container.packet.record()) == repr(wire.record())
    assert frame_wire(wire_id_of(container.packet.schema), container.packet.body()) == data
    assert gzip.decompress(gzip.compress(data)) == wire.data


def test_summaries_of_real_alerts(shared_data, surveys, lsst_parts, one_schema):
    lookup = one_schema(900, lsst_parts[:1] and assemble_schema(lsst_parts, "lsst.v9_0.alert"))
    alerts = shared_data / "alerts"
    ztf = recognise(surveys, (alerts / "ztf" / "1105522281015015000.avro").read_bytes()).summary()
    assert (ztf.band, ztf.ra_deg, ztf.dec_deg) == ("g", 185.7288484, 15.8236168)
    assert ztf.time_mjd == pytest.approx(58859.5222801, abs=1e-9)
    assert ztf.magnitude == pytest.approx(14.916227)
    assert ztf.flux_njy is None
    atlas = recognise(surveys, (alerts / "atlas" / "01a59897o0020c_000002.avro").read_bytes()).summary()
    assert (atlas.band, atlas.time_mjd, atlas.ra_deg) == ("c", 59897.191954, 15.66676)
    lsst = recognise(surveys, next((alerts / "lsst").glob("*.wire")).read_bytes(), lookup).summary()
    assert lsst.magnitude is None
    assert lsst.flux_njy is not None
    assert lsst.band in set("ugrizy")
