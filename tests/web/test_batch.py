"""Many stamps at once."""

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stamp_service.stores import open_local


@pytest.fixture
def wanted(real_alerts):
    """Four stamps that exist, and four that do not for four reasons."""
    found = [
        {"survey": real.survey, "alert_id": real.alert_id, "kind": kind}
        for real, kind in (
            (real_alerts["ztf"], "science"),
            (real_alerts["ztf"], "difference"),
            (real_alerts["lsst"], "template"),
            (real_alerts["ztf_edge"], "science"),
        )
    ]
    atlas = real_alerts["atlas"].alert_id
    missing = [
        {"survey": "atlas", "alert_id": atlas, "kind": "template"},
        {"survey": "ztf", "alert_id": "999", "kind": "science"},
        {"survey": "ztf", "alert_id": "../x", "kind": "science"},
        {"survey": "sdss", "alert_id": "1", "kind": "science"},
    ]
    return found + missing


REASONS = ["cutout-absent", "alert-not-found", "bad-request", "bad-request"]


def post(client, stamps, **options):
    return client.post("/v1/stamps", json={"stamps": stamps} | options)


@pytest.mark.parametrize("form", ["png", "fits", "fits.gz", "npy", "json"])
def test_zip_with_manifest(client, wanted, form):
    answer = post(client, wanted, form=form)
    assert answer.mimetype == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))["stamps"]
    assert [entry["status"] for entry in manifest] == [200] * 4 + [404, 404, 400, 400]
    assert [entry["code"] for entry in manifest[4:]] == REASONS
    for entry in manifest[:4]:
        url = f"/v1/stamps/{entry['survey']}/{entry['alert_id']}/{entry['kind']}.{form}"
        assert archive.read(entry["file"]) == client.get(url).data
    assert len(archive.namelist()) == 5


def test_ndjson(client, wanted):
    answer = post(client, wanted, output="ndjson")
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert [line["status"] for line in lines] == [200] * 4 + [404, 404, 400, 400]
    for line in lines[:4]:
        url = f"/v1/stamps/{line['survey']}/{line['alert_id']}/{line['kind']}.png"
        assert base64.b64decode(line["data"]) == client.get(url).data


def test_ndjson_of_arrays(client, wanted):
    answer = post(client, wanted[:1], output="ndjson", form="json")
    line = json.loads(answer.data)
    assert np.array(line["data"]["pixels"]).shape == (63, 63)


def test_contact_sheet(client, wanted):
    answer = post(client, wanted, output="sheet", columns=3, tile=126)
    assert answer.mimetype == "image/png"
    sheet = Image.open(io.BytesIO(answer.data))
    assert answer.headers["X-Sheet-Columns"] == "3"
    assert answer.headers["X-Sheet-Missing"] == "4,5,6,7"
    index = json.loads(sheet.text["stamps"])
    assert [entry["status"] for entry in index] == [200] * 4 + [404, 404, 400, 400]
    pixels = np.asarray(sheet.convert("RGB"))
    for place, entry in enumerate(index):
        x, y, width, height = entry["box"]
        tile = pixels[y : y + height, x : x + width]
        assert tile.shape[:2] == (126, 126)
        if place < 4:
            assert tile.std() > 5


def test_style_applies_to_every_stamp(client, wanted):
    answer = post(client, wanted[:2], output="ndjson", style={"cmap": "viridis", "scale": 1})
    for line in map(json.loads, answer.data.splitlines()):
        assert Image.open(io.BytesIO(base64.b64decode(line["data"]))).size == (63, 63)


def test_twice_the_same_stamp_is_one_file(client, wanted):
    archive = zipfile.ZipFile(io.BytesIO(post(client, [wanted[0]] * 3).data))
    assert len(archive.namelist()) == 2


def test_one_broken_packet_does_not_take_the_batch_down(make_app, wanted):

    app = make_app(packet_cache_bytes=0)
    here = app.extensions["stamp_service"]
    open_local(here.settings).put(here.surveys["ztf"], "77", b"Obj\x01 broken")
    stamps = [{"survey": "ztf", "alert_id": "77", "kind": "science"}, wanted[0]]
    lines = [json.loads(line) for line in post(app.test_client(), stamps, output="ndjson").data.splitlines()]
    assert [line["status"] for line in lines] == [502, 200]
    assert lines[0]["code"] == "packet-corrupt"


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "stamps"),
        ({"stamps": []}, "stamps"),
        ({"stamps": [{"survey": "ztf", "alert_id": "1", "kind": "science"}] * 1001}, "stamps"),
        ({"stamps": [{"survey": "ztf", "alert_id": "1", "kind": "picture"}]}, "stamps.0.kind"),
        ({"stamps": [{"survey": "ztf", "kind": "science"}]}, "stamps.0.alert_id"),
        ({"stamps": [{"survey": "ztf", "alert_id": "1", "kind": "science"}], "output": "tar"}, "output"),
    ],
)
def test_bad_bodies(client, body, parameter):
    answer = client.post("/v1/stamps", json=body)
    assert answer.status_code == 400
    assert answer.json["parameter"] == parameter


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null"])
def test_bodies_that_are_no_request(client, body):
    answer = client.post("/v1/stamps", data=body, content_type="application/json")
    assert answer.status_code == 400


def test_a_thousand_stamps(client, real_alerts):
    ztf = real_alerts["ztf"]
    item = {"survey": "ztf", "alert_id": ztf.alert_id}
    stamps = [item | {"kind": kind} for _ in range(333) for kind in ("science", "template", "difference")]
    answer = post(client, stamps, output="ndjson")
    assert len(answer.data.splitlines()) == 999


def sheet_of(client, *alerts, **options):
    names = ",".join(f"{alert.survey}/{alert.alert_id}" for alert in alerts)
    return client.get("/v1/stamps/sheet.png", query_string={"alerts": names} | options)


def test_a_sheet_by_its_address_is_the_same(client, real_alerts):
    alerts = [real_alerts["ztf"], real_alerts["lsst"]]
    answer = sheet_of(client, *alerts, tile=64, stretch="asinh")
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    kinds = ("science", "template", "difference")
    stamps = [{"survey": a.survey, "alert_id": a.alert_id, "kind": kind} for a in alerts for kind in kinds]
    posted = post(client, stamps, output="sheet", columns=3, tile=64, style={"stretch": "asinh"})
    assert answer.data == posted.data
    alone = sheet_of(client, *alerts, kinds="difference", tile=64)
    assert Image.open(io.BytesIO(alone.data)).size == (64, 2 * 64 + 2)


def test_a_sheet_with_a_gap_is_not_kept_for_long(client, real_alerts):
    answer = sheet_of(client, real_alerts["ztf"], real_alerts["atlas"])
    assert answer.headers["X-Sheet-Missing"] == "4"
    assert answer.headers["Cache-Control"] == "public, max-age=60"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"alerts": "ztf"},
        {"alerts": "ztf/1,"},
        {"alerts": ",".join(["ztf/1"] * 101)},
        {"alerts": "ztf/1", "kinds": "science,"},
        {"alerts": "ztf/1", "kinds": "x"},
        {"alerts": "ztf/1", "tile": "9"},
        {"alerts": "ztf/1", "stretch": "x"},
    ],
)
def test_a_sheet_of_nonsense_is_refused(client, query):
    assert client.get("/v1/stamps/sheet.png", query_string=query).status_code == 400
