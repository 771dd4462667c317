"""Survey files: the built-in ones and a user's."""

from importlib.resources import files

import pytest

from stamp_service.errors import ConfigurationError, RequestError
from stamp_service.surveys import load_surveys

OWN = """
name = "own"
title = "A survey of one's own"
key = "{object_id}_{alert_id}.avro"

[alert_id]
fields = ["id"]
pattern = "[0-9]{1,9}"

[object_id]
fields = ["object"]
pattern = "[a-z]+"

[time]
fields = ["jd"]
format = "jd"

[position]
ra = ["ra"]
dec = ["dec"]

[band]
fields = ["band"]

[cutouts.science]
fields = ["science"]

[orientation]
row0 = "bottom"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path


def test_three_surveys_are_built_in():
    assert list(load_surveys()) == ["ztf", "atlas", "lsst"]


def test_a_file_adds_a_survey(folder):
    surveys = load_surveys(folder)
    assert list(surveys) == ["ztf", "atlas", "lsst", "own"]
    assert surveys["own"].object_key("17", "abc") == "abc_17.avro"
    assert surveys["own"].kinds == ("science",)


def test_a_file_replaces_the_built_in_of_its_name(folder):
    built_in = (files("stamp_service.surveys") / "atlas.toml").read_text()
    own = built_in.replace("{alert_id:reversed}.avro", "mine/{alert_id}")
    assert own != built_in
    (folder / "whatever.toml").write_text(own)
    surveys = load_surveys(folder)
    assert surveys["atlas"].key == "mine/{alert_id}"
    assert len(surveys) == 4


def test_other_files_are_left_alone(folder):
    (folder / "README.md").write_text("not a survey")
    (folder / "own.toml.bak").write_text("[")
    assert "own" in load_surveys(folder)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "own"', "name = own", "own.toml: "),
        ('name = "own"', 'name = "../own"', "own.toml: name: "),
        ('name = "own"', 'name = "Own"', "own.toml: name: "),
        ('name = "own"', 'name = "own\\n"', "own.toml: name: "),
        ('title = "A survey of one\'s own"', "", "own.toml: title: Field required"),
        ('pattern = "[0-9]{1,9}"', 'pattern = "[0-9"', "own.toml: alert_id.pattern: "),
        ("{object_id}_{alert_id}", "{object_id}", "own.toml: key: .* has no alert_id"),
        ("{object_id}_{alert_id}", "{alert_id}{secret}", "own.toml: key: .*unknown field"),
        ('row0 = "bottom"', 'row0 = "left"', "own.toml: orientation.row0: "),
        ('row0 = "bottom"', 'row0 = "bottom"\nnorth = "no such card"', "own.toml: orientation.north"),
        ("[cutouts.science]", "[cutouts.scienze]", "own.toml: cutouts.scienze"),
        ('fields = ["jd"]', "fields = []", "own.toml: time.fields: "),
        ('format = "jd"', 'format = "jd"\nfromat = "jd"', "own.toml: time.fromat: Extra inputs"),
    ],
)
def test_a_broken_file_gives_one_clear_sentence(folder, old, new, says):
    assert old in OWN
    (folder / "own.toml").write_text(OWN.replace(old, new))
    with pytest.raises(ConfigurationError, match=f"^Survey file {says}") as caught:
        load_surveys(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)


def test_bytes_that_are_not_text_are_refused(folder):
    (folder / "own.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"^Survey file own\.toml: "):
        load_surveys(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="STAMP_SURVEYS_DIR"):
        load_surveys(tmp_path / "missing")


@pytest.mark.parametrize("name", ["ztf", "ZTF", "Ztf"])
def test_a_survey_is_found_in_any_case(surveys, name):
    assert surveys.named(name).name == "ztf"


@pytest.mark.parametrize("name", ["", "zt", "ztf ", "../ztf", "ztf\x00", "x" * 10_000])
def test_an_unknown_survey_names_the_known_ones(surveys, name):
    with pytest.raises(RequestError, match=r"^survey_id is not one of ztf, atlas, lsst$") as caught:
        surveys.named(name, "survey_id")
    assert caught.value.parameter == "survey_id"
