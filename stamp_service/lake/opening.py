"""Opening a lake's file system by its address."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from stamp_service.errors import ConfigurationError
from stamp_service.lake.files import Filesystem
from stamp_service.lake.hdfs import HdfsFiles
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.paths import check_path
from stamp_service.lake.s3 import S3Files
from stamp_service.lake.webhdfs import WebHdfsFiles
from stamp_service.remote.s3_clients import S3Access

__all__ = ["LakeAccess", "check_path", "open_filesystem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeAccess:
    """How lakes are reached that are not on local disk.

    Attributes
    ----------
    s3 : S3Access
        Where S3 is.
    s3_attempts : int
        How often a failing request to S3 is made in all.
    hadoop_conf_dir : pathlib.Path or None
        Folder of Hadoop's `core-site.xml` and `hdfs-site.xml`; None leaves it to Hadoop's own environment.
    hdfs_user : str or None
        Who asks WebHDFS, where it does not use Kerberos; HDFS itself is asked by whom Hadoop's own environment
        names.
    hdfs_timeout_s : float
        Longest wait for an answer from HDFS or WebHDFS.
    """

    s3: S3Access = field(default_factory=S3Access)
    s3_attempts: int = 3
    hadoop_conf_dir: Path | None = None
    hdfs_user: str | None = None
    hdfs_timeout_s: float = 10.0


def open_filesystem(url: str, access: LakeAccess) -> Filesystem:
    """Open the file system that a lake's root is on; nothing is connected yet.

    Parameters
    ----------
    url : str
        A path, `file:///path`, `s3://bucket/prefix`, `hdfs://host[:port]/path`, `hdfs://nameservice/path`, or
        `webhdfs://host:port/path` (`swebhdfs` for HTTPS). As in Hadoop nothing is escaped but in `file://`.
    access : LakeAccess
        How to reach it.

    Returns
    -------
    Filesystem
        The file system.

    Raises
    ------
    ConfigurationError
        If the address is none of these, holds a user's name, or needs a package that is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return LocalFiles(Path(url).expanduser())
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise ConfigurationError("A lake's address may hold no user name or password")
    if ".." in path.split("/"):
        raise ConfigurationError("A lake's address may not hold '..'")
    if scheme == "file" and authority in {"", "localhost"}:
        return LocalFiles(Path("/", unquote(path)))
    if scheme == "s3" and authority:
        return S3Files(authority, path, access.s3, attempts=access.s3_attempts)
    if scheme == "hdfs":
        return HdfsFiles(authority, f"/{path}", access.hadoop_conf_dir, access.hdfs_timeout_s)
    if scheme in {"webhdfs", "swebhdfs"} and authority:
        secure = scheme == "swebhdfs"
        return WebHdfsFiles(authority, f"/{path}", access.hdfs_user, access.hdfs_timeout_s, secure=secure)
    raise ConfigurationError(
        "A lake's address is a path, file:///…, s3://bucket/…, hdfs://… or webhdfs://host:port/…"
    )
