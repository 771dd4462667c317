"""Java programs from Maven Central: found in Maven's cache, or fetched from where Maven is configured to look."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.integration.services import require_service

_FETCH_S = 900
_PROJECT = """
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId>
  <artifactId>tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>
  </dependencies>
</project>
"""
_CLASS_PATH = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"


@cache
def class_path(artifact: str) -> str:
    """Name all files that a program needs, as `java -cp` takes them.

    Parameters
    ----------
    artifact : str
        `group:artifact:version`.
    """
    if missing := [name for name in ("java", "mvn") if shutil.which(name) is None]:
        require_service(f"{artifact} needs {' and '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="maven-") as folder:
        project, found = Path(folder, "pom.xml"), Path(folder, "class-path")
        project.write_text(_PROJECT.format(*artifact.split(":")))
        command = ["mvn", "-q", "-B", "-f", str(project), _CLASS_PATH, f"-Dmdep.outputFile={found}"]
        for offline in (["-o"], []):
            try:
                subprocess.run([*command, *offline], capture_output=True, timeout=_FETCH_S, check=True)
                return found.read_text().strip()
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                continue
    return require_service(f"Maven could not fetch {artifact}")
