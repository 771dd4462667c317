"""The tar reader against `tarfile`, and against archives that mean harm."""

import gzip
import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stamp_service.errors import NotFound, PacketCorrupt
from stamp_service.ztf_archive.nights import iter_night
from stamp_service.ztf_archive.tar_stream import read_members

LIMIT = 4096


def pack(*members: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.PAX_FORMAT, **options) -> bytes:
    """Write an archive with `tarfile`; a bare TarInfo has no data."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, **options) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file.getvalue()


def special(name: str, kind: bytes, **fields) -> tarfile.TarInfo:
    """Describe a member without data, of any kind."""
    member = tarfile.TarInfo(name)
    member.type = kind
    given = {"linkname": "", "devmajor": 0, "devminor": 0, "pax_headers": {}} | fields
    member.linkname, member.pax_headers = given["linkname"], given["pax_headers"]
    member.devmajor, member.devminor = given["devmajor"], given["devminor"]
    return member


def header(name: bytes, kind: bytes = b"0", size: bytes = b"00000000000") -> bytes:
    """Write one header by hand, with the right checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def read(archive: bytes, limit: int = LIMIT):
    return [(member.name, member.kind, data) for member, data in read_members(io.BytesIO(archive), limit)]


def night(archive: bytes, max_packet_bytes: int = LIMIT):
    """Read an archive as a night: packets, and what was passed over."""
    refused: list[tuple[str, str]] = []
    file = io.BytesIO(archive)
    packets = list(iter_night(file, max_packet_bytes=max_packet_bytes, refuse=lambda *why: refused.append(why)))
    return packets, refused


names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FF), min_size=1, max_size=240).filter(
    lambda name: not name.endswith("/")
)


@given(
    st.lists(st.tuples(names, st.binary(max_size=1500)), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
@settings(max_examples=60, deadline=None)
def test_it_reads_what_tarfile_writes(members, form):
    archive = pack(*members, form=form)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        expected = [(member.name, member.type, tar.extractfile(member).read()) for member in tar]
    assert read(archive) == expected
    assert [data for _, data in members] == [data for _, _, data in expected]


def test_ustar_names_are_put_together():
    name = "a" * 90 + "/" + "b" * 90 + ".avro"
    assert read(pack((name, b"x"), form=tarfile.USTAR_FORMAT)) == [(name, b"0", b"x")]


def test_a_binary_size_is_read():
    size = b"\x80" + (5).to_bytes(11, "big")
    archive = header(b"a", size=size) + b"hello".ljust(512, b"\0") + bytes(1024)
    assert read(archive) == [("a", b"0", b"hello")]


@given(st.binary(max_size=2000), st.integers(0, 3000), st.binary(min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_damage_is_either_seen_or_harmless(data, position, junk):
    archive = bytearray(pack(("1.avro", data), ("2.avro", b"two"), form=tarfile.PAX_FORMAT))
    archive[position : position + len(junk)] = junk
    try:
        found = read(bytes(archive))
    except PacketCorrupt:
        return
    assert all(data is None or len(data) <= LIMIT for _, _, data in found)


@pytest.mark.parametrize("keep", [0, 100, 512, 700, 1024, 1536 + 511])
def test_an_archive_that_ends_early_is_damaged(keep):
    archive = pack(("1.avro", b"one" * 200), ("2.avro", b"two"), form=tarfile.GNU_FORMAT)
    with pytest.raises(PacketCorrupt, match="ends early"):
        read(archive[:keep])


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (special("l.avro", tarfile.SYMTYPE, linkname="/etc/passwd"), "not a plain file"),
        (special("h.avro", tarfile.LNKTYPE, linkname="1.avro"), "not a plain file"),
        (special("c.avro", tarfile.CHRTYPE, devmajor=1, devminor=3), "not a plain file"),
        (special("b.avro", tarfile.BLKTYPE), "not a plain file"),
        (special("p.avro", tarfile.FIFOTYPE), "not a plain file"),
        (special("s.avro", tarfile.REGTYPE, pax_headers={"GNU.sparse.major": "1"}), "not a plain file"),
        (special("v.avro", b"V"), "not a plain file"),
        (("/etc/1.avro", b"x"), "leads out of the archive"),
        (("a/../../1.avro", b"x"), "leads out of the archive"),
        (("README", b"x"), "not named like a packet"),
        (("big.avro", bytes(LIMIT + 1)), "larger than 4096 bytes"),
    ],
)
def test_hostile_members_are_passed_over_with_a_reason(member, reason):
    packets, refused = night(pack(("1.avro", b"one"), member, ("2.avro", b"two")))
    assert packets == [(b"one", "1.avro"), (b"two", "2.avro")]
    assert len(refused) == 1
    assert refused[0][1].endswith(reason)


def test_names_cannot_steer_a_terminal():
    packets, refused = night(pack(("\x1b[2J\udcffé.avro", b"one"), ("\x1b]0;x\x07", b"x")))
    assert packets == [(b"one", "?[2J?é.avro")]
    assert refused == [("?]0;x?", "it is not named like a packet")]


def test_an_old_sparse_file_is_passed_over_with_its_maps():
    sparse = bytearray(header(b"s.avro", b"S", b"00000001000"))
    sparse[482] = 1
    sparse[148:156] = b" " * 8
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    more = bytearray(512)
    more[504] = 1
    archive = bytes(sparse) + bytes(more) + bytes(512) + b"d" * 512 + pack(("1.avro", b"one"))
    packets, refused = night(archive)
    assert packets == [(b"one", "1.avro")]
    assert [name for name, _ in refused] == ["s.avro"]


def test_folders_are_nothing_to_speak_of():
    archive = pack(special("20180626", tarfile.DIRTYPE), ("20180626/1.avro", b"one"))
    assert night(archive) == ([(b"one", "20180626/1.avro")], [])


@pytest.mark.parametrize(
    "archive",
    [
        header(b"x", b"x", b"77777777777") + bytes(2048),
        header(b"x", b"L", b"00010000000") + bytes(2048),
        header(b"x", b"x", b"00000000012") + b"9999999 a=b\n".ljust(512, b"\0") + bytes(1024),
        header(b"x", b"x", b"00000000012") + b"-1 size=1\n".ljust(512, b"\0") + bytes(1024),
        header(b"x", b"x", b"00000000014") + b"12 size=-1\n\0".ljust(512, b"\0") + bytes(1024),
        header(b"x", size=b"-0000000001") + bytes(1024),
        header(b"x", size=b"\xff" * 12) + bytes(1024),
        header(b"x", b"g", b"00000000000") * 9 + bytes(1024),
        b"\1" * 512 + bytes(1024),
    ],
    ids=["huge pax", "huge name", "pax length", "pax sign", "pax size", "sign", "negative", "chain", "checksum"],
)
def test_hostile_headers_are_damage(archive):
    with pytest.raises(PacketCorrupt):
        read(archive)


def test_a_bomb_takes_no_memory():
    # 128 MB of zeros in one member, and a gigabyte claimed by an extended header.
    bomb = gzip.compress(header(b"b.avro", size=b"01000000000") + bytes(2**27) + bytes(1024), 1)
    tracemalloc.start()
    assert night(bomb)[0] == []
    with pytest.raises(PacketCorrupt):
        night(gzip.compress(header(b"x", b"x", b"10000000000") + bytes(2**20), 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_nothing_goes_on_for_ever_after_the_end():
    with pytest.raises(PacketCorrupt, match="goes on after its end"):
        night(gzip.compress(bytes(1024) + bytes(65 * 2**20), 1))


def test_gzip_that_ends_early_or_is_damaged_is_told_apart():
    whole = gzip.compress(pack(*((f"{number}.avro", bytes(range(256)) * 4) for number in range(50))))
    assert len(night(whole)[0]) == 50
    with pytest.raises(PacketCorrupt, match="ends early"):
        night(whole[:-10])
    with pytest.raises(PacketCorrupt, match="damaged"):
        night(whole[:-8] + b"\0\0\0\0" + whole[-4:])


def test_a_missing_night_is_named_without_its_folder(tmp_path):
    with pytest.raises(NotFound) as caught:
        next(iter_night(tmp_path / "ztf_public_20180626.tar.gz"))
    assert str(caught.value) == "there is no night ztf_public_20180626.tar.gz"


def test_memory_does_not_grow_with_the_night(tmp_path):
    # What `tarfile` would remember of so many members is 3 MB more.
    path = tmp_path / "night.tar.gz"
    path.write_bytes(gzip.compress(pack(*((f"{number}.avro", b"packet") for number in range(8_000))), 1))
    tracemalloc.start()
    count = sum(1 for _ in iter_night(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 2.5 * 2**20
