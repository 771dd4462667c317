"""`stamp-service classify`, as it is typed."""

import csv
import io
import json
import os
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner

from stamp_service.classifiers import open_model
from stamp_service.cli import main
from stamp_service.demo import fill
from stamp_service.packets import recognise
from stamp_service.settings import environment_names, load_settings
from stamp_service.stores import open_local
from tests.synthetic import synthetic
from tests.unit.classifiers.graphs import CLASSES, linear_graph, write_model

ZTF = synthetic("ztf")[:6]
ATLAS = synthetic("atlas")[0]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    stamps = {"input": "stamps", "kinds": ("science",), "shape": (63, 63), "normalisation": "minmax"}
    write_model(root / "own", linear_graph({"stamps": ["N", 63, 63, 1]}, 5), stamps=[stamps], description="a test")
    return root


@pytest.fixture
def run(monkeypatch, tmp_path, models):
    for name in list(os.environ):
        if name.upper().startswith("STAMP_") or name in environment_names():
            monkeypatch.delenv(name)
    monkeypatch.setenv("STAMP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("STAMP_MODEL_DIR", str(models))
    return lambda *words: CliRunner().invoke(main, ["classify", *map(str, words)])


@pytest.fixture
def folder(tmp_path):
    """Six ZTF alerts in an archive and one ATLAS alert beside it, and a file that is no packet."""
    with tarfile.open(tmp_path / "night.tar.gz", "w:gz") as archive:
        for alert in ZTF:
            info = tarfile.TarInfo(f"{alert.alert_id}.avro")
            info.size = len(alert.packet)
            archive.addfile(info, io.BytesIO(alert.packet))
    (tmp_path / "atlas.avro").write_bytes(ATLAS.packet)
    (tmp_path / "broken.avro").write_bytes(b"nothing")
    return tmp_path


@pytest.fixture
def expected(models, surveys):
    """What the classifier itself says of the six."""
    model = open_model(models / "own")
    return model.classify([recognise(surveys, alert.packet) for alert in ZTF])


def test_json_has_a_line_for_each_alert(run, folder, expected):
    done = run(folder / "night.tar.gz", folder / "atlas.avro", folder / "broken.avro", "--model", "own", "--json")
    assert done.exit_code == 1
    assert "refused" in done.stderr
    assert "broken.avro" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["alert_id"] for line in lines] == [*(alert.alert_id for alert in ZTF), ATLAS.alert_id]
    for line, one in zip(lines, expected, strict=False):
        assert (line["model"], line["version"], line["reason"]) == ("own", "1.0", None)
        assert line["object_id"] == one.object_id
        assert line["probabilities"] == pytest.approx(dict(one.probabilities), abs=1e-6)
    assert (lines[-1]["probabilities"], lines[-1]["reason"]) == (None, "the model is for alerts of ztf")


def test_csv_has_a_column_for_each_class(run, folder, models, expected):
    done = run(folder / "night.tar.gz", "--model", models / "own", "--csv")
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["model", "version", "alert_id", "object_id", *CLASSES, "reason"]
    found = np.array([[float(row[name]) for name in CLASSES] for row in rows])
    assert found == pytest.approx(np.array([[one.probabilities[name] for name in CLASSES] for one in expected]))


def test_a_table_is_for_reading(run, folder, expected):
    done = run(folder / "night.tar.gz", folder / "atlas.avro", "--model", "own")
    title, heading, *rows = done.stdout.splitlines()
    assert title == "own 1.0: a test"
    assert heading.split() == ["alert", "object", *CLASSES]
    first = expected[0]
    assert rows[0].split() == [
        first.alert_id,
        first.object_id,
        *(f"{p:.4f}" for p in first.probabilities.values()),
    ]
    assert rows[-1].endswith("the model is for alerts of ztf")


def test_objects_and_times_are_looked_up_in_the_index(run, surveys):
    settings = load_settings()
    fill({"ztf": open_local(settings)}, surveys, settings.schemas_path)
    assert CliRunner().invoke(main, ["index", "rebuild"]).exit_code == 0
    alerts = [recognise(surveys, alert.packet) for alert in synthetic("ztf")]

    def ids(*words):
        done = run(*words, "--model", "own", "--json")
        assert done.exit_code == 0, done.output
        return [json.loads(line)["alert_id"] for line in done.stdout.splitlines()]

    by_time = sorted(alerts, key=lambda alert: (alert.summary().time_mjd, alert.alert_id))
    assert ids("--survey", "ztf") == [alert.alert_id for alert in by_time]
    middle = by_time[len(by_time) // 2].summary().time_mjd
    later = [alert.alert_id for alert in by_time if alert.summary().time_mjd >= middle]
    assert ids("--survey", "ztf", "--since", middle) == later
    assert ids("--survey", "ztf", "--until", "2018-01-01") == []
    own = [alert.alert_id for alert in by_time if alert.object_id == alerts[0].object_id]
    assert ids("--object", f"ztf/{alerts[0].object_id}") == own


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "own"], "give one of SOURCE, --object and --survey"),
        (
            ["--model", "own", "--object", "ztf/ZTF18abcdefg", "--since", "59000"],
            "--since and --until go with --survey",
        ),
        (["--model", "unknown", "--survey", "ztf"], "--model is not one of demo, own"),
        (["--model", "own", "--survey", "ztf", "--since", "soon"], "soon is neither a date nor an MJD"),
        (["--model", "own", "--object", "ztf/nobody"], "--object is not a ztf object id"),
        (["--model", "own", "--object", "ztf/ZTF18abcdefg"], "no alert of ztf object ZTF18abcdefg is known"),
    ],
)
def test_what_makes_no_sense_is_said(run, words, message):
    done = run(*words)
    assert done.exit_code == 2
    assert message in done.stderr
