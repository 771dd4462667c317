"""Apache Spark, which writes the lakes that exist: in a process of its own, which ends when its input does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.services import require_service

# One command per line: what to read, where to write it, with which options.
SESSION = """
import json, sys
from pyspark.sql import SparkSession
work = sys.argv[1]
spark = (
    SparkSession.builder.master("local[1]").appName("lakes")
    .config("spark.driver.memory", sys.argv[2])
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    .config("spark.local.dir", work).config("spark.sql.warehouse.dir", work + "/warehouse")
    .config(
        "spark.driver.extraJavaOptions",
        "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir=" + work,
    )
    .config("spark.sql.session.timeZone", "UTC")
    # Compiling a plan of 400 columns takes longer than running it once.
    .config("spark.sql.codegen.wholeStage", "false").config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    # Rows of 150 kB, and a heap that is small.
    .config("spark.sql.parquet.columnarReaderBatchSize", "64")
    .getOrCreate()
)
print("ready", flush=True)
for line in sys.stdin:
    source, target, options = json.loads(line)
    spark.read.parquet(source).coalesce(1).write.options(**options).parquet(target)
    print("written", flush=True)
spark.stop()
"""


@dataclass(frozen=True)
class Spark:
    """A running Spark."""

    process: subprocess.Popen[str]

    def rewrite(self, source: Path, target: Path, options: Mapping[str, object]) -> Path:
        """Read a Parquet file and write it as one file of a new folder.

        Parameters
        ----------
        source : Path
            The file.
        target : Path
            The folder.
        options : mapping of str to object
            Options of Spark's writer.

        Returns
        -------
        Path
            The file that Spark made.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([str(source), str(target), dict(options)]), file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "written\n"
        (path,) = target.glob("*.parquet")
        return path


@contextmanager
def running_spark(work: Path, memory: str = "512m") -> Iterator[Spark]:
    """Run Spark on this machine alone, with an empty folder for whatever it leaves lying about."""
    if shutil.which("java") is None:
        require_service("Spark needs Java")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK"))}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "TMPDIR": str(work), "PYSPARK_PYTHON": sys.executable}
    with (work / "spark.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SESSION, str(work), memory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=work,
            env=environment,
        )
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                require_service(f"Spark did not start: {(work / 'spark.log').read_text()[-500:]}")
            yield Spark(process)
        finally:
            # The end of its input ends the session, and the end of the session the Java that it started.
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
