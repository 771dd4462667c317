"""Fink's two cutout APIs, on lakes of real rows; what is right is what pyarrow, gzip and astropy say."""

import gzip
import io
import json
import shutil
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from stamp_service.lake.adding import add_lake
from stamp_service.lake.catalogue_writer import open_writer
from stamp_service.lake.lakes import lake_access, open_catalogue
from stamp_service.settings import Settings
from stamp_service.surveys import load_surveys
from stamp_service.web import create_app
from tests.conftest import ROOT
from tests.web.conftest import make_settings
from tests.web.test_access import SECRET, bearing, token

URL = "/api/v1/cutouts"
PATHS = {
    "ztf": "year=2021/month=11/day=22/part-00000.snappy.parquet",
    "lsst": "year=2024/month=01/day=01/part-00000.snappy.parquet",
}
SOURCES = {"ztf": "fink_ztf_datatest.snappy.parquet", "lsst": "fink_lsst_or4_v7.1.snappy.parquet"}
KINDS = ("Science", "Template", "Difference")
COLUMNS = {"ztf": "b:cutout{}_stampData", "lsst": "b:cutout{}"}
# Of one object in one file, oldest first.
ZTF_OBJECT = "ZTF18aaqfhlj"
ZTF_ALERTS = (1786537211115010000, 1786552611115010001, 1786555201115010001)


@dataclass(frozen=True)
class Expected:
    """A row as pyarrow reads it."""

    survey: str
    alert_id: int
    object_id: str
    fits: dict[str, bytes]

    @property
    def ids(self) -> dict[str, object]:
        if self.survey == "ztf":
            return {"objectId": self.object_id, "candid": str(self.alert_id)}
        return {"diaSourceId": str(self.alert_id)}

    @property
    def object_ids(self) -> dict[str, object]:
        return {"objectId" if self.survey == "ztf" else "diaObjectId": self.object_id}

    def array(self, kind: str) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VerifyWarning)  # some ZTF cutouts have a SIMPLE card of their own kind
            with fits.open(io.BytesIO(self.fits[kind])) as hdus:
                return hdus[0].data.astype(np.float32)


def read_rows(survey: str, file: Path) -> Iterator[Expected]:
    columns = [f"cutout{kind}" for kind in KINDS]
    ids = ["objectId", "candid"] if survey == "ztf" else ["diaSource.diaSourceId", "diaObject.diaObjectId"]
    for row in pq.ParquetFile(file).read(columns=[*columns, *ids]).to_pylist():
        if survey == "ztf":
            cutouts = {kind: gzip.decompress(row[f"cutout{kind}"]["stampData"]) for kind in KINDS}
            yield Expected(survey, row["candid"], row["objectId"], cutouts)
        else:
            cutouts = {kind: row[f"cutout{kind}"] for kind in KINDS}
            yield Expected(survey, row["diaSource"]["diaSourceId"], str(row["diaObject"]["diaObjectId"]), cutouts)


@pytest.fixture(scope="module")
def real_rows(shared_data) -> dict[str, list[Expected]]:
    """Every row of both files."""
    return {survey: list(read_rows(survey, shared_data / "lake" / file)) for survey, file in SOURCES.items()}


class Unwatched:
    """Nobody watches while a lake is added."""

    def planned(self, files: int, size_bytes: int) -> None:
        pass

    def done(self, *_: object) -> None:
        pass


def register(settings: Settings, root: Path) -> None:
    surveys = load_surveys(settings.surveys_dir)
    add_lake(open_catalogue(settings), surveys, lake_access(settings), str(root), progress=Unwatched())


@pytest.fixture(scope="module")
def make_lakes(shared_data, tmp_path_factory):
    """Make applications with a lake of each survey."""
    apps: list[Flask] = []

    def make(**values: object) -> tuple[Flask, Path]:
        folder = tmp_path_factory.mktemp("lakes")
        settings = make_settings(folder / "data", **values)
        for survey, path in PATHS.items():
            (folder / survey / path).parent.mkdir(parents=True)
            shutil.copyfile(shared_data / "lake" / SOURCES[survey], folder / survey / path)
            register(settings, folder / survey)
        apps.append(create_app(settings))
        return apps[-1], folder

    yield make
    for app in apps:
        app.extensions["stamp_service"].resolver.close()
        app.extensions["stamp_service"].lakes.close()


@pytest.fixture(scope="module")
def lakes(make_lakes) -> Flask:
    app, _ = make_lakes()
    return app


@pytest.fixture
def client(lakes) -> FlaskClient:
    return lakes.test_client()


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def as_floats(rows: object) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize("survey", ["ztf", "lsst"])
class TestEveryRow:
    """The same pixels and bytes for every row, whichever way it is asked for."""

    def test_arrays_of_the_cutout_api(self, client, real_rows, survey):
        for row in real_rows[survey]:
            answer = client.post(URL, json={"hdfsPath": PATHS[survey], "kind": "All", **row.ids})
            assert answer.mimetype == "application/json"
            assert answer.headers["X-Lake-Tier"] in {"fragment", "page", "pyarrow"}
            assert b"NaN" not in answer.data
            for kind, array in zip(KINDS, answer.get_json(), strict=True):
                np.testing.assert_array_equal(as_floats(array), row.array(kind))

    def test_fits_of_the_cutout_api(self, client, real_rows, survey):
        for row in real_rows[survey]:
            for kind in KINDS:
                asked = {"hdfsPath": PATHS[survey], "kind": kind, "return_type": "FITS", **row.ids}
                answer = client.post(URL, json=asked)
                assert answer.data == row.fits[kind]
            name = row.object_id if survey == "ztf" else row.alert_id
            assert answer.mimetype == "application/octet-stream"
            assert answer.headers["Content-Disposition"] == f"attachment; filename={name}.fits"

    def test_the_object_api(self, client, real_rows, survey):
        for row in real_rows[survey]:
            answer = client.get(URL, query_string={"kind": "All", "output-format": "array", **row.ids})
            found = answer.get_json()
            assert list(found) == [COLUMNS[survey].format(kind) for kind in KINDS]
            for kind in KINDS:
                np.testing.assert_array_equal(as_floats(found[COLUMNS[survey].format(kind)]), row.array(kind))


@pytest.mark.parametrize("survey", ["ztf", "lsst"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_a_list_of_one_array(client, real_rows, survey, kind):
    row = real_rows[survey][7]
    (array,) = client.post(URL, json={"hdfsPath": PATHS[survey], "kind": kind, **row.ids}).get_json()
    np.testing.assert_array_equal(as_floats(array), row.array(kind))
    asked = {"kind": kind, "output-format": "array", **row.ids}
    ((column, array),) = client.post(URL, json=asked).get_json().items()
    assert column == COLUMNS[survey].format(kind)
    np.testing.assert_array_equal(as_floats(array), row.array(kind))


@pytest.mark.parametrize("survey", ["ztf", "lsst"])
def test_the_object_api_gives_fits_and_pngs_by_name(client, real_rows, survey):
    row = real_rows[survey][3]
    name = row.object_id if survey == "ztf" else row.alert_id
    answer = client.get(URL, query_string={"kind": "Template", "output-format": "FITS", **row.ids})
    assert answer.data == row.fits["Template"]
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}_Template.fits"
    answer = client.get(URL, query_string={"kind": "Template", **row.ids})
    assert answer.mimetype == "image/png"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}_Template.png"
    picture = Image.open(io.BytesIO(answer.data))
    assert (picture.mode, picture.size) == ("L", row.array("Template").shape[::-1])


@pytest.mark.parametrize("survey", ["ztf", "lsst"])
def test_ids_may_be_text_or_numbers_in_a_body_or_a_query(client, real_rows, survey):
    row = real_rows[survey][5]
    for value in (row.alert_id, str(row.alert_id)):
        ids = row.ids | {"candid" if survey == "ztf" else "diaSourceId": value}
        asked = {"kind": "Science", "output-format": "FITS", **ids}
        for answer in (
            client.post(URL, json=asked),
            client.get(URL, query_string=asked),
            client.post(URL, query_string=asked),
            client.post(URL, data=json.dumps(asked), content_type="text/plain"),
        ):
            assert answer.data == row.fits["Science"]
    asked = {"kind": "Science", "output-format": "FITS", **row.object_ids}
    if survey == "lsst":
        assert client.post(URL, json=asked | {"diaObjectId": int(row.object_id)}).data == row.fits["Science"]


class TestObjects:
    """An object by itself is its latest alert; `candid` decides."""

    @pytest.mark.parametrize("path", [{}, {"hdfsPath": PATHS["ztf"]}])
    def test_the_latest_alert_wins(self, client, real_rows, path):
        form = {"return_type": "FITS"} if path else {"output-format": "FITS"}
        asked = {"kind": "Science", "objectId": ZTF_OBJECT, **path, **form}
        cutouts = {row.alert_id: row.fits["Science"] for row in real_rows["ztf"] if row.object_id == ZTF_OBJECT}
        assert set(cutouts) == set(ZTF_ALERTS)
        assert client.post(URL, json=asked).data == cutouts[ZTF_ALERTS[-1]]
        for alert_id in ZTF_ALERTS:
            assert client.post(URL, json=asked | {"candid": alert_id}).data == cutouts[alert_id]

    def test_an_alert_of_another_object_is_not_found(self, client, real_rows):
        other = next(row for row in real_rows["ztf"] if row.object_id != ZTF_OBJECT)
        asked = {"kind": "Science", "objectId": ZTF_OBJECT, "candid": other.alert_id}
        for path in ({}, {"hdfsPath": PATHS["ztf"]}):
            answer = client.post(URL, json=asked | path)
            assert answer.status_code == 404
            assert answer.get_json()["status"] == "error"

    def test_a_rubin_object(self, client, real_rows):
        row = real_rows["lsst"][2]
        answer = client.get(URL, query_string={"kind": "Science", "output-format": "FITS", **row.object_ids})
        assert answer.data == row.fits["Science"]
        assert answer.headers["Content-Disposition"] == f"attachment; filename={row.object_id}_Science.fits"


class TestPictures:
    """Every option changes the picture; what it becomes is tested with `images`."""

    @pytest.fixture
    def drawn(self, client, real_rows):
        def draw(**options: object) -> Image.Image:
            asked = {"kind": "Science", **real_rows["ztf"][0].ids, **options}
            answer = client.get(URL, query_string=asked)
            assert answer.status_code == 200, answer.data
            picture = Image.open(io.BytesIO(answer.data))
            picture.load()
            return picture

        return draw

    def test_sigmoid_is_finks_and_is_not_flipped(self, drawn, real_rows):
        pixels = real_rows["ztf"][0].array("Science").astype(np.float64)
        expected = 255 / (1 + np.exp(-(pixels - pixels.mean()) / pixels.std()))
        assert np.abs(np.asarray(drawn()).astype(float) - expected).max() <= 1.01
        assert np.array_equal(drawn(pmin=10, pmax=60), drawn())

    @pytest.mark.parametrize("stretch", ["linear", "sqrt", "power", "log", "asinh"])
    def test_percentiles_work_for_every_other_stretch(self, drawn, real_rows, stretch):
        pixels = real_rows["ztf"][0].array("Science")
        for pmin, pmax in ((0.5, 99.5), (10, 60)):
            options = {} if pmin == 0.5 else {"pmin": pmin, "pmax": pmax}
            low, high = np.percentile(pixels, (pmin, pmax))
            grey = np.asarray(drawn(stretch=stretch, **options))
            assert (grey[pixels < low] == 1).all()
            assert (grey[pixels > high] == 255).all()

    def test_colour_maps_are_rgba(self, drawn):
        viridis, greys = drawn(colormap="viridis"), drawn(colormap="Greys")
        assert viridis.mode == greys.mode == "RGBA"
        assert viridis.getextrema() != greys.getextrema()

    def test_kernels_smooth(self, drawn):
        pictures = [drawn(), drawn(convolution_kernel="box"), drawn(convolution_kernel="gauss")]
        scatter = [np.abs(np.diff(np.asarray(picture).astype(float))).mean() for picture in pictures]
        assert scatter == sorted(scatter, reverse=True)
        assert len(set(scatter)) == 3


class TestCaching:
    """Answers about a named alert last; those about the latest are asked for each time."""

    def test_a_named_alert(self, client, real_rows):
        asked = {"kind": "Science", **real_rows["lsst"][0].ids}
        answer = client.get(URL, query_string=asked)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        tag = answer.headers["ETag"]
        assert tag.startswith('"')
        again = client.get(URL, query_string=asked, headers={"If-None-Match": tag})
        assert again.status_code == 304
        assert "X-Lake-Tier" not in again.headers
        head = client.head(URL, query_string=asked)
        assert (head.data, head.content_length) == (b"", answer.content_length)
        tags = {client.get(URL, query_string=asked | option).headers["ETag"] for option in (
            {}, {"stretch": "log"}, {"colormap": "jet"}, {"convolution_kernel": "box"}, {"output-format": "array"},
            {"output-format": "FITS"}, {"kind": "Template"}, {"hdfsPath": PATHS["lsst"]},
        )}  # fmt: skip
        assert len(tags) == 8

    def test_the_latest_alert(self, client):
        asked = {"kind": "Science", "objectId": ZTF_OBJECT}
        answer = client.get(URL, query_string=asked)
        assert answer.headers["Cache-Control"] == "public, no-cache"
        again = client.get(URL, query_string=asked, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304

    def test_a_post_is_always_answered(self, client, real_rows):
        asked = {"kind": "Science", **real_rows["lsst"][0].ids}
        answer = client.post(URL, json=asked)
        assert answer.headers["Cache-Control"] == "no-store"
        again = client.post(URL, json=asked, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.data == answer.data

    def test_pages_of_other_origins_may_read_the_tier(self, client, real_rows):
        answer = client.get(URL, query_string={"kind": "Science", **real_rows["ztf"][0].ids})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "X-Lake-Tier" in answer.headers["Access-Control-Expose-Headers"]


def test_reads_are_counted_by_tier(client, real_rows):
    asked = {"kind": "Science", **real_rows["ztf"][0].ids}
    tier = client.get(URL, query_string=asked).headers["X-Lake-Tier"]

    def counted() -> float:
        name = f'stamp_lake_read_seconds_count{{tier="{tier}"}}'
        return next(
            float(line.split()[1]) for line in client.get("/metrics").text.splitlines() if line.startswith(name)
        )

    before = counted()
    client.get(URL, query_string=asked)
    assert counted() == before + 1


def test_a_get_without_arguments_describes_the_api(client):
    answer = client.get(URL)
    described = {entry["name"]: entry for entry in answer.get_json()["args"]}
    names = {
        "hdfsPath",
        "kind",
        "objectId",
        "candid",
        "diaObjectId",
        "diaSourceId",
        "return_type",
        "output-format",
    }
    assert set(described) == names | {"stretch", "colormap", "pmin", "pmax", "convolution_kernel"}
    assert [name for name, entry in described.items() if entry["required"]] == ["kind"]
    assert all(entry["description"] for entry in described.values())


ZTF = {"objectId": ZTF_OBJECT, "candid": ZTF_ALERTS[0]}
FILE = {"hdfsPath": PATHS["ztf"]}
NO_IDS = [True, 1.5, [ZTF_OBJECT], {"id": "ZTF"}, -1, 0, 10**30, "", "ZTF", "a\0b", "x" * 5000, "\u0663", "1e5"]
NO_PATHS = [
    *("", "..", "../ztf/a.parquet", "a/../../b.parquet", "/etc/passwd", "//x", "./a", "a//b.parquet", "a\\b"),
    *(
        "hdfs://host/a.parquet",
        "file:///etc/passwd",
        "s3://bucket/a",
        "a\0.parquet",
        "a\nb.parquet",
        "x" * 100_000,
    ),
    *(1, True, ["a.parquet"], {"path": "a"}),
]
# A parameter, values that it may not have, and what it is asked for with.
MALFORMED: list[tuple[str, list[object], dict[str, object]]] = [
    ("kind", ["science", "", "Sci", 1, True, None, ["Science"], {}, "x" * 5000], ZTF),
    ("output-format", ["JPEG", "png", 1, None, ["PNG"]], ZTF),
    ("return_type", ["fits", "PNG", 0, None, {}], ZTF | FILE),
    ("stretch", ["cubic", "", 3, None], ZTF),
    ("colormap", ["no such", "", "__class__", 7, ["jet"], "x" * 5000], ZTF),
    ("pmin", [-1, 101, "low", True, None, [1], "nan", "inf", 99.5, 10**30], ZTF),
    ("pmax", [-1, 100.1, "", False, {"a": 1}, 0.25], ZTF),
    ("convolution_kernel", ["Gauss", "", 1, ["box"]], ZTF),
    ("objectId", NO_IDS, {}),
    ("candid", NO_IDS, ZTF),
    ("candid", NO_IDS, ZTF | FILE),
    ("diaSourceId", NO_IDS, {}),
    ("hdfsPath", NO_PATHS, ZTF),
]


def assert_refused(answer, parameter: str) -> None:
    body = answer.get_json()
    assert answer.status_code == 400, body
    assert answer.mimetype == "application/json"
    assert body["status"] == "error"
    assert parameter in body["text"]
    assert len(body["text"]) < 200
    assert not [sign for sign in ("Traceback", "<", "{", "object at", "Error") if sign in body["text"]]


@pytest.mark.parametrize(
    ("parameter", "value", "others"),
    [(parameter, value, others) for parameter, values, others in MALFORMED for value in values],
)
def test_a_malformed_parameter_is_400_in_one_sentence(client, parameter, value, others):
    assert_refused(
        client.post(URL, data=json.dumps({"kind": "Science"} | others | {parameter: value})),
        "pmin" if parameter == "pmax" and value == 0.25 else parameter,
    )
    if isinstance(value, str) and len(value) < 5000:
        assert_refused(client.get(URL, query_string={"kind": "Science"} | others | {parameter: value}), parameter)


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({}, "kind"),
        (ZTF, "kind"),
        ({"kind": "Science"}, "objectId"),
        (FILE | {"kind": "Science"}, "objectId"),
        ({"kind": "Science", "candid": ZTF_ALERTS[0]}, "objectId"),
        ({"kind": "Science", "objectId": ZTF_OBJECT, "diaSourceId": 1}, "diaSourceId"),
        (ZTF | {"kind": "All"}, "output-format"),
        (ZTF | {"kind": "All", "output-format": "PNG"}, "output-format"),
        (ZTF | {"kind": "All", "output-format": "FITS"}, "output-format"),
        (ZTF | FILE | {"kind": "All", "return_type": "FITS"}, "return_type"),
        (ZTF | {"kind": "Science", "pmin": 60, "pmax": 40}, "pmin"),
        (ZTF | {"kind": "Science", "pmin": 60, "pmax": 40, "stretch": "log"}, "pmax"),
    ],
)
def test_what_does_not_go_together_is_400(client, asked, parameter):
    assert_refused(client.post(URL, json=asked), parameter)
    if asked:
        assert_refused(client.get(URL, query_string=asked), parameter)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'"Science"', b"1", b"null", b"{", b"\xff", b"[" * 9999])
def test_a_body_has_to_be_a_json_object(client, body):
    assert_refused(client.post(URL, data=body, content_type="application/json"), "body")


def test_a_body_has_a_limit(client):
    answer = client.post(URL, data=b" " * (1 << 26), content_type="application/json")
    assert answer.status_code == 413
    assert answer.get_json()["status"] == "error"


@pytest.mark.parametrize(
    "asked",
    [
        {"objectId": "ZTF99zzzzzzz"},
        {"objectId": "ZTF99zzzzzzz", "hdfsPath": PATHS["ztf"]},
        {"objectId": ZTF_OBJECT, "candid": "1"},
        {"objectId": ZTF_OBJECT, "candid": "1", "hdfsPath": PATHS["ztf"]},
        {"diaSourceId": "1"},
        {"diaSourceId": "1", "hdfsPath": PATHS["lsst"]},
        {"diaObjectId": "1"},
        {"objectId": ZTF_OBJECT, "hdfsPath": "year=2021/no.parquet"},
        {"objectId": ZTF_OBJECT, "hdfsPath": PATHS["lsst"]},
    ],
)
def test_a_row_that_is_not_there_is_404(client, asked):
    for kind, form in (("Science", {}), ("All", {"output-format": "array"})):
        answer = client.post(URL, json={"kind": kind, **form, **asked})
        assert answer.status_code == 404
        assert answer.get_json()["status"] == "error"
        assert answer.headers["Cache-Control"] == "no-store"


NEWER, EMPTY = 1886555201115010001, 1886555201115010002


@pytest.fixture
def two_lakes(shared_data, tmp_path) -> Iterator[tuple[FlaskClient, Path]]:
    """The real ZTF lake, and a small one with a later alert of one of its objects and an alert without stamps."""
    settings = make_settings(tmp_path / "data")
    source = shared_data / "lake" / SOURCES["ztf"]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    shutil.copyfile(source, tmp_path / "first/old.parquet")
    table = pq.ParquetFile(source).read()
    newer, empty = (row for row in table.to_pylist() if row["candid"] in ZTF_ALERTS[:2])
    newer |= {"candid": NEWER, "cutoutTemplate": {"stampData": None}}
    newer["candidate"]["jd"] += 100
    empty |= {"candid": EMPTY, "objectId": "ZTF18aaaaaaa"} | {f"cutout{kind}": None for kind in KINDS}
    pq.write_table(pa.Table.from_pylist([newer, empty], table.schema), tmp_path / "second/new.parquet")
    for name in ("first", "second"):
        register(settings, tmp_path / name)
    app = create_app(settings)
    yield app.test_client(), tmp_path
    app.extensions["stamp_service"].resolver.close()


def test_lakes_of_one_survey_answer_together(two_lakes):
    client, folder = two_lakes
    asked = {"kind": "Science", "objectId": ZTF_OBJECT, "output-format": "FITS"}
    latest = client.get(URL, query_string=asked)
    assert latest.data == client.get(URL, query_string=asked | {"candid": NEWER}).data
    assert latest.data != client.get(URL, query_string=asked | {"candid": ZTF_ALERTS[-1]}).data
    for path, alert_id in (("old.parquet", ZTF_ALERTS[0]), ("new.parquet", NEWER)):
        found = client.post(
            URL, json={"kind": "Science", "objectId": ZTF_OBJECT, "candid": alert_id, "hdfsPath": path}
        )
        assert found.status_code == 200
    (folder / "second").rename(folder / "away")
    assert client.get(URL, query_string=asked | {"candid": ZTF_ALERTS[-1]}).status_code == 200
    assert (
        client.post(URL, json={"kind": "All", "objectId": ZTF_OBJECT, "hdfsPath": "old.parquet"}).status_code
        == 200
    )


def test_null_cutouts(two_lakes):
    client, _ = two_lakes
    asked = {"objectId": ZTF_OBJECT, "candid": NEWER}
    science, template, difference = client.post(
        URL, json=asked | {"kind": "All", "hdfsPath": "new.parquet"}
    ).get_json()
    assert (np.shape(science), template, np.shape(difference)) == ((63, 63), None, (63, 63))
    found = client.post(URL, json=asked | {"kind": "All", "output-format": "array"}).get_json()
    assert found["b:cutoutTemplate_stampData"] is None
    missing = client.post(URL, json=asked | {"kind": "Template", "hdfsPath": "new.parquet"})
    assert missing.status_code == 404
    assert "template" in missing.get_json()["text"]
    asked = {"objectId": "ZTF18aaaaaaa", "candid": EMPTY}
    for path in ({}, {"hdfsPath": "new.parquet"}):
        for form in ({"kind": "Science"}, {"kind": "All", "output-format": "array"}):
            assert client.post(URL, json=asked | path | form).status_code == 404


def test_a_lake_that_cannot_be_reached_is_503(two_lakes, free_port):
    client, _ = two_lakes
    here = client.application.extensions["stamp_service"]
    with open_writer(open_catalogue(here.settings)) as writer:
        writer.register("far", f"webhdfs://127.0.0.1:{free_port}/lake", "ztf")
    asked = {"kind": "Science", "objectId": ZTF_OBJECT, "candid": ZTF_ALERTS[0]}
    assert client.post(URL, json=asked).status_code == 200
    answer = client.post(URL, json=asked | {"hdfsPath": "elsewhere.parquet"})
    assert answer.status_code == 503
    assert answer.get_json()["status"] == "error"
    assert int(answer.headers["Retry-After"]) > 0


def test_without_lakes_nothing_is_found(make_app):
    client = make_app(filled=False).test_client()
    for asked in ({"objectId": ZTF_OBJECT}, ZTF, ZTF | FILE, {"diaSourceId": 1}):
        answer = client.post(URL, json={"kind": "Science", **asked})
        assert answer.status_code == 404, asked
        assert answer.get_json()["status"] == "error"


def test_a_named_alert_may_be_a_packet(make_app, real_alerts):
    """What no lake has is looked for in the survey's other stores."""
    client = make_app().test_client()
    real = real_alerts["ztf"]
    asked = {"objectId": real.object_id, "candid": real.alert_id, "kind": "Science", "output-format": "FITS"}
    answer = client.post(URL, json=asked)
    assert answer.data == gzip.decompress(real.alert.cutout("science"))
    assert "X-Lake-Tier" not in answer.headers
    assert client.post(URL, json=asked | {"hdfsPath": PATHS["ztf"]}).status_code == 404
    assert client.post(URL, json=asked | {"objectId": "ZTF18aaaaaaa"}).status_code == 404
    atlas = real_alerts["atlas"]
    asked = {"objectId": atlas.object_id, "candid": atlas.alert_id, "kind": "All", "output-format": "array"}
    found = client.post(URL, json=asked).get_json()
    assert found["b:cutoutTemplate_stampData"] is None
    assert np.shape(found["b:cutoutDifference_stampData"]) == (61, 61)
    asked["kind"] = "Template"
    assert client.post(URL, json=asked).status_code == 404


def test_a_file_that_went_away_is_404_and_one_that_is_broken_502(make_lakes, real_rows):
    app, folder = make_lakes()
    client = app.test_client()
    row = real_rows["ztf"][0]
    asked = {"kind": "Science", **row.ids, **FILE}
    assert client.post(URL, json=asked).status_code == 200
    file = folder / "ztf" / PATHS["ztf"]
    file.write_bytes(b"PAR1 no such thing PAR1")
    broken = client.post(URL, json=asked)
    assert (broken.status_code, broken.get_json()["status"]) == (502, "error")
    assert str(folder) not in broken.text
    file.unlink()
    assert client.post(URL, json=asked).status_code == 404


def test_parameters_follow_from_the_survey(tmp_path):
    """A survey of one's own is asked for by the names of its own fields."""
    definition = (ROOT / "stamp_service/surveys/ztf.toml").read_text()
    own = definition.replace('name = "ztf"', 'name = "own"').replace(
        'fields = ["objectId"]', 'fields = ["meta.oid"]'
    )
    (tmp_path / "surveys").mkdir()
    (tmp_path / "surveys/own.toml").write_text(own)
    client = create_app(make_settings(tmp_path / "data", surveys_dir=tmp_path / "surveys")).test_client()
    asked = {"oid": ZTF_OBJECT, "kind": "Science"}
    assert client.post(URL, json=asked).status_code == 404
    assert client.get(URL, query_string=asked).status_code == 404
    assert client.post(URL, json=asked | {"oid": 1.5}).status_code == 400
    assert "oid" in client.post(URL, json={"kind": "Science"}).get_json()["text"]


@pytest.fixture(scope="module")
def restricted(make_lakes, tmp_path_factory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("surveys")
    definition = (ROOT / "stamp_service/surveys/ztf.toml").read_text()
    (folder / "ztf.toml").write_text(f"{definition}\n[access]\nanonymous = []\n")
    app, _ = make_lakes(surveys_dir=folder, jwt_secret=SECRET)
    return app.test_client()


def test_stamps_of_a_restricted_survey_need_a_token(restricted, real_rows):
    asked = {"kind": "Science", **real_rows["ztf"][0].ids}
    for path in ({}, FILE):
        answer = restricted.get(URL, query_string=asked | path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.get_json()["status"] == "error"
        answer = restricted.get(
            URL, query_string=asked | path, headers=bearing(token(surveys={"ztf": ["stamps"]}))
        )
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"].startswith("private")
        assert "Authorization" in answer.headers["Vary"]
        answer = restricted.post(URL, json=asked | path, headers=bearing(token(surveys={"ztf": ["metadata"]})))
        assert answer.status_code == 403
    assert restricted.get(URL, query_string={"kind": "Science", **real_rows["lsst"][0].ids}).status_code == 200
