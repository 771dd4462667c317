"""Classifications over HTTP: of alerts that are here, and of stamps that are sent."""

import csv
import io
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from stamp_service.packets import recognise
from stamp_service.stores import open_local
from tests.unit.classifiers.graphs import CLASSES, linear_graph, weights, write_model
from tests.web.test_access import SECRET, bearing, token
from tests.web.test_fink import register

CANDID = "820128985515010010"
ROUTE = f"/v1/alerts/ztf/{CANDID}/classification"
FILES = {"cutoutScience": "science", "cutoutTemplate": "template", "cutoutDifference": "difference"}
STAMPS = {
    "input": "stamps",
    "kinds": ("science", "template", "difference"),
    "shape": (63, 63),
    "crop": (21, 21),
    "normalisation": "minmax",
}
FEATURES = (
    {"name": "magpsf", "fields": ["candidate.magpsf"], "mean": 18},
    {"name": "isdiffpos", "fields": ["candidate.isdiffpos"], "categories": {"t": 0, "1": 0, "f": 1, "0": 1}},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three models: of images, of images and numbers, and one for ATLAS; and a folder that is no model."""
    root = tmp_path_factory.mktemp("models")
    images = linear_graph({"stamps": ["N", 21, 21, 3]}, 5)
    write_model(root / "images", images, stamps=[STAMPS], rules={"supernova": {"class_name": "SN"}})
    both = linear_graph({"stamps": ["N", 21, 21, 3], "numbers": ["N", 2]}, 5)
    write_model(root / "both", both, stamps=[STAMPS], metadata={"input": "numbers", "features": FEATURES})
    write_model(
        root / "atlas",
        linear_graph({"stamps": ["N", 61, 61, 2]}, 5),
        survey="atlas",
        stamps=[{"input": "stamps", "kinds": ("science", "difference"), "shape": (61, 61)}],
    )
    (root / "no model").mkdir()
    return root


@pytest.fixture(scope="module")
def client(make_app, folder):
    return make_app(model_dir=folder).test_client()


@pytest.fixture(scope="module")
def golden(shared_data):
    """The alert's stamps as TensorFlow was fed with them, worked out by hand through the graph of images."""
    inputs = np.load(shared_data / "models/golden_ztf_inputs.npz")
    (stamps,) = inputs["stamps"][inputs["candids"] == int(CANDID)]
    return stamps.ravel()


def expected(*parts):
    sums = np.concatenate(parts) @ weights(sum(len(part) for part in parts), 5).astype(np.float64)
    return dict(zip(CLASSES, np.exp(sums) / np.exp(sums).sum(), strict=True))


def test_an_alert_has_probabilities(client, golden):
    answer = client.get(f"{ROUTE}?model=images")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, no-cache"
    body = answer.json
    assert body.pop("probabilities") == pytest.approx(expected(golden), abs=1e-6)
    assert body == {
        "model": "images",
        "version": "1.0",
        "alert_id": CANDID,
        "object_id": "ZTF18acuwwpp",
        "reason": None,
    }
    again = client.get(f"{ROUTE}?model=images", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_rules_are_applied_when_asked_for(client):
    # The graph says SN, and the difference is negative.
    plain = client.get(f"{ROUTE}?model=images")
    ruled = client.get(f"{ROUTE}?model=images&rules=true")
    assert max(plain.json["probabilities"], key=plain.json["probabilities"].get) == "SN"
    assert (ruled.json["probabilities"], ruled.json["reason"]) == (None, "SN in a negative difference")
    assert plain.headers["ETag"] != ruled.headers["ETag"]


def test_another_model_of_the_same_name_is_another_answer(make_app, folder, tmp_path, client):
    shutil.copytree(folder / "images", tmp_path / "images")
    write_model(tmp_path / "images", (folder / "images/model.onnx").read_bytes(), stamps=[STAMPS], version="1.0")
    other = make_app(model_dir=tmp_path).test_client().get(f"{ROUTE}?model=images")
    assert other.status_code == 200
    assert other.headers["ETag"] != client.get(f"{ROUTE}?model=images").headers["ETag"]


def test_a_model_is_called_as_its_folder(make_app, folder, tmp_path, client):
    shutil.copytree(folder / "images", tmp_path / "of 2024")
    other = make_app(model_dir=tmp_path).test_client().get(f"{ROUTE}?model=of 2024")
    same = client.get(f"{ROUTE}?model=images")
    assert other.json == same.json | {"model": "of 2024"}
    assert other.headers["ETag"] != same.headers["ETag"]


def test_the_only_model_of_a_survey_needs_no_name(client):
    assert client.get("/v1/alerts/atlas/01a59897o0020c_000002/classification").json["model"] == "atlas"
    several = client.get(ROUTE)
    assert (several.status_code, several.json["parameter"]) == (400, "model")
    assert several.json["detail"] == "model: name one of both, images"


@pytest.mark.parametrize(
    ("model", "detail"),
    [
        ("unknown", "model is not one of atlas, both, demo, images"),
        ("../images", "model is not one of atlas, both, demo, images"),
        ("no model", "model is not one of atlas, both, demo, images"),
        ("atlas", "model is for alerts of atlas"),
    ],
)
def test_models_that_cannot_be_had(client, model, detail):
    answer = client.get(ROUTE, query_string={"model": model})
    assert (answer.status_code, answer.json["detail"]) == (400, detail)


def test_an_alert_at_the_edge_has_a_reason(make_app, folder, shared_data, surveys):
    # 43 rows.
    file = shared_data / "alerts/ztf_snappy/000010510553834249.avro"
    app = make_app(model_dir=folder, filled=False)
    app.extensions["stamp_service"].resolver.put(recognise(surveys, file.read_bytes()))
    answer = app.test_client().get("/v1/alerts/ztf/942438355015010000/classification?model=images")
    assert (answer.status_code, answer.json["probabilities"]) == (200, None)
    assert answer.json["reason"] == "the science stamp has 63 x 43 pixels, not 63 x 63"
    assert answer.json["object_id"] == "ZTF18abwhdlm"


def test_absent_broken_and_forbidden_differ(make_app, folder, surveys, client):
    assert client.get("/v1/alerts/ztf/1/classification?model=images").status_code == 404
    app = make_app(model_dir=folder, jwt_secret=SECRET)
    here = app.extensions["stamp_service"]
    open_local(here.settings).put(surveys["ztf"], "77", b"Obj\x01 broken")
    assert app.test_client().get("/v1/alerts/ztf/77/classification?model=images").status_code == 502
    atlas = "/v1/alerts/atlas/01a59897o0020c_000002/classification"
    assert app.test_client().get(atlas).status_code == 401
    allowed = app.test_client().get(atlas, headers=bearing(token(surveys={"atlas": ["metadata"]})))
    assert (allowed.status_code, allowed.headers["Vary"]) == (200, "Authorization")


def test_a_model_whose_graph_was_changed_is_not_used(make_app, folder, tmp_path):
    shutil.copytree(folder / "images", tmp_path / "images")
    (tmp_path / "images/model.onnx").write_bytes((folder / "atlas/model.onnx").read_bytes())
    answer = make_app(model_dir=tmp_path).test_client().get(f"{ROUTE}?model=images")
    assert (answer.status_code, answer.json["code"]) == (500, "misconfigured")
    assert answer.json["detail"] == "Model images: model.onnx is not the file that model.toml was written for"


def test_alerts_in_a_lake_are_classified(make_app, folder, shared_data, surveys, tmp_path):
    source = shared_data / "lake/fink_ztf_datatest.snappy.parquet"
    (tmp_path / "lake").mkdir()
    shutil.copy(source, tmp_path / "lake/part-0.parquet")
    app = make_app(filled=False, model_dir=folder)
    register(app.extensions["stamp_service"].settings, tmp_path / "lake")
    row = pq.read_table(source).slice(3, 1).to_pylist()[0]
    answer = app.test_client().get(f"/v1/alerts/ztf/{row['candid']}/classification?model=both")
    assert (answer.json["object_id"], answer.json["reason"]) == (row["objectId"], None)
    assert sum(answer.json["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def form(real_alerts, metadata=None, **parts):
    cutouts = real_alerts["ztf"].alert.cutouts()
    files = {name: (io.BytesIO(cutouts[kind]), name) for name, kind in FILES.items()} | parts
    return files if metadata is None else files | {"metadata": metadata}


def as_csv(candidate):
    file = io.StringIO()
    writer = csv.DictWriter(file, ["oid", *candidate])
    writer.writeheader()
    writer.writerow({"oid": "ZTF18acuwwpp"} | candidate)
    return file.getvalue()


def test_sent_stamps_have_probabilities(client, real_alerts, golden):
    answer = client.post("/get_classification?model=images", data=form(real_alerts))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json == pytest.approx(expected(golden), abs=1e-6)
    wrapped = client.post("/get_classification?model=images&wrapped=true", data=form(real_alerts)).json
    assert wrapped == {"status": "SUCCESS", "probabilities": answer.json}


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("write", [json.dumps, as_csv, lambda candidate: json.dumps({"candidate": candidate})])
def test_metadata_are_json_or_what_pandas_writes(client, real_alerts, golden, write, as_file):
    candidate = real_alerts["ztf"].alert.record()["candidate"]
    text = write(candidate)
    metadata = (io.BytesIO(text.encode()), "metadata") if as_file else text
    answer = client.post("/get_classification?model=both", data=form(real_alerts, metadata))
    numbers = np.array([candidate["magpsf"] - 18, 1])
    assert answer.json == pytest.approx(expected(golden, numbers), abs=1e-6)


@pytest.mark.parametrize(
    ("model", "parts", "content"),
    [
        ("both", {}, "the alert has no magpsf"),
        ("both", {"metadata": "magpsf,isdiffpos\n,t\n"}, "the alert has no magpsf"),
        ("both", {"metadata": '{"magpsf": "x"}'}, "the alert's magpsf is not a number"),
        ("both", {"metadata": '{"magpsf": 1'}, "metadata: neither a JSON object nor CSV"),
        ("both", {"metadata": "[1]"}, "metadata: neither a JSON object nor CSV"),
        ("both", {"metadata": (io.BytesIO(b"\xff\xfe"), "x")}, "metadata: neither a JSON object nor CSV"),
        ("images", {"cutoutScience": "no file"}, "the alert has no science stamp"),
        (
            "images",
            {"cutoutScience": (io.BytesIO(b"\x1f\x8b" + b"\xff" * 60), "x")},
            "The cutout's gzip is damaged.",
        ),
        ("atlas", {}, "model is for alerts of atlas"),
    ],
)
def test_what_cannot_be_classified_is_said_as_clients_read_it(client, real_alerts, model, parts, content):
    answer = client.post(f"/get_classification?model={model}", data=form(real_alerts, **parts))
    assert (answer.status_code, answer.mimetype) == (400, "application/json")
    assert (answer.json["status"], answer.json["content"]) == ("ERROR", content)


def test_a_form_that_is_too_large_is_refused(make_app, folder, real_alerts):
    small = make_app(model_dir=folder, max_packet_bytes=1000, filled=False).test_client()
    large = (io.BytesIO(b"0" * 100_000), "x")
    answer = small.post("/get_classification?model=images", data=form(real_alerts, cutoutScience=large))
    assert (answer.status_code, answer.json["status"]) == (413, "ERROR")
