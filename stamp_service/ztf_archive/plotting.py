"""Pictures of alerts for notebooks and papers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stamp_service.errors import ConfigurationError, CutoutAbsent
from stamp_service.images import decode_stamp
from stamp_service.surveys import Kind, Survey, load_surveys

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# ZTF's cutouts carry no WCS. 1.01 arcsec per pixel: Bellm et al. 2019, PASP 131, 018002.
_ARCSEC_PER_PX = 1.01
_BAR_ARCSEC = 10
_NO_DATA = "#c8d2e0"
# Where the stretch turns from linear to logarithmic, as a fraction of the range.
_ASINH = 0.1
_LARGEST_VALUE = 1e30
# A cutout has 16 kB and 63 x 63 pixels.
_MAX_BYTES = 32 * 1024 * 1024
_MAX_PIXELS = 4096 * 4096


def plot_stamps(alert: Mapping[str, Any]) -> "Figure":
    """Plot the three cutouts of a ZTF alert side by side.

    Science and template are drawn from their 0.5th to their 99.7th percentile with an asinh stretch, each in its
    own limits; the difference linearly and symmetrically, so that zero is mid-grey. Pixels without data are
    hatched. Row 0 is at the top, as ZTF's own pages show them.

    Parameters
    ----------
    alert : mapping
        The decoded alert with its cutouts, as `get_alert_data` and `iter_alerts` give it.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, known to pyplot: `matplotlib.pyplot.close` it where many are made.

    Raises
    ------
    ConfigurationError
        If matplotlib is not installed.
    CutoutAbsent
        If the alert has no cutout at all.
    PacketCorrupt
        If a cutout cannot be decoded.
    """
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra, which takes a second to import
    except ImportError:
        raise ConfigurationError("plotting needs matplotlib: install stamp-service[plot]") from None
    survey = load_surveys()["ztf"]
    stamps = {kind: _pixels(alert, survey, kind) for kind in survey.kinds}
    if all(pixels is None for pixels in stamps.values()):
        raise CutoutAbsent("the alert has no cutouts")
    figure, axes = plt.subplots(1, len(stamps), figsize=(3.2 * len(stamps), 3.6), layout="constrained")
    figure.suptitle(_title(alert, survey))
    for (kind, pixels), panel in zip(stamps.items(), axes, strict=True):
        panel.set_title(kind.capitalize())
        panel.set_xticks([])
        panel.set_yticks([])
        if pixels is None:
            panel.text(0.5, 0.5, "not published", ha="center", va="center", transform=panel.transAxes)
        else:
            _draw(panel, pixels, kind)
            _add_scale_bar(panel, pixels.shape[1])
    return figure


def _find(alert: Mapping[str, Any], paths: tuple[str, ...]) -> Any:  # noqa: ANN401 - whatever stands there
    """Read the first of some dotted paths that has a value."""
    for path in paths:
        value: Any = alert
        for field in path.split("."):
            value = value.get(field) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def _pixels(alert: Mapping[str, Any], survey: Survey, kind: Kind) -> NDArray[np.float32] | None:
    """Decode one cutout, shape (ny, nx), NaN where there are no data."""
    cutout = _find(alert, survey.cutouts[kind].fields)
    if not cutout:
        return None
    pixels = decode_stamp(cutout, max_bytes=_MAX_BYTES, max_pixels=_MAX_PIXELS).pixels
    return np.where(np.abs(pixels) <= _LARGEST_VALUE, pixels, np.float32(np.nan))


def _title(alert: Mapping[str, Any], survey: Survey) -> str:
    names = [_find(alert, identifier.fields) for identifier in (survey.object_id, survey.alert_id)]
    band = survey.band.names.get(str(_find(alert, survey.band.fields)))
    magnitude = _find(alert, survey.photometry.magnitude)
    parts = [str(name) for name in names if name is not None]
    parts += [f"{band} = {magnitude:.2f} mag"] if band and magnitude is not None else []
    return "   ".join(parts)


def _draw(panel: "Axes", pixels: NDArray[np.float32], kind: Kind) -> None:
    from matplotlib.colors import FuncNorm, Normalize  # noqa: PLC0415 - an extra

    low, high = _limits(pixels, symmetric=kind == "difference")
    knee = _ASINH * (high - low)
    norm = (
        Normalize(low, high)
        if kind == "difference"
        else FuncNorm(
            (lambda x: np.arcsinh((x - low) / knee), lambda y: low + knee * np.sinh(y)), vmin=low, vmax=high
        )
    )
    panel.set_facecolor(_NO_DATA)
    panel.patch.set_hatch("////")
    panel.imshow(np.ma.masked_invalid(pixels), cmap="gray", norm=norm, origin="upper", interpolation="nearest")


def _limits(pixels: NDArray[np.float32], *, symmetric: bool) -> tuple[float, float]:
    values = pixels[np.isfinite(pixels)]
    if values.size == 0:
        return 0.0, 1.0
    if symmetric:
        high = float(np.percentile(np.abs(values), 99.7)) or 1.0
        return -high, high
    low, high = np.percentile(values, (0.5, 99.7)).tolist()
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _add_scale_bar(panel: "Axes", width_px: int) -> None:
    """Mark 10 arcsec in the lower left corner, dark on light so that it shows on anything."""
    from matplotlib import patheffects  # noqa: PLC0415 - an extra

    outline = [patheffects.withStroke(linewidth=3.5, foreground="black")]
    start, length = 0.06, _BAR_ARCSEC / _ARCSEC_PER_PX / width_px
    panel.plot(
        [start, start + length], [0.06, 0.06], color="white", lw=2, transform=panel.transAxes, path_effects=outline
    )
    panel.text(
        start + length / 2, 0.085, f'{_BAR_ARCSEC}"', color="white", ha="center", va="bottom", fontsize=9,
        transform=panel.transAxes, path_effects=outline,
    )  # fmt: skip
