"""Opening a lake's file system by its address."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stamp_service.errors import ConfigurationError
from stamp_service.lake.files import Filesystem
from stamp_service.lake.local import LocalFiles
from stamp_service.lake.paths import check_path
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
        Who asks an HDFS without Kerberos; None is the user of this process.
    hdfs_timeout_s : float
        Longest wait for an answer from HDFS.
    """

    s3: S3Access = field(default_factory=S3Access)
    s3_attempts: int = 3
    hadoop_conf_dir: Path | None = None
    hdfs_user: str | None = None
    hdfs_timeout_s: float = 10.0


def open_filesystem(url: str, access: LakeAccess) -> Filesystem:  # noqa: ARG001 - local files need none
    """Open the file system that a lake's root is on; nothing is connected yet.

    Parameters
    ----------
    url : str
        A path, `file://`, `s3://bucket/prefix`, `hdfs://host[:port]/path` or `hdfs://nameservice/path`, or
        `webhdfs://host:port/path`.
    access : LakeAccess
        How to reach it.

    Returns
    -------
    Filesystem
        The file system.

    Raises
    ------
    ConfigurationError
        If the address is none of these, or a package is missing that it needs.
    """
    if "://" not in url:
        return LocalFiles(Path(url).expanduser())
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return LocalFiles(Path(unquote(parts.path)))
    raise ConfigurationError(
        f"A lake's address is a path, file://, s3://, hdfs:// or webhdfs://, not {parts.scheme}://"
    )
