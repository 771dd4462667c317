"""The `stamp-service` command, as it is typed."""

import gzip
import io
import json
import os

import pytest
from astropy.io import fits
from click.testing import CliRunner

from stamp_service import __version__
from stamp_service.cli import main
from stamp_service.demo import demo_schemas
from stamp_service.settings import Settings, environment_names
from tests.synthetic import synthetic

ZTF, ATLAS, LSST = map(synthetic, ("ztf", "atlas", "lsst"))
SUPERNOVA = ZTF[2]


@pytest.fixture
def look(run, filled, monkeypatch):
    """Type a command with a data folder that has the synthetic alerts."""
    monkeypatch.setenv("STAMP_DATA_DIR", str(filled))
    return run


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Type a command with an empty data folder."""
    for name in list(os.environ):
        if name.upper().startswith("STAMP_") or name in environment_names():
            monkeypatch.delenv(name)
    monkeypatch.setenv("STAMP_DATA_DIR", str(tmp_path / "data"))

    def type_in(*words: object):
        return CliRunner().invoke(main, [str(word) for word in words])

    return type_in


@pytest.fixture
def folder(tmp_path):
    """A folder as people have them: alerts of three surveys in subfolders, schemas, and other things."""
    root = tmp_path / "alerts"
    for alerts in (ZTF[:3], ATLAS[:2], LSST[:1]):
        for alert in alerts:
            file = root / alert.survey / f"{alert.alert_id}.avro"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(alert.packet)
    (root / "schema").mkdir()
    for name, schema in demo_schemas().items():
        (root / "schema" / name).write_text(json.dumps(schema))
    (root / "README.md").write_text("not an alert")
    (root / ".hidden.avro").write_bytes(b"")
    (root / ".git").mkdir()
    (root / ".git" / "x.avro").write_bytes(b"")
    return root


def test_a_folder_is_added_whole(run, folder):
    result = run("add", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout == "added 6 (2 atlas, 1 lsst, 3 ztf), skipped 1 that are no packets\n"
    assert result.stderr == ""


def test_pipes_and_links_in_circles_are_passed_over(run, folder):
    os.mkfifo(folder / "ztf" / "pipe.avro")
    (folder / "ztf" / "circle").symlink_to(folder)
    assert run("add", folder).stdout == "added 6 (2 atlas, 1 lsst, 3 ztf), skipped 1 that are no packets\n"
    result = run("add", folder / "ztf" / "pipe.avro")
    assert result.exit_code == 2
    assert result.stderr.endswith("pipe.avro is neither a file nor a folder\n")


def test_what_is_there_is_counted(run, folder):
    run("add", folder / "ztf")
    result = run("add", folder / "ztf", folder / "atlas")
    assert result.exit_code == 0
    assert result.stdout == "added 2 (2 atlas), 3 were there already\n"


def test_each_refusal_has_its_line_and_the_rest_is_added(run, folder):
    good = folder / "ztf" / f"{SUPERNOVA.alert_id}.avro"
    (folder / "short.avro").write_bytes(SUPERNOVA.packet[:-100])
    (folder / "empty.avro").write_bytes(b"")
    (folder / "nonsense").write_bytes(b"Obj\x01" + b"\xff" * 100)
    (folder / "bad.avsc").write_text("{")
    result = run("add", good, folder / "short.avro", folder / "empty.avro", folder)
    assert result.exit_code == 1
    assert result.stdout == "added 6 (2 atlas, 1 lsst, 3 ztf), refused 4, skipped 1 that are no packets\n"
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert {line.partition(": ")[0] for line in lines} == {
        f"refused {folder / name}" for name in ("bad.avsc", "empty.avro", "nonsense", "short.avro")
    }
    assert all(line.partition(": ")[2] for line in lines)


def test_a_file_that_is_named_must_be_a_packet(run, folder):
    result = run("add", folder / "README.md")
    assert result.exit_code == 1
    assert result.stdout == "added 0, refused 1\n"
    assert result.stderr.startswith(f"refused {folder / 'README.md'}: ")


def test_a_different_packet_of_the_same_alert_is_refused(run, tmp_path, folder):
    run("add", folder / "ztf")
    other = tmp_path / "other.avro"
    other.write_bytes(gzip.compress(SUPERNOVA.packet))
    result = run("add", other)
    assert (result.exit_code, result.stdout) == (1, "added 0, refused 1\n")
    assert "different packet" in result.stderr
    assert run("get", "ztf", SUPERNOVA.alert_id, "--format", "avro").stdout_bytes == SUPERNOVA.packet


def test_packets_may_be_gzipped(run, tmp_path):
    file = tmp_path / "alert.avro.gz"
    file.write_bytes(gzip.compress(SUPERNOVA.packet))
    assert run("add", file).stdout == "added 1 (1 ztf)\n"
    assert run("get", "ztf", SUPERNOVA.alert_id, "--format", "avro").stdout_bytes == file.read_bytes()


def test_the_survey_can_be_given(run, folder):
    result = run("add", "--survey", "atlas", folder / "ztf")
    assert result.exit_code == 1
    assert "added 0, refused 3" in result.stdout
    assert run("add", "--survey", "ZTF", folder / "ztf").exit_code == 0
    result = run("add", "--survey", "nope", folder / "ztf")
    assert (result.exit_code, result.stderr) == (2, "Error: --survey is not one of ztf, atlas, lsst\n")


def test_a_packet_that_is_too_large_is_not_even_read(run, folder, monkeypatch):
    monkeypatch.setenv("STAMP_MAX_PACKET_BYTES", "1000")
    result = run("add", folder / "ztf")
    assert result.exit_code == 1
    assert result.stderr.count("the file is larger than 1000 bytes") == 3


def test_wire_format_needs_its_schema(run, folder):
    result = run("add", folder / "lsst")
    assert result.exit_code == 1
    assert "schema 900" in result.stderr


def test_every_real_alert_is_added(run, shared_data):
    result = run("add", shared_data / "alerts")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "added 129 (10 atlas, 11 lsst, 108 ztf)\n"


@pytest.mark.parametrize(
    "words", [("add",), ("add", "/no/such/path"), ("get", "ztf"), ("nonsense",), ("add", "--x")]
)
def test_a_wrong_command_says_how(run, words):
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_a_wrong_setting_is_one_line(run, monkeypatch):
    monkeypatch.setenv("STAMP_DTA_DIR", "x")
    for command in ("surveys", "settings", "demo"):
        result = run(command)
        assert result.exit_code == 2
        assert result.stderr == "Error: Unknown setting STAMP_DTA_DIR. Did you mean STAMP_DATA_DIR?\n"


def test_the_demo_is_stored_once(run):
    assert run("demo").stdout == f"added {len(ZTF) + len(ATLAS) + len(LSST)}\n"
    assert run("demo").stdout == "added 0\n"


def test_the_demo_is_not_for_buckets(run, monkeypatch):
    for name in ("ZTF_BUCKET_NAME", "ATLAS_BUCKET_NAME", "STAMP_LSST_BUCKET_NAME"):
        monkeypatch.setenv(name, "bucket")
    result = run("demo")
    assert result.exit_code == 2
    assert "local store" in result.stderr


@pytest.mark.parametrize(
    ("form", "start"), [("png", b"\x89PNG\r\n\x1a\n"), ("fits", b"SIMPLE"), ("avro", b"Obj\x01")]
)
def test_an_alert_is_fetched_into_a_file(look, tmp_path, form, start):
    file = tmp_path / "out"
    result = look("get", "ztf", SUPERNOVA.alert_id, "--format", form, "--kind", "difference", "-o", file)
    assert result.exit_code == 0, result.output
    assert file.read_bytes().startswith(start)


def test_fits_comes_out_of_its_gzip(look):
    body = look("get", "ztf", SUPERNOVA.alert_id, "--format", "fits").stdout_bytes
    with fits.open(io.BytesIO(body)) as hdus:
        assert hdus[0].data.shape == (63, 63)


def test_metadata_are_strict_json(look):
    body = look("get", "lsst", LSST[0].alert_id, "--format", "json").stdout
    record = json.loads(body, parse_constant=pytest.fail)
    assert record["diaSource"]["diaSourceId"] == int(LSST[0].alert_id)
    assert record["diaSource"]["trailFlux"] is None
    assert "cutoutScience" not in record


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nope", "1"), "survey is not one of"),
        (("ztf", "../x"), "alert_id is not a ztf alert id"),
        (("ztf", "1"), "no ztf alert 1"),
        (("atlas", ATLAS[6].alert_id, "--kind", "template"), "without a template"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(look, tmp_path, words, says):
    file = tmp_path / "out"
    result = look("get", *words, "-o", file)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not file.exists()


def test_surveys_are_listed(run):
    lines = run("surveys").stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "ztf  Zwicky Transient Facility",
        "atlas  Asteroid Terrestrial-impact Last Alert System",
        "lsst  Rubin Observatory Legacy Survey of Space and Time",
    ]


def test_settings_are_shown_without_secrets(run, monkeypatch):
    monkeypatch.setenv("STAMP_JWT_SECRET", "secret-one")
    monkeypatch.setenv("STAMP_WRITE_TOKENS", "secret-two,secret-three")
    monkeypatch.setenv("STAMP_SCHEMA_REGISTRY_URL", "https://user:secret-four@registry.example.org")
    monkeypatch.setenv("STAMP_BUCKETS", '{"own": "its-bucket"}')
    monkeypatch.setenv("STAMP_CONSUMER_OPTIONS", '{"ssl.key.password": "secret-five"}')
    lines = run("settings").stdout.splitlines()
    assert not any("secret-" in line or "user" in line for line in lines)
    assert "STAMP_SCHEMA_REGISTRY_URL=https://***@registry.example.org" in lines
    assert 'STAMP_BUCKETS={"own":"its-bucket"}' in lines
    assert 'STAMP_CONSUMER_OPTIONS={"ssl.key.password":"**********"}' in lines
    assert "APP_PORT=8087  (default)" in lines
    # A field with several names is shown once, under the first.
    fields = [environment_names()[line.partition("=")[0]] for line in lines]
    assert sorted(fields) == sorted(Settings.model_fields)


def test_help_names_every_command(run):
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.stdout for name in ("add", "demo", "get", "settings", "surveys"))
    assert run("--version").stdout == f"stamp-service, version {__version__}\n"
