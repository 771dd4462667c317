"""Paths inside a lake: which may come from outside, and which are Parquet files."""

import re

from stamp_service.errors import RequestError

# S3 takes keys of 1024 bytes, and this one stands below a prefix.
_LONGEST_BYTES = 1000
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


def check_path(path: str) -> str:
    """Refuse a path from outside that could name anything but a file below a lake's root.

    Parameters
    ----------
    path : str
        A path as a client sent it.

    Returns
    -------
    str
        The same path.

    Raises
    ------
    RequestError
        If it is empty, too long or absolute, has a scheme, empty parts, `.` or `..`, backslashes or control
        characters.
    """
    if not 0 < len(path.encode(errors="replace")) <= _LONGEST_BYTES or _UNPRINTABLE.search(path):
        raise RequestError("hdfsPath is no path of a file", "hdfsPath")
    if path.startswith("/") or _SCHEME.match(path):
        raise RequestError("hdfsPath must be relative to the lake, without a scheme", "hdfsPath")
    if not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise RequestError("hdfsPath may not have empty parts, '.' or '..'", "hdfsPath")
    return path


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is to be left alone.

    Parameters
    ----------
    name : str
        Its name, without the folders above.

    Returns
    -------
    bool
        True for names with `_` or `.` in front, which is how Hadoop marks what is not finished, and for names
        that are no valid text.
    """
    return name.startswith(("_", ".")) or _UNPRINTABLE.search(name) is not None


def is_parquet(path: str) -> bool:
    """Tell whether a path below the root is one of the lake's data files.

    Parameters
    ----------
    path : str
        The path, relative to the root.

    Returns
    -------
    bool
        True if it ends in `.parquet` and no part of it is hidden.
    """
    return path.endswith(".parquet") and not any(map(is_hidden, path.split("/")))


def temporary_name(path: str, token: str) -> str:
    """Name a hidden file in the same folder, to be written before it gets its real name.

    Parameters
    ----------
    path : str
        The path that it will have.
    token : str
        What makes it unique.

    Returns
    -------
    str
        The hidden path.
    """
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}.{token}.part"
