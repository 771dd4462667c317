"""The figure of three cutouts, judged by what is in it."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from stamp_service.errors import CutoutAbsent
from stamp_service.images import decode_stamp
from stamp_service.packets import Packet
from stamp_service.ztf_archive import plot_stamps

mpl.use("Agg")


@pytest.fixture
def alert(shared_data):
    return Packet.parse((shared_data / "alerts/ztf/820128985515010010.avro").read_bytes()).record()


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_each_panel_shows_its_own_cutout(alert):
    figure = plot_stamps(alert)
    assert [panel.get_title() for panel in figure.axes] == ["Science", "Template", "Difference"]
    for panel, field in zip(figure.axes, ("cutoutScience", "cutoutTemplate", "cutoutDifference"), strict=True):
        (image,) = panel.images
        expected = decode_stamp(alert[field]["stampData"], max_bytes=2**25, max_pixels=2**24).pixels
        valid = np.abs(expected) < 1e30
        assert np.array_equal(np.ma.filled(image.get_array(), np.nan)[valid], expected[valid])
        assert panel.yaxis_inverted()
        (bar,) = panel.lines
        length_px = np.ptp(bar.get_xdata()) * expected.shape[1]
        assert length_px == pytest.approx(10 / 1.01, rel=1e-6)
        assert [text.get_text() for text in panel.texts] == ['10"']


def test_the_difference_is_symmetric_and_the_others_are_not(alert):
    norms = [panel.images[0].norm for panel in plot_stamps(alert).axes]
    assert norms[2].vmin == -norms[2].vmax
    assert norms[2](0.0) == pytest.approx(0.5)
    assert norms[0].vmin != -norms[0].vmax
    assert (norms[0].vmin, norms[0].vmax) != (norms[1].vmin, norms[1].vmax)
    # The asinh stretch lifts what is faint.
    assert norms[0](0.9 * norms[0].vmin + 0.1 * norms[0].vmax) == pytest.approx(np.arcsinh(1) / np.arcsinh(10))


def test_pixels_without_data_stand_out(shared_data):
    packet = next((shared_data / "alerts/ztf_snappy").glob("*166461127.avro")).read_bytes()
    figure = plot_stamps(Packet.parse(packet).record())
    figure.canvas.draw()
    panel = figure.axes[0]
    (image,) = panel.images
    assert image.get_array().mask.any() or image.get_array().shape != (63, 63)
    assert panel.patch.get_hatch() == "////"
    drawn = image.to_rgba(np.ma.masked_invalid([[np.nan, 0.0]]))
    assert drawn[0, 0, 3] == 0
    assert drawn[0, 1, 3] == 1


def test_the_title_names_the_alert(alert):
    title = plot_stamps(alert).get_suptitle()
    assert alert["objectId"] in title
    assert str(alert["candid"]) in title
    assert f"{alert['candidate']['magpsf']:.2f} mag" in title


def test_pixels_without_data_and_flat_cutouts_are_drawn(shared_data, tmp_path):
    for file in sorted((shared_data / "alerts/ztf").glob("*.avro"))[:8]:
        plot_stamps(Packet.parse(file.read_bytes()).record()).savefig(tmp_path / "a.png", dpi=40)
        plt.close("all")


def test_a_missing_cutout_is_said(alert):
    figure = plot_stamps(alert | {"cutoutTemplate": None})
    assert [text.get_text() for text in figure.axes[1].texts] == ["not published"]
    with pytest.raises(CutoutAbsent):
        plot_stamps({"candid": 1})
