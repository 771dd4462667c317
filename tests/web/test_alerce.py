"""ALeRCE's two APIs, as their clients use them."""

import gzip
import io
import json

import fastavro
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

KINDS = ("science", "template", "difference")


def test_png_stamp(client, real_alerts):
    ztf = real_alerts["ztf"]
    answer = client.get(f"/get_stamp?candid={ztf.alert_id}&type=science&format=png&oid={ztf.object_id}")
    assert answer.status_code == 200
    assert answer.mimetype == "image/png"
    name = f"{ztf.object_id}_{ztf.alert_id}_science.png"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert Image.open(io.BytesIO(answer.data)).size == (378, 378)


def test_file_name_without_oid(client, real_alerts):
    ztf = real_alerts["ztf"]
    answer = client.get(f"/get_stamp?candid={ztf.alert_id}&type=template&format=fits")
    assert answer.headers["Content-Disposition"] == f"attachment; filename={ztf.alert_id}_template.fits.gz"


@pytest.mark.parametrize("name", ["ztf", "ztf_edge", "atlas"])
def test_gzipped_cutouts_come_as_they_are_stored(client, real_alerts, name):
    real = real_alerts[name]
    url = f"/get_stamp?candid={real.alert_id}&type=difference&format=fits&survey_id={real.survey}"
    answer = client.get(url)
    assert answer.mimetype == "application/fits+gzip"
    assert answer.data == real.alert.cutout("difference")


@pytest.mark.parametrize("name", ["atlas_plain", "lsst"])
def test_plain_cutouts_are_gzipped_once(client, real_alerts, name):
    real = real_alerts[name]
    answer = client.get(f"/get_stamp?candid={real.alert_id}&type=science&format=fits&survey_id={real.survey}")
    assert gzip.decompress(answer.data) == real.alert.cutout("science")


@pytest.mark.parametrize("name", ["ztf", "ztf_edge", "atlas", "atlas_plain", "lsst", "elasticc"])
def test_packet_is_byte_for_byte(client, real_alerts, name):
    real = real_alerts[name]
    answer = client.get(f"/get_avro?candid={real.alert_id}&survey_id={real.survey}")
    assert answer.status_code == 200
    assert answer.data == real.packet
    assert answer.mimetype == "app/avro+binary"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={real.alert_id}.avro"


def test_info_is_the_record_without_cutouts(client, real_alerts):
    ztf = real_alerts["ztf"]
    answer = client.get(f"/get_avro_info?candid={ztf.alert_id}&oid={ztf.object_id}")
    (expected,) = fastavro.reader(io.BytesIO(ztf.packet))
    for kind in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        del expected[kind]
    info = json.loads(answer.data, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert info["candidate"]["candid"] == ztf.alert_id
    info["candidate"]["candid"] = int(ztf.alert_id)
    assert info == expected


def test_unknown_parameters_are_ignored(client, real_alerts):
    ztf = real_alerts["ztf"]
    url = f"/get_stamp?candid={ztf.alert_id}&type=science&format=png&_=1700000000&foo=bar"
    assert client.get(url).status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("type=science&format=png", "candid"),
        ("candid=1&format=png", "type"),
        ("candid=1&type=science", "format"),
        ("candid=1&type=sciences&format=png", "type"),
        ("candid=1&type=science&format=jpg", "format"),
        ("candid=..%2Fx&type=science&format=png", "candid"),
        ("candid=%252e%252e&type=science&format=png", "candid"),
        ("candid=1%00&type=science&format=png", "candid"),
        (f"candid={'1' * 10_000}&type=science&format=png", "candid"),
        ("candid=1&type=science&format=png&survey_id=sdss", "survey_id"),
        ("candid=1&type=science&format=png&oid=..%2F..", "oid"),
    ],
)
def test_bad_parameters_are_named(client, query, parameter):
    answer = client.get(f"/get_stamp?{query}")
    assert answer.status_code == 400
    assert set(answer.json) == {"message", "errors", "request_id"}
    assert list(answer.json["errors"]) == [parameter]


@pytest.mark.parametrize("survey", ["ztf", "atlas", "lsst"])
@pytest.mark.parametrize("path", ["/get_stamp?type=science&format=png&", "/get_avro?", "/get_avro_info?"])
def test_missing_alert_is_404_for_every_survey(client, survey, path):
    answer = client.get(f"{path}candid=999&survey_id={survey}")
    assert answer.status_code == 404
    assert "999" in answer.json["message"]


@pytest.mark.parametrize("path", ["/get_stamp?type=science&format=png&", "/get_avro?", "/get_avro_info?"])
def test_object_that_contradicts_the_packet_is_404(client, real_alerts, path):
    ztf = real_alerts["ztf"]
    assert client.get(f"{path}candid={ztf.alert_id}&oid=ZTF18aaaaaaa").status_code == 404


@pytest.mark.parametrize("name", ["atlas", "atlas_plain"])
@pytest.mark.parametrize("form", ["png", "fits"])
def test_absent_template_says_so(client, real_alerts, name, form):
    real = real_alerts[name]
    url = f"/get_stamp?candid={real.alert_id}&type=template&format={form}&survey_id=atlas"
    answer = client.get(url)
    assert answer.status_code == 404
    assert "template" in answer.json["message"]


def test_alert_without_any_cutout(client, real_alerts):
    real = real_alerts["elasticc"]
    for kind in KINDS:
        url = f"/get_stamp?candid={real.alert_id}&type={kind}&format=png&survey_id=lsst"
        assert client.get(url).status_code == 404


@pytest.mark.parametrize("kind", ["Science", "Template", "Difference"])
def test_multi_survey_stamp(client, real_alerts, kind):
    lsst = real_alerts["lsst"]
    asked = f"oid={lsst.object_id}&measurement_id={lsst.alert_id}&stamp_type=cutout{kind}&survey_id=lsst"
    stored = lsst.alert.cutout(kind.lower())
    picture = client.get(f"/stamps_api/stamp?{asked}&file_format=png")
    assert Image.open(io.BytesIO(picture.data)).size == (360, 360)
    packed = client.get(f"/stamps_api/stamp?{asked}&file_format=fits")
    assert packed.mimetype == "application/fits+gzip"
    assert gzip.decompress(packed.data) == stored
    plain = client.get(f"/stamps_api/stamp?{asked}&file_format=fits&is_compressed=false")
    assert plain.mimetype == "application/fits"
    assert plain.data == stored
    with fits.open(io.BytesIO(plain.data)) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "PSFIMAGE"]
        assert np.isfinite(hdus[0].data).any()


@pytest.mark.parametrize("route", ["avro", "get_avro"])
def test_multi_survey_packet(client, real_alerts, route):
    lsst = real_alerts["lsst"]
    answer = client.get(f"/stamps_api/{route}?measurement_id={lsst.alert_id}")
    assert answer.data == lsst.packet


def test_stamps_of_ztf_in_the_multi_survey_api(client, real_alerts):
    ztf = real_alerts["ztf"]
    url = (
        f"/stamps_api/stamp?measurement_id={ztf.alert_id}&stamp_type=cutoutScience&survey_id=ztf&file_format=fits"
    )
    assert client.get(url).data == ztf.alert.cutout("science")


class TestWriting:
    """`POST /put_avro`."""

    @pytest.fixture
    def writer(self, make_app):
        return make_app(write_tokens=("first-token", "second-token")).test_client()

    def put(self, client, packet, candid, token="first-token", survey="ztf"):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        form = {"candid": candid, "survey_id": survey, "avro": (io.BytesIO(packet), f"{candid}.avro")}
        return client.post("/put_avro", data=form, headers=headers)

    def test_without_tokens_there_is_no_such_route(self, client, real_alerts):
        ztf = real_alerts["ztf"]
        assert self.put(client, ztf.packet, ztf.alert_id).status_code == 404

    def test_new_packet_is_stored_and_served(self, writer, shared_data):
        packet = (shared_data / "alerts/ztf/1105522281015015000.avro").read_bytes()
        assert writer.get("/get_avro?candid=1105522281015015000").status_code == 404
        assert self.put(writer, packet, "1105522281015015000", "second-token").status_code == 201
        assert writer.get("/get_avro?candid=1105522281015015000").data == packet
        assert self.put(writer, packet, "1105522281015015000").status_code == 200

    def test_token_is_needed(self, writer, real_alerts):
        ztf = real_alerts["ztf"]
        assert self.put(writer, ztf.packet, ztf.alert_id, token=None).status_code == 401
        assert self.put(writer, ztf.packet, ztf.alert_id, token="guess").status_code == 403

    def test_id_must_be_the_packet_s(self, writer, real_alerts):
        answer = self.put(writer, real_alerts["ztf"].packet, "820128985515010011")
        assert answer.status_code == 400
        assert writer.get("/get_avro?candid=820128985515010011").status_code == 404

    def test_wrong_survey(self, writer, real_alerts):
        answer = self.put(writer, real_alerts["ztf"].packet, real_alerts["ztf"].alert_id, survey="lsst")
        assert answer.status_code == 400

    def test_different_packet_is_refused(self, writer, real_alerts):
        ztf = real_alerts["ztf"]
        answer = self.put(writer, gzip.compress(ztf.packet), ztf.alert_id)
        assert answer.status_code == 409
        assert writer.get(f"/get_avro?candid={ztf.alert_id}").data == ztf.packet

    @pytest.mark.parametrize("packet", [b"", b"Obj\x01", b"\x00\x00\x00\x03\x84", b"not avro at all"])
    def test_what_does_not_decode_is_refused(self, writer, packet):
        assert self.put(writer, packet, "42").status_code == 400

    def test_file_is_needed(self, writer):
        answer = writer.post("/put_avro", data={"candid": "1"}, headers={"Authorization": "Bearer first-token"})
        assert answer.status_code == 400
        assert list(answer.json["errors"]) == ["avro"]
