"""Draws the pictures of the documents from the synthetic alerts: python doc/pictures.py."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from stamp_service.demo import demo_alerts
from stamp_service.images import Stamp, Style, decode_stamp, default_style, draw_png, draw_triptych
from stamp_service.packets import Alert, open_alert
from stamp_service.surveys import Kind, Survey, load_surveys

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).resolve().parent
LIMITS = {"max_bytes": 2**25, "max_pixels": 2**24}
MAX_PIXELS = 2**24
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "interval": [{"interval": name} for name in ("core", "minmax", "percentile", "zscale")],
    "stretch": [
        {"interval": "minmax", "stretch": name} for name in ("linear", "sqrt", "log", "asinh", "sigmoid", "power")
    ],
    "cmap": [{"cmap": name} for name in ("gray", "gray_r", "viridis", "inferno", "cubehelix", "RdBu_r")],
}


def demo_alert(survey: Survey, index: int) -> Alert:
    alert = list(demo_alerts(survey.name))[index]
    return open_alert(survey, alert.alert_id, alert.packet)


def picture(stamp: Stamp, survey: Survey, kind: Kind, style: Style) -> Image.Image:
    png = draw_png(stamp, survey, kind, style, max_pixels=MAX_PIXELS)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def draw_pipeline(stamp: Stamp, survey: Survey) -> None:
    """The pixels, what the interval makes of their values, and the picture."""
    figure, (before, values, after) = plt.subplots(1, 3, figsize=(11, 3.6), width_ratios=(1, 1.2, 1))
    pixels = stamp.pixels
    ny, nx = pixels.shape
    white = pixels[ny // 2 - 2 : ny // 2 + 2, nx // 2 - 2 : nx // 2 + 2].max()
    black = pixels.min() + 0.2 * np.median(np.abs(pixels - np.median(pixels)))
    before.imshow(pixels, cmap="gray", interpolation="nearest")
    before.set_title("pixels, minimum to maximum")
    values.hist(pixels.ravel(), bins=120, color="0.55", log=True)
    values.axvline(black, color="black", label=f"black: {black:.0f}")
    values.axvline(white, color="tab:orange", label=f"white: {white:.0f}, the brightest in the middle")
    values.set(title="interval", xlabel="value", ylabel="pixels")
    values.legend(fontsize=8)
    after.imshow(picture(stamp, survey, "template", default_style(survey, "template")))
    after.set_title("the PNG")
    for axes in (before, after):
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(HERE / "drawing.png", dpi=100)


def draw_options(stamp: Stamp, survey: Survey) -> None:
    """One stamp with each interval, stretch and some colour maps."""
    columns = max(len(variants) for variants in VARIANTS.values())
    figure, rows = plt.subplots(len(VARIANTS), columns, figsize=(1.9 * columns, 2.1 * len(VARIANTS)))
    for row, (option, variants) in zip(rows, VARIANTS.items(), strict=True):
        for axes in row:
            axes.axis("off")
        for axes, variant in zip(row, variants, strict=False):
            style = replace(default_style(survey, "science"), size=189, **variant)
            axes.imshow(picture(stamp, survey, "science", style), interpolation="nearest")
            axes.set_title(f"{option}={variant[option]}", fontsize=9, family="monospace")
    figure.tight_layout()
    figure.savefig(HERE / "options.png", dpi=100)


def main() -> None:
    survey = load_surveys()["ztf"]
    alert = demo_alert(survey, 2)
    stamps = {kind: decode_stamp(cutout, **LIMITS) for kind, cutout in alert.cutouts().items()}
    style = default_style(survey, "science")
    (HERE / "stamp.png").write_bytes(draw_png(stamps["science"], survey, "science", style, max_pixels=MAX_PIXELS))
    title = [f"ZTF {alert.alert_id}", f"{alert.object_id}   synthetic"]
    (HERE / "triptych.png").write_bytes(draw_triptych(stamps, survey, title=title, max_pixels=MAX_PIXELS))
    draw_pipeline(stamps["template"], survey)
    draw_options(stamps["science"], survey)


if __name__ == "__main__":
    main()
