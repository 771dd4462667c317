"""A packet's bytes to a PNG at the default size: this project against the straightforward way, on real alerts.

Straightforward: `fastavro.reader`, `gzip`, `astropy.io.fits`, `numpy` medians, and matplotlib's `imshow` and
`savefig` of a figure without axes, 378 pixels wide. That both draw the same is checked first: each picture is read
back and compared, to within one grey level.

Of each alert every way and stage is repeated a few times and the median counts, then the median of the alerts: the
machine may be shared. Repeating one alert flatters both ways alike, since caches and branch predictor know it;
so `in turn` is the time of ours when alerts and the straightforward way take turns. One thread.

    python -m benchmarks.images [--repeats 25] [--data ../shared/data]
"""

import argparse
import gzip
import io
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import fastavro
import matplotlib as mpl
import numpy as np
from astropy.io import fits
from PIL import Image

from stamp_service.images import Stamp, decode_stamp, default_style, draw_png, gunzip_cutout
from stamp_service.images.drawing import draw_levels, fit_scale
from stamp_service.images.png import encode_palette_png
from stamp_service.packets import open_alert, recognise
from stamp_service.surveys import Kind, Survey, load_surveys

mpl.use("agg")
from matplotlib import pyplot as plt

Way = Callable[[], object]
ROOT = Path(__file__).resolve().parents[1]
KIND: Kind = "science"
GROUPS = ("ztf", "ztf_snappy", "atlas")
LIMIT = 1 << 25
SIZE_PX, DPI = 378, 100


class Case(NamedTuple):
    """A packet and what is needed to ask for its cutout."""

    survey: Survey
    alert_id: str
    packet: bytes
    cutout: bytes


def find_cases(folder: Path, group: str) -> Iterator[Case]:
    """Alerts whose picture is as large by both ways: not those of a chip's edge."""
    surveys = load_surveys()
    for path in sorted((folder / group).glob("*.avro")):
        alert = recognise(surveys, path.read_bytes())
        cutout = alert.cutout(KIND)
        if len(set(decode(cutout).pixels.shape)) == 1:
            yield Case(alert.survey, alert.alert_id, alert.packet.data, cutout)


def decode(cutout: bytes) -> Stamp:
    return decode_stamp(cutout, max_bytes=LIMIT, max_pixels=LIMIT)


def draw_ours(case: Case) -> bytes:
    cutout = open_alert(case.survey, case.alert_id, case.packet).cutout(KIND)
    return draw_png(decode(cutout), case.survey, KIND, default_style(case.survey, KIND), max_pixels=LIMIT)


def stages(case: Case) -> dict[str, Way]:
    """Our way, a stage at a time."""
    style = default_style(case.survey, KIND)
    data = gunzip_cutout(case.cutout, LIMIT)
    stamp = decode(data)
    levels = draw_levels(stamp, case.survey, KIND, style, max_pixels=LIMIT)
    scale = fit_scale(levels.shape, SIZE_PX)
    return {
        "packet": lambda: open_alert(case.survey, case.alert_id, case.packet).cutout(KIND),
        "gunzip": lambda: gunzip_cutout(case.cutout, LIMIT),
        "FITS": lambda: decode(data),
        "levels": lambda: draw_levels(stamp, case.survey, KIND, style, max_pixels=LIMIT),
        "PNG": lambda: encode_palette_png(levels, style.cmap, scale),
    }


def draw_straightforwardly(case: Case) -> bytes:
    record = next(fastavro.reader(io.BytesIO(case.packet)))
    return draw_cutout_straightforwardly(record["cutoutScience"]["stampData"], case.survey.orientation.row0)


def draw_cutout_straightforwardly(cutout: bytes, row0: str) -> bytes:
    data = gzip.decompress(cutout) if cutout[:2] == b"\x1f\x8b" else cutout
    with fits.open(io.BytesIO(data)) as hdus:
        pixels = hdus[0].data.astype(np.float32)
    pixels[np.abs(pixels) > 1e30] = np.nan
    low, high = limits(pixels)
    figure = plt.figure(figsize=(SIZE_PX / DPI, SIZE_PX / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    origin = "upper" if row0 == "top" else "lower"
    axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="nearest", origin=origin)
    file = io.BytesIO()
    figure.savefig(file, format="png", transparent=True)
    plt.close(figure)
    return file.getvalue()


def limits(pixels: np.ndarray) -> tuple[float, float]:
    y, x = pixels.shape[0] // 2, pixels.shape[1] // 2
    low = np.nanmin(pixels) + 0.2 * np.nanmedian(np.abs(pixels - np.nanmedian(pixels)))
    high = np.nanmax(pixels[y - 2 : y + 2, x - 2 : x + 2])
    return (low, high) if low < high else (np.nanmin(pixels), np.nanmax(pixels))


def check_equal(case: Case) -> None:
    """Compare the pictures, pixel of the stamp by pixel of the stamp, at the middle of its square."""
    n = decode(case.cutout).pixels.shape[0]
    stamps = []
    for png in (draw_ours(case), draw_straightforwardly(case)):
        picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int)
        middles = ((np.arange(n) + 0.5) * picture.shape[0] / n).astype(int)
        stamps.append(picture[np.ix_(middles, middles)])
    ours, theirs = stamps
    seen = theirs[..., 3] > 0
    assert (seen == (ours[..., 3] > 0)).all()
    assert np.abs(ours[seen] - theirs[seen]).max() <= 1


def time_us(way: Way, repeats: int) -> float:
    """Median of the repeats, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        way()
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times[1:])


def measure(cases: list[Case], repeats: int) -> dict[str, float]:
    """Medians over the alerts, in µs."""
    times: dict[str, list[float]] = {}
    for case in cases:
        row0 = case.survey.orientation.row0
        ways: dict[str, tuple[Way, int]] = {name: (way, repeats) for name, way in stages(case).items()}
        ways["ours"] = (partial(draw_ours, case), repeats)
        ways["straight"] = (partial(draw_straightforwardly, case), 3)
        ways["straight from cutout"] = (partial(draw_cutout_straightforwardly, case.cutout, row0), 3)
        for name, (way, count) in ways.items():
            times.setdefault(name, []).append(time_us(way, count))
    for case in cases * 2:
        draw_straightforwardly(case)
        start = time.perf_counter()
        draw_ours(case)
        times.setdefault("in turn", []).append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Print a table of medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="astropy")  # of ZTF's SIMPLE card
    parts = ("packet", "gunzip", "FITS", "levels", "PNG", "ours", "in turn", "straight")
    print(f"{'median, µs':12}" + "".join(f"{head:>10}" for head in (*parts, "ratio", "in turn", "from FITS")))
    for group in GROUPS:
        cases = list(find_cases(options.data / "alerts", group))
        for case in cases:
            check_equal(case)
        medians = measure(cases, options.repeats)
        from_cutout = medians["straight from cutout"] / sum(medians[part] for part in parts[1:5])
        ratios = (medians["straight"] / medians["ours"], medians["straight"] / medians["in turn"], from_cutout)
        numbers = "".join(f"{medians[part]:10.1f}" for part in parts)
        print(f"{group:12}{numbers}" + "".join(f"{ratio:9.1f}x" for ratio in ratios))
    print("ratio: straight / ours, packet to PNG; from FITS: straight / ours, the cutout's bytes to PNG.")


if __name__ == "__main__":
    main()
