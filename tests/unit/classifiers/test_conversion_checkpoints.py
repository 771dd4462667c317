"""TensorFlow's checkpoints: what is read, and that nothing damaged is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.classifiers.conversion.checkpoints import read_checkpoint
from stamp_service.classifiers.conversion.crc32c import crc32c
from stamp_service.classifiers.conversion.tables import read_table
from stamp_service.errors import ConfigurationError
from tests.unit.classifiers import checkpoint_files
from tests.unit.classifiers.checkpoint_files import (
    STRING,
    Checkpoint,
    message,
    shape_message,
    small_network,
    table,
)

TENSORS = small_network(features=23) | {"step": np.int64(7), "rate": np.array([0.5, 0.25])}
INDEX, DATA = Checkpoint(TENSORS).files()


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, appendix B.4, and the check value of the CRC catalogues
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc_is_castagnolis(data, crc):
    assert crc32c(data) == crc == checkpoint_files.crc32c(data)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 255, 2**17 - 1, 2**17, 2**17 + 1, 300_000])
def test_crc_of_any_length(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == checkpoint_files.crc32c(data)


@pytest.mark.parametrize("of_a_block", [1, 3, 100])
def test_tensors_are_read(of_a_block):
    read = read_checkpoint(*Checkpoint(TENSORS, of_a_block=of_a_block).files())
    assert set(read) == set(TENSORS)
    for name, array in TENSORS.items():
        assert read[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(read[name], array)


def test_real_checkpoints_are_read(shared_data):
    folder = shared_data / "models" / "best_model_so_far" / "checkpoints"
    read = read_checkpoint(*((folder / f"model.{end}").read_bytes() for end in ("index", "data-00000-of-00001")))
    assert len(read) == 65
    assert read["network/dense_2_12/dense_2_12/kernel"].shape == (90, 64)


@settings(max_examples=80)
@given(st.integers(0, len(INDEX) - 1), st.integers(0, 7))
def test_a_flipped_bit_in_the_index_is_noticed(at, bit):
    with pytest.raises(ConfigurationError):
        read_checkpoint(flipped(INDEX, at, bit), DATA)


def test_every_flipped_bit_of_the_footer_is_noticed():
    for at in range(len(INDEX) - 48, len(INDEX)):
        for bit in range(8):
            with pytest.raises(ConfigurationError):
                read_table(flipped(INDEX, at, bit))


@settings(max_examples=40)
@given(st.integers(0, len(DATA) - 1), st.integers(0, 7))
def test_a_flipped_bit_in_the_data_is_noticed(at, bit):
    with pytest.raises(ConfigurationError, match="checksum"):
        read_checkpoint(INDEX, flipped(DATA, at, bit))


@settings(max_examples=60)
@given(st.integers(0, len(INDEX) - 1), st.integers(0, len(DATA) - 1))
def test_truncated_files_are_refused(index_size, data_size):
    with pytest.raises(ConfigurationError):
        read_checkpoint(INDEX[:index_size], DATA)
    with pytest.raises(ConfigurationError, match="truncated"):
        read_checkpoint(INDEX, DATA[:data_size])


@settings(max_examples=60)
@given(st.binary(max_size=200), st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=40)), max_size=4))
def test_made_up_files_are_refused(data, entries):
    # With right checksums, so that what is inside is looked at.
    made_up = table(
        [(b"", message((1, 1))), *((b"x" + key, value) for key, value in sorted(dict(entries).items()))]
    )
    for index in (data, made_up):
        with pytest.raises(ConfigurationError):
            read_checkpoint(index, data)


def flipped(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def spoilt(name="step", header=None, **fields):
    """A checkpoint of one tensor with something about it changed."""
    return Checkpoint(
        {name: np.arange(4, dtype="i8")},
        header=header or {1: 1},
        spoilt={name: {int(number[1:]): value for number, value in fields.items()}},
    ).files()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (spoilt(header={1: 2}), "not of one data file"),
        (spoilt(header={3: b""}), "not of one data file"),
        (spoilt(header={1: 1, 2: 1}), "big-endian"),
        (spoilt(_3=1), "several data files"),
        (spoilt(_7=b""), "slices"),
        (spoilt(_1=STRING), "step is not of numbers"),
        (spoilt(_1=99), "step is not of numbers"),
        (spoilt(_2=shape_message([5])), "not as large as its shape"),
        (spoilt(_2=shape_message([2**62, 2**62])), "not as large as its shape"),
        (spoilt(_2=shape_message([2**64 - 1])), "not as large as its shape"),
        (spoilt(_2=shape_message([0, 2**63]), _5=0), "not a tensor's"),
        (spoilt(_2=shape_message([1] * 100)), "not a tensor's"),
        (spoilt(_2=7), "of another kind"),
        (spoilt(_4=2**63), "do not follow each other"),
        (spoilt(_5=2**63), "truncated"),
        (spoilt(_6=None), "not a tensor's"),
        (spoilt(_6=(1,)), "checksum"),
        (Checkpoint({}).files(), "empty"),
        (Checkpoint({"a": np.float32(1)}, kind=1).files(), "compressed"),
        ((INDEX, DATA + b"\0"), "another checkpoint"),
        ((b"PK\3\4" + INDEX[4:-8] + b"not it!!", DATA), "is not one"),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(files, reason):
    with pytest.raises(ConfigurationError, match=reason):
        read_checkpoint(*files)


def test_overlapping_tensors_are_refused():
    # Checksums of a thousand tensors in the same megabytes would take long.
    tensors = {"a": np.zeros(4, "f4"), "b": np.zeros(4, "f4")}
    with pytest.raises(ConfigurationError, match="do not follow"):
        read_checkpoint(*Checkpoint(tensors, spoilt={"b": {4: 8}}).files())


@pytest.mark.parametrize(
    "body",
    [
        b"\5\1\0k",  # shares five bytes with a key that has none
        b"\0\x7f\0k",  # a key longer than the block
        b"\0\1\x7fk",  # a value longer than the block
        b"\x80" * 12,  # a number without end
        b"\x80\0\1\0k",  # a number longer than it need be
    ],
)
def test_damaged_entries_are_refused(body):
    damaged = body + bytes.fromhex("00000000 01000000 00")
    damaged += checkpoint_files.masked(damaged).to_bytes(4, "little")
    with pytest.raises(ConfigurationError, match="damaged"):
        read_table(checkpoint_files.assemble([(b"", damaged)]))
