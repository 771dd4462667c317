"""What `model.toml` may say, and what is refused."""

import shutil

import pytest
from pydantic import ValidationError

from stamp_service.classifiers import ModelDefinition, read_definition, write_definition
from stamp_service.errors import ConfigurationError
from tests.unit.classifiers.graphs import write_model

STAMPS = {"input": "stamps", "kinds": ("science",), "shape": (63, 61), "crop": (21, 20), "normalisation": "minmax"}
EVERYTHING = {
    "version": "1.0-β",
    "description": 'Somebody\'s "model", with a \\ and\ta tab',
    "classes": ("a b", "SN", "ünknown", "asteroid"),
    "source": "model.zip",
    "source_sha256": "0" * 64,
    "output": {"name": "out:0", "holds": "logits"},
    "stamps": [
        STAMPS,
        {"input": "whole", "kinds": ("template",), "shape": (63, 63), "pad": 1e-9, "layout": "NHW"},
    ],
    "metadata": {
        "input": "numbers",
        "features": [
            {
                "name": "plain",
                "fields": ["candidate.x", "x"],
                "minimum": -1,
                "mean": 0.7041255430924432,
                "std": 1e-7,
            },
            {"name": "less", "fields": ["a"], "minus": ["b"], "maximum": 1e300},
            {"name": "band", "card": "FILTER", "header": "difference", "categories": {"c": 0, "o !": 1, "-1": 2}},
            {"name": "latitude", "derived": "ecl_lat"},
        ],
    },
    "rules": {
        "asteroid": {"class_name": "asteroid", "no_match": -1.0},
        "supernova": {"class_name": "SN", "negative": ("f",), "star_score_above": 0.25},
    },
}


@pytest.mark.parametrize("values", [{}, EVERYTHING])
def test_what_is_written_is_read(tmp_path, values):
    written = write_model(tmp_path / "own", b"graph", **values)
    assert read_definition(tmp_path / "own") == written


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    write_model(tmp_path / "own", b"graph")
    (tmp_path / "own/model.onnx").write_bytes(b"another graph")
    with pytest.raises(
        ConfigurationError, match=r"^Model own: model\.onnx is not the file that model\.toml was writ"
    ):
        read_definition(tmp_path / "own")


@pytest.mark.parametrize("name", ["model.onnx", "model.toml"])
def test_a_file_that_is_missing_is_named_without_its_path(tmp_path, name):
    write_model(tmp_path / "own", b"graph")
    (tmp_path / "own" / name).unlink()
    with pytest.raises(
        ConfigurationError, match=rf"^Model own: {name} cannot be read: No such file or directory$"
    ):
        read_definition(tmp_path / "own")


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        ('name = "own"', "name = ", "Invalid value"),
        ('name = "own"', 'name = "\xff"'.encode("latin-1"), "is not TOML"),
        ('name = "own"', 'name = "../own"', "name: String should match pattern"),
        ('name = "own"', "", "name: Field required"),
        ('name = "own"', 'name = "own"\nunknown = 1', "unknown: Extra inputs are not permitted"),
        ('kinds = ["science"]', 'kinds = ["reference"]', r"stamps\.0\.kinds\.0: Input should be 'science'"),
        ("crop = [21, 20]", "crop = [21, 62]", "stamps.0: Value error, crop is larger than shape"),
        (
            "crop = [21, 20]",
            "crop = [21, 20]\npad = 0.0",
            "stamps.0: Value error, crop and pad exclude each other",
        ),
        ("pad = 1e-9", "pad = inf", "stamps.1.pad: Input should be a finite number"),
        ('kinds = ["template"]', 'kinds = ["template", "science"]', "layout NHW has room for one kind"),
        ('derived = "ecl_lat"', 'fields = ["x"], card = "X"', "give one of fields, card and derived"),
        ('derived = "ecl_lat"', "mean = 1.0", "give one of fields, card and derived"),
        ('derived = "ecl_lat"', 'derived = "ra", minus = ["x"]', "minus needs fields"),
        ("std = 1e-7", "std = 0", "std: Input should be greater than 0"),
        ('holds = "logits"', 'holds = "score"', "a score has two classes"),
        ('"ünknown"', '"SN"', "a class is named twice"),
        ('class_name = "SN"', 'class_name = "sn"', "a rule is about a class that the model does not have"),
    ],
)
def test_mistakes_are_named(tmp_path, find, replace, message):
    write_model(tmp_path / "own", b"graph", **EVERYTHING)
    file = tmp_path / "own/model.toml"
    text = file.read_bytes()
    assert find.encode() in text
    file.write_bytes(text.replace(find.encode(), replace if isinstance(replace, bytes) else replace.encode()))
    with pytest.raises(ConfigurationError, match=message) as error:
        read_definition(tmp_path / "own")
    assert str(error.value).startswith("Model own: model.toml")
    assert str(tmp_path) not in str(error.value)


def test_a_fingerprint_tells_definitions_apart(tmp_path):
    first = write_model(tmp_path / "own", b"graph")
    shutil.copytree(tmp_path / "own", tmp_path / "copy")
    assert read_definition(tmp_path / "copy").fingerprint == first.fingerprint
    other = write_model(tmp_path / "own", b"graph", rules={"asteroid": {"class_name": "asteroid"}})
    assert other.fingerprint != first.fingerprint


def test_a_definition_stays_as_it_is(tmp_path):
    definition = write_model(tmp_path / "own", b"graph")
    with pytest.raises(ValidationError):
        definition.name = "other"
    write_definition(tmp_path / "own", ModelDefinition.model_validate(definition.model_dump() | {"version": "2"}))
    assert read_definition(tmp_path / "own").version == "2"
