"""Where networks are converted from and to: folders, archives made to do harm, and directories that are there."""

import hashlib
import io
import os
import stat
import tracemalloc
import zipfile

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.classifiers import Models, Running, read_definition
from stamp_service.classifiers.conversion import convert
from stamp_service.classifiers.conversion.sources import MAX_FILE_BYTES, archive_files, find_checkpoint
from stamp_service.cli import main
from stamp_service.errors import ConfigurationError, StampServiceError, TooLarge
from tests.unit.classifiers.checkpoint_files import Checkpoint, small_network

ENDS = (".index", ".data-00000-of-00001")
FILES = Checkpoint(small_network(features=23)).files()
OTHER = Checkpoint(small_network(seed=1)).files()


def members(name="model", files=FILES):
    return {name + end: content for end, content in zip(ENDS, files, strict=True)}


def put(folder, contents):
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zipped(contents, method=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return data.getvalue()


ARCHIVE = zipped(members("release/staging/checkpoints/model") | {"release/README.md": b"how to"})


def everything_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_folder_becomes_a_model_directory(tmp_path):
    source = put(tmp_path / "net", members("checkpoints/model") | {"checkpoints/checkpoint": b"", "notes": b""})
    made = convert(source, tmp_path / "models" / "mine")
    assert (made.name, made.version, made.survey, made.source) == ("mine", "1.0.0", "ztf", "net")
    assert made.source_sha256 == hashlib.sha256(b"".join(FILES)).hexdigest()
    assert read_definition(tmp_path / "models" / "mine") == made
    assert everything_in(tmp_path / "models") == {"mine", "mine/model.onnx", "mine/model.toml"}


def test_an_archive_gives_the_same_graph(tmp_path):
    (tmp_path / "model.zip").write_bytes(ARCHIVE)
    made = convert(tmp_path / "model.zip", tmp_path / "a", name="stamp_classifier", version="1.0.4")
    assert (made.name, made.version, made.source) == ("stamp_classifier", "1.0.4", "model.zip")
    assert made.source_sha256 == hashlib.sha256(ARCHIVE).hexdigest()
    assert made.model_sha256 == convert(put(tmp_path / "net", members()), tmp_path / "b").model_sha256


@pytest.mark.parametrize("archived", [True, False])
def test_one_of_several_checkpoints_is_chosen(tmp_path, archived):
    contents = members("old/model-1", OTHER) | members("new/model-2")
    source = put(tmp_path / "nets", contents)
    if archived:
        source = tmp_path / "nets.zip"
        source.write_bytes(zipped(contents | {"__MACOSX/new/._model-2.index": b"", "._x.index": b""}))
    with pytest.raises(ConfigurationError, match=r"several checkpoints.*: 'new/model-2', 'old/model-1'$"):
        convert(source, tmp_path / "a")
    assert convert(source, tmp_path / "a", checkpoint="old/model-1").metadata is None
    assert convert(source, tmp_path / "b", checkpoint="new/model-2.index").metadata is not None
    with pytest.raises(ConfigurationError, match="no such checkpoint"):
        convert(source, tmp_path / "c", checkpoint="model-1")


def test_paths_in_archives_lead_nowhere(tmp_path):
    source = tmp_path / "in" / "model.zip"
    put(
        tmp_path,
        {"in/model.zip": zipped(members("../../../outside/model") | {"/etc/x.index.txt": b"", "\x1b[31m": b""})},
    )
    convert(source, tmp_path / "out" / "net")
    assert everything_in(tmp_path) == {
        *("in", "in/model.zip", "out", "out/net", "out/net/model.onnx", "out/net/model.toml")
    }


def lying(archive, size):
    """Say of the first file that it is of another size once unpacked, in both places."""
    real = zipfile.ZipFile(io.BytesIO(archive)).infolist()[0].file_size.to_bytes(4, "little")
    assert archive.count(real) == 2
    return archive.replace(real, size.to_bytes(4, "little"))


def encrypted(archive):
    at = archive.index(b"PK\1\2") + 8
    return archive[:at] + b"\1" + archive[at + 1 :]


@pytest.mark.parametrize(
    ("archive", "error", "reason"),
    [
        (zipped({}), ConfigurationError, "neither"),
        (zipped({"a": b""}), ConfigurationError, "no such checkpoint"),
        (zipped({"model.index": FILES[0]}), ConfigurationError, "but no file that ends in"),
        (zipped(members(), zipfile.ZIP_LZMA), ConfigurationError, "in a way that is not read"),
        (zipped(members(), zipfile.ZIP_BZIP2), ConfigurationError, "in a way that is not read"),
        (encrypted(zipped(members())), ConfigurationError, "encrypted"),
        (lying(zipped(members()), 9), ConfigurationError, "damaged"),
        (lying(zipped(members()), 2**32 - 2), TooLarge, "larger than 256 MiB"),
        (ARCHIVE[:-30], ConfigurationError, "damaged"),
        (ARCHIVE[:200], ConfigurationError, "damaged"),
        (b"\x1f\x8b" + ARCHIVE, ConfigurationError, "neither"),
        (b"", ConfigurationError, "neither"),
    ],
)
def test_archives_that_are_not_read_are_refused_with_the_reason(tmp_path, archive, error, reason):
    (tmp_path / "model.zip").write_bytes(archive)
    with pytest.raises(error, match=reason):
        convert(tmp_path / "model.zip", tmp_path / "out")
    assert everything_in(tmp_path) == {"model.zip"}


def test_a_bomb_does_not_go_off():
    archive = lying(zipped(members(files=(bytes(30_000_001), b""))), 100)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError, match="damaged"):
            find_checkpoint(archive_files(archive))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=100)
@given(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255))
def test_damaged_archives_are_refused_or_read_as_they_were(at, octet):
    damaged = ARCHIVE[:at] + bytes([octet]) + ARCHIVE[at + 1 :]
    try:
        found = find_checkpoint(archive_files(damaged))
    except StampServiceError:
        return
    assert found == FILES


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "model.zip")
    with pytest.raises(ConfigurationError, match=r"^model\.zip is not a file"):
        convert(tmp_path / "model.zip", tmp_path / "out")
    with pytest.raises(ConfigurationError, match=r"^absent cannot be read"):
        convert(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "huge.zip").touch()
    os.truncate(tmp_path / "huge.zip", MAX_FILE_BYTES + 1)
    with pytest.raises(TooLarge, match=r"^huge\.zip is larger"):
        convert(tmp_path / "huge.zip", tmp_path / "out")


def test_a_model_that_is_there_is_replaced_only_if_asked_to(tmp_path):
    net, other = put(tmp_path / "net", members()), put(tmp_path / "other", members(files=OTHER))
    target = tmp_path / "target"
    target.mkdir()
    first = convert(net, target)
    with pytest.raises(ConfigurationError, match="target is there already"):
        convert(other, target)
    assert read_definition(target) == first
    second = convert(other, target, replace=True)
    assert read_definition(target) == second != first
    assert everything_in(target) == {"model.onnx", "model.toml"}
    # What cannot be read replaces nothing.
    with pytest.raises(ConfigurationError):
        convert(tmp_path, target, replace=True, checkpoint="nothing")
    assert read_definition(target) == second
    assert {path.name for path in tmp_path.iterdir()} == {"net", "other", "target"}


def test_other_files_are_left_alone(tmp_path):
    net = put(tmp_path / "net", members())
    home = put(tmp_path / "home", {"model.toml": b"", "letters/first": b"dear"})
    for target in (home, net / "model.index"):
        with pytest.raises(ConfigurationError, match=r"stays as it is|cannot be written"):
            convert(net, target, replace=True)
    assert everything_in(home) == {"model.toml", "letters", "letters/first"}


@pytest.mark.parametrize(
    ("option", "value"), [("name", "a/b"), ("name", ""), ("version", ""), ("version", "1" * 33)]
)
def test_names_are_checked(tmp_path, option, value):
    with pytest.raises(ConfigurationError, match=f"{option}: choose one with --{option}"):
        convert(put(tmp_path / "net", members()), tmp_path / "out", **{option: value})
    assert not (tmp_path / "out").exists()


def test_a_model_directory_is_readable_by_others(tmp_path):
    before = os.umask(0o022)
    try:
        convert(put(tmp_path / "net", members()), tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755


def test_the_command_says_what_it_made(tmp_path):
    put(tmp_path / "net", members())
    arguments = ["classifier", "convert", str(tmp_path / "net"), "--to", str(tmp_path / "out"), "--version", "2"]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.output) == (
        0,
        "out 2: AGN, SN, VS, asteroid, bogus\nALeRCE's stamp classifier of ZTF alerts: 23 features, 3x3 kernels\n",
    )
    again = CliRunner().invoke(main, arguments)
    assert (again.exit_code, again.output) == (
        2,
        "Error: out is there already, and is replaced only with --replace\n",
    )


def test_a_model_that_is_being_written_is_not_offered(tmp_path):
    convert(put(tmp_path / "net", members()), tmp_path / "models" / "mine")
    assert Models(tmp_path / "models", Running()).names() == ("demo", "mine")
    # What is left where the machine went down between two steps.
    (tmp_path / "models" / "mine").rename(tmp_path / "models" / ".mine.0123456789abcdef.old")
    assert Models(tmp_path / "models", Running()).names() == ("demo",)
