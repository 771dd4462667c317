"""Where a network's files are: on their own, in a folder, or in a zip archive. Nothing is unpacked to the disk."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath

from stamp_service.errors import ConfigurationError, TooLarge

# No classifier of stamps comes near; bounds what a hostile file can make us hold.
MAX_FILE_BYTES = 256 * 2**20
_INDEX, _DATA = ".index", ".data-00000-of-00001"
# How many folders deep a checkpoint is looked for.
_DEPTH = 4
# What can be unpacked piece by piece, so that a bomb is noticed before it has gone off.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_ZIP_FAULTS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, OverflowError,
    RuntimeError, ValueError,
)  # fmt: skip
_MOST_NAMED = 4

# What reads each file that a place has, by its path there.
Files = Mapping[str, Callable[[], bytes]]


def read_file(path: Path) -> bytes:
    """Read a file that somebody named.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    ConfigurationError
        If it cannot be read.
    TooLarge
        If it is larger than any network.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(f"{path.name} is not a file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(path.name)
    return data


def folder_files(folder: Path) -> Files:
    """List the checkpoints' files in a folder and those in it, some levels deep.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.

    Returns
    -------
    mapping of str to callable
        What reads each file, by its path in the folder.
    """
    found = [
        path
        for depth in range(_DEPTH)
        for end in (_INDEX, _DATA)
        for path in folder.glob("*/" * depth + "*" + end)
    ]
    return {path.relative_to(folder).as_posix(): partial(read_file, path) for path in found}


def archive_files(data: bytes) -> Files:
    """List the checkpoints' files in a zip archive.

    Parameters
    ----------
    data : bytes
        The archive.

    Returns
    -------
    mapping of str to callable
        What reads each file, by its path in the archive; that path is a name, and leads nowhere on the disk.

    Raises
    ------
    ConfigurationError
        If it is not a zip archive, or its table of contents is damaged.
    """
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except _ZIP_FAULTS:
        raise ConfigurationError("The zip archive is damaged or truncated") from None
    members = [member for member in archive.infolist() if member.filename.endswith((_INDEX, _DATA))]
    return {member.filename: partial(_read_member, archive, member) for member in members}


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise ConfigurationError("The zip archive is encrypted")
    if member.compress_type not in _METHODS:
        raise ConfigurationError("The zip archive is compressed in a way that is not read")
    if member.file_size > MAX_FILE_BYTES:
        raise _too_large("A file in the zip archive")
    try:
        with archive.open(member) as file:
            # Without a number, all is unpacked before it is compared with the size that the archive states.
            return file.read(member.file_size + 1)
    except _ZIP_FAULTS:
        raise ConfigurationError("The zip archive is damaged or truncated") from None


def find_checkpoint(files: Files, wanted: str | None = None) -> tuple[bytes, bytes]:
    """Read the files of the only checkpoint of a place, or of the one that is wanted.

    Parameters
    ----------
    files : mapping of str to callable
        What reads each file, by its path.
    wanted : str, optional
        The checkpoint's path, without the ends of its files' names.

    Returns
    -------
    tuple of bytes
        Its index and its data.

    Raises
    ------
    ConfigurationError
        If there is none, or several and none is wanted, or it cannot be read.
    TooLarge
        If it is larger than any network.
    """
    indexes = sorted(name.removesuffix(_INDEX) for name in files if name.endswith(_INDEX))
    # macOS adds files of its own to archives, named after those that they are about.
    indexes = [name for name in indexes if not PurePosixPath(name).name.startswith("._")]
    if wanted is not None:
        indexes = [name for name in indexes if name == wanted.removesuffix(_INDEX)]
    if not indexes:
        raise ConfigurationError("There is no such checkpoint: no file named as one's index is")
    if len(indexes) > 1:
        names = ", ".join(map(repr, indexes[:_MOST_NAMED])) + ", …" * (len(indexes) > _MOST_NAMED)
        raise ConfigurationError(f"There are several checkpoints, and one has to be named: {names}")
    (name,) = indexes
    if name + _DATA not in files:
        raise ConfigurationError(f"The checkpoint has an index, but no file that ends in {_DATA}")
    return files[name + _INDEX](), files[name + _DATA]()


def _too_large(what: str) -> TooLarge:
    return TooLarge(f"{what} is larger than {MAX_FILE_BYTES // 2**20} MiB: that is no classifier of stamps")
