"""Cutouts in and out of gzip, with a limit on what comes out."""

from isal import igzip_lib, isal_zlib

from stamp_service.errors import PacketCorrupt, TooLarge

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 31  # zlib's way of saying: gzip header and trailer, 32 kB window
# A cutout is one member; a file of thousands of empty ones is an attack on the loop below.
_MAX_MEMBERS = 64


def gzip_cutout(cutout: bytes) -> bytes:
    """Gzip a cutout exactly once.

    Parameters
    ----------
    cutout : bytes
        A FITS file, gzipped or not.

    Returns
    -------
    bytes
        The cutout as it came if it is gzipped, otherwise its gzip: always the same bytes for the same cutout.
    """
    if cutout.startswith(GZIP_MAGIC):
        return cutout
    return bytes(igzip_lib.compress(cutout, igzip_lib.ISAL_DEFAULT_COMPRESSION, igzip_lib.COMP_GZIP))


def gunzip_cutout(cutout: bytes, max_bytes: int) -> bytes:
    """Take a cutout out of its gzip.

    Parameters
    ----------
    cutout : bytes
        A FITS file, gzipped (in one member or several) or not.
    max_bytes : int
        The most bytes that may come out; memory never grows much beyond it.

    Returns
    -------
    bytes
        The FITS file.

    Raises
    ------
    PacketCorrupt
        If the gzip is damaged or cut short.
    TooLarge
        If there are more than `max_bytes`.
    """
    if not cutout.startswith(GZIP_MAGIC):
        if len(cutout) > max_bytes:
            raise TooLarge(f"The cutout has more than {max_bytes} bytes.")
        return cutout
    members: list[bytes] = []
    room = max_bytes
    rest = cutout
    while rest:
        if len(members) == _MAX_MEMBERS:
            raise PacketCorrupt(f"The cutout's gzip has more than {_MAX_MEMBERS} members.")
        member, rest = _gunzip_member(rest, room)
        if len(member) > room:
            raise TooLarge(f"The cutout has more than {max_bytes} bytes once decompressed.")
        room -= len(member)
        members.append(member)
    return members[0] if len(members) == 1 else b"".join(members)


def _gunzip_member(data: bytes, max_bytes: int) -> tuple[bytes, bytes]:
    """Inflate the first member; return it (one byte too long if too long) and what follows it."""
    stream = isal_zlib.decompressobj(_GZIP_WBITS)
    try:
        member: bytes = stream.decompress(data, max_bytes + 1)
    except isal_zlib.error:  # type: ignore[misc]  # its stub declares an instance
        raise PacketCorrupt("The cutout's gzip is damaged.") from None
    if len(member) <= max_bytes and not stream.eof:
        raise PacketCorrupt("The cutout's gzip is cut short.")
    # gzip allows padding with zeros after the last member.
    return member, stream.unused_data.lstrip(b"\0")
