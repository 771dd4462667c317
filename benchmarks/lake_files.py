"""Files of realistic size for `benchmarks.lake`: the real rows of Fink's lakes, many times over, written by Spark.

Spark's own options are used, so a page of cutouts holds a hundred rows, as in Fink's files. What is made stays in
the folder and is used again.

    python -m benchmarks.lake_files --work FOLDER
"""

import argparse
from pathlib import Path

from tests.integration.services.spark import running_spark
from tests.lake_rows import replicate, write_source

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SOURCES = {"ztf": "fink_ztf_datatest.snappy.parquet", "lsst": "fink_lsst_or4_v7.1.snappy.parquet"}
# How often the rows are repeated: some 10, 100 and 1000 MB of ZTF, 100 MB of Rubin.
COPIES = {("ztf", 10): 4, ("ztf", 100): 37, ("ztf", 1000): 370, ("lsst", 100): 33}


def lake_files(work: Path, data: Path = DATA) -> dict[tuple[str, int], Path]:
    """Find the files, and make those that are missing.

    Parameters
    ----------
    work : Path
        Folder that keeps them, below `lake/{survey}`.
    data : Path
        Folder of the real data.

    Returns
    -------
    dict
        Survey and size in MB to file.
    """
    files = {key: work / "lake" / key[0] / f"{key[1]}.snappy.parquet" for key in COPIES}
    missing = [key for key, path in files.items() if not path.exists()]
    if missing:
        (work / "spark").mkdir(parents=True, exist_ok=True)
        with running_spark(work / "spark", memory="4g") as spark:
            for name, size_mb in missing:
                source = work / "spark" / "source.parquet"
                write_source(replicate(data / "lake" / SOURCES[name], COPIES[name, size_mb]), source)
                written = spark.rewrite(source, work / "spark" / f"{name}-{size_mb}", {})
                files[name, size_mb].parent.mkdir(parents=True, exist_ok=True)
                written.replace(files[name, size_mb])
                source.unlink()
    return files


def main() -> None:
    """Make the files and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    for (name, _), path in lake_files(options.work.resolve(), options.data).items():
        print(f"{name:5} {path.stat().st_size / 1e6:8.1f} MB  {path}")


if __name__ == "__main__":
    main()
