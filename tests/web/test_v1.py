"""The v1 API."""

import gzip
import io
import json

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from stamp_service.surveys import KINDS


def stamp_url(real, kind="science", form="png", query=""):
    return f"/v1/stamps/{real.survey}/{real.alert_id}/{kind}.{form}{query}"


def picture(answer):
    assert answer.status_code == 200, answer.data
    return Image.open(io.BytesIO(answer.data))


def test_surveys(client):
    listed = {survey["name"]: survey for survey in client.get("/v1/surveys").json["surveys"]}
    assert set(listed) == {"ztf", "atlas", "lsst"}
    assert listed["ztf"]["stores"] == ["local"]
    assert listed["atlas"]["anonymous"] == ["metadata", "packets", "stamps"]


def test_metadata_is_strict_json(client, real_alerts):
    ztf = real_alerts["ztf"]
    answer = client.get(f"/v1/alerts/ztf/{ztf.alert_id}")
    body = json.loads(answer.data, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert body["alert_id"] == ztf.alert_id
    assert body["object_id"] == ztf.object_id == body["record"]["objectId"]
    assert body["record"]["candid"] == ztf.alert_id  # beyond 2**53: text
    assert body["record"]["candidate"]["fid"] == 2
    assert body["band"] == "r"
    assert body["time_mjd"] == pytest.approx(58574.1289815)
    assert body["kinds"] == list(KINDS)
    assert "cutoutScience" not in body["record"]
    for link in (body["links"]["packet"], body["links"]["triptych"], *body["links"]["stamps"].values()):
        assert client.get(link).status_code == 200


@pytest.mark.parametrize("name", ["ztf", "ztf_edge", "atlas", "atlas_plain", "lsst", "elasticc"])
def test_packet(client, real_alerts, name):
    real = real_alerts[name]
    assert client.get(f"/v1/alerts/{real.survey}/{real.alert_id}.avro").data == real.packet


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")  # ZTF's and ATLAS's cards
@pytest.mark.parametrize("name", ["ztf", "ztf_edge", "atlas", "atlas_plain", "lsst"])
def test_every_form_of_every_cutout(client, real_alerts, name):
    real = real_alerts[name]
    for kind in real.alert.kinds():
        plain = client.get(stamp_url(real, kind, "fits")).data
        with fits.open(io.BytesIO(plain)) as hdus:
            expected = hdus[0].data.astype("f4")
        assert gzip.decompress(client.get(stamp_url(real, kind, "fits.gz")).data) == plain
        array = np.load(io.BytesIO(client.get(stamp_url(real, kind, "npy")).data))
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == "<f4"
        lists = client.get(stamp_url(real, kind, "json")).json
        assert lists["shape"] == list(expected.shape)
        np.testing.assert_array_equal(np.array(lists["pixels"], dtype="f4"), expected)
        width, height = picture(client.get(stamp_url(real, kind))).size
        scale = 378 // max(expected.shape)
        assert (height, width) == (expected.shape[0] * scale, expected.shape[1] * scale)


@pytest.mark.parametrize(
    ("query", "size"),
    [("?size=63", (63, 63)), ("?size=200", (189, 189)), ("?size=10", (63, 63)), ("?scale=2", (126, 126))],
)
def test_size(client, real_alerts, query, size):
    assert picture(client.get(stamp_url(real_alerts["ztf"], query=query))).size == size


def test_options_change_the_picture(client, real_alerts):
    pictures = {
        query: client.get(stamp_url(real_alerts["ztf"], query=query)).data
        for query in (
            "",
            "?interval=zscale",
            "?interval=percentile&pmin=5&pmax=95",
            "?stretch=asinh",
            "?cmap=viridis",
            "?flip=x",
            "?flip=y",
        )
    }
    assert len(set(pictures.values())) == len(pictures)


def test_flip_is_a_mirror(client, real_alerts):
    plain = np.asarray(picture(client.get(stamp_url(real_alerts["lsst"]))))
    mirrored = np.asarray(picture(client.get(stamp_url(real_alerts["lsst"], query="?flip=x"))))
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def test_rows_go_up_unless_the_survey_says_otherwise(client, real_alerts):
    for name, upside_down in (("ztf", False), ("atlas", True), ("lsst", True)):
        default = np.asarray(picture(client.get(stamp_url(real_alerts[name]))))
        native = np.asarray(picture(client.get(stamp_url(real_alerts[name], query="?orient=native"))))
        np.testing.assert_array_equal(default, native[::-1] if upside_down else native)


def test_north_needs_a_header_that_knows_it(client, real_alerts):
    turned = picture(client.get(stamp_url(real_alerts["lsst"], query="?orient=north"))).convert("RGBA")
    assert turned.getpixel((0, 0))[3] == 0  # this visit's north is 29 degrees off
    assert turned.getpixel((turned.width // 2, turned.height // 2))[3] == 255
    assert client.get(stamp_url(real_alerts["atlas"], query="?orient=north")).status_code == 200
    answer = client.get(stamp_url(real_alerts["ztf"], query="?orient=north"))
    assert answer.status_code == 400
    assert answer.json["parameter"] == "orient"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("size=0", "size"),
        ("size=5000", "size"),
        ("size=many", "size"),
        ("scale=65", "scale"),
        ("scale=-1", "scale"),
        ("stretch=cubic", "stretch"),
        ("interval=99", "interval"),
        ("interval=percentile&pmin=90&pmax=10", "pmin"),
        ("interval=percentile&pmin=-1", "pmin"),
        ("interval=percentile&pmax=nan", "pmax"),
        ("interval=percentile&pmax=inf", "pmax"),
        ("cmap=none-such", "cmap"),
        ("orient=south", "orient"),
        ("flip=z", "flip"),
    ],
)
def test_options_out_of_range_are_named(client, real_alerts, query, parameter):
    answer = client.get(stamp_url(real_alerts["ztf"], query=f"?{query}"))
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert answer.json["parameter"] == parameter
    assert answer.json["code"] == "bad-request"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_triptych(client, real_alerts):
    for name in ("ztf", "atlas", "lsst"):
        real = real_alerts[name]
        width, height = picture(client.get(f"/v1/stamps/{real.survey}/{real.alert_id}.png")).size
        assert width > 2.5 * 360
        assert height > 360


def test_all_stamps_in_one_fits_file(client, real_alerts):
    ztf = real_alerts["ztf"]
    answer = client.get(f"/v1/stamps/ztf/{ztf.alert_id}.fits")
    with fits.open(io.BytesIO(answer.data)) as hdus:
        names = [hdu.name for hdu in hdus]
        assert names == ["PRIMARY", "DIFFIM", "SCIENCE", "TEMPLATE"]
        single = np.load(io.BytesIO(client.get(stamp_url(ztf, "template", "npy")).data))
        np.testing.assert_array_equal(hdus["TEMPLATE"].data, single)
        assert hdus[0].header["ALERTID"] == ztf.alert_id


def test_alert_without_cutouts_has_no_triptych(client, real_alerts):
    real = real_alerts["elasticc"]
    for form in ("png", "fits"):
        answer = client.get(f"/v1/stamps/lsst/{real.alert_id}.{form}")
        assert answer.status_code == 404
        assert answer.json["code"] == "cutout-absent"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/alerts/ztf/999", 404, "alert-not-found"),
        ("/v1/alerts/sdss/999", 400, "bad-request"),
        ("/v1/alerts/ztf/abc", 400, "bad-request"),
        ("/v1/alerts/ztf/%2e%2e", 400, "bad-request"),
        ("/v1/alerts/ztf/..%2f..%2fetc", 404, "not-found"),
        ("/v1/stamps/ztf/999/sciences.png", 404, "not-found"),
        ("/v1/stamps/ztf/999/science.gif", 404, "not-found"),
        ("/v1/nothing", 404, "not-found"),
    ],
)
def test_problems(client, path, status, code):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == code
    assert answer.headers["Cache-Control"] == "no-store"


def test_wrong_method_says_which_are_right(client):
    answer = client.delete("/v1/surveys")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
