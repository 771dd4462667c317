"""The triptych: panels where they belong, labels, and what is absent."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stamp_service.errors import RequestError, TooLarge
from stamp_service.images import Stamp, Style, default_style, draw_png, draw_triptych, measure_triptych

MANY = 1 << 24
KINDS = ("science", "template", "difference")


def opened(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png))
    assert picture.mode == "RGB"
    return np.asarray(picture)


def find(page: np.ndarray, panel: np.ndarray) -> tuple[int, int] | None:
    """Where a panel lies on a page: (y, x)."""
    first = panel[0].tobytes()
    for y in range(page.shape[0] - panel.shape[0] + 1):
        at = page[y].tobytes().find(first)
        if at >= 0 and at % 3 == 0:
            x = at // 3
            if (page[y : y + panel.shape[0], x : x + panel.shape[1]] == panel).all():
                return y, x
    return None


@pytest.fixture
def stamps() -> dict[str, Stamp]:
    rng = np.random.default_rng(1)
    return {kind: Stamp(rng.normal(100, 10, (63, 63)).astype(np.float32), {}) for kind in KINDS}


@pytest.mark.parametrize("style", [None, Style(cmap="viridis", stretch="asinh"), Style(size=130), Style(scale=1)])
def test_panels_are_the_stamps_in_order(surveys, stamps, style):
    styles = dict.fromkeys(KINDS, style) if style else None
    page = opened(
        draw_triptych(stamps, surveys["ztf"], styles=styles, title=("ZTF 1", "ZTF18abc"), max_pixels=MANY)
    )
    places = []
    for kind in KINDS:
        png = draw_png(
            stamps[kind], surveys["ztf"], kind, style or default_style(surveys["ztf"], kind), max_pixels=MANY
        )
        places.append(find(page, np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))))
    assert None not in places
    ys, xs = zip(*places, strict=True)
    assert len(set(ys)) == 1
    assert list(xs) == sorted(xs)
    assert (page[:8] == 255).all()  # paper around it
    assert (page[:, -8:] == 255).all()


def test_every_panel_has_a_label_and_the_title_stands_above(surveys, stamps):
    bare = opened(draw_triptych(stamps, surveys["ztf"], max_pixels=MANY))
    titled = opened(
        draw_triptych(stamps, surveys["ztf"], title=("ZTF 820128985515010010", "r 18.3"), max_pixels=MANY)
    )
    assert titled.shape[1] == bare.shape[1]
    higher = titled.shape[0] - bare.shape[0]
    assert higher > 20
    assert (titled[higher + 30 :] == bare[30:]).all()
    labels = bare[: int(np.argmax((bare != 255).all(axis=(0, 2)))) or 45]
    for left in (25, 420, 815):
        assert (labels[:40, left : left + 100] < 128).any()


def test_what_is_absent_says_so(surveys, stamps):
    whole = opened(draw_triptych(stamps, surveys["atlas"], max_pixels=MANY))
    for absent in ({k: stamps[k] for k in ("science", "difference")}, stamps | {"template": None}):
        page = opened(draw_triptych(absent, surveys["atlas"], max_pixels=MANY))
        assert page.shape == whole.shape
        panel = page[100:400, 430:780].reshape(-1, 3)
        ground = panel[0]
        assert (panel == ground).all(axis=1).mean() > 0.98  # empty
        assert (panel != ground).any()  # but for a word
        assert not (ground == 255).all()
    nothing = opened(draw_triptych({}, surveys["atlas"], max_pixels=MANY))
    assert nothing.shape[1] > 3 * 378


def test_pixels_without_data_are_neither_black_nor_white(surveys):
    pixels = np.full((63, 63), np.nan, np.float32)
    pixels[:, 40:] = np.arange(63 * 23).reshape(63, 23)
    page = opened(draw_triptych({"science": Stamp(pixels, {})}, surveys["ztf"], max_pixels=MANY))
    tint = page[200, 100]
    assert 200 < tint.min() < 250
    assert len(set(tint.tolist())) > 1


def test_stamps_of_different_shapes_stand_in_the_middle(surveys, stamps):
    stamps["science"] = Stamp(stamps["science"].pixels[:43], {})
    page = opened(draw_triptych(stamps, surveys["ztf"], max_pixels=MANY))
    panels = [
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        for kind in ("science", "template")
        for png in [
            draw_png(stamps[kind], surveys["ztf"], kind, default_style(surveys["ztf"], kind), max_pixels=MANY)
        ]
    ]
    (science_y, _), (template_y, _) = (find(page, panel) for panel in panels)
    assert science_y == template_y + 10 * 6


@pytest.mark.parametrize("line", ["x" * 5000, "\0\n\t", "", "Ω — ü", "a" * 150])
def test_any_title_fits(surveys, stamps, line):
    plain = opened(draw_triptych(stamps, surveys["ztf"], title=("a",), max_pixels=MANY))
    page = opened(draw_triptych(stamps, surveys["ztf"], title=(line,), max_pixels=MANY))
    assert page.shape == plain.shape
    assert (page[:, -20:] == plain[:, -20:]).all()


def test_limits_and_options(surveys, stamps):
    with pytest.raises(TooLarge):
        draw_triptych(stamps, surveys["ztf"], max_pixels=378 * 378 * 3)
    with pytest.raises(RequestError):
        draw_triptych(stamps, surveys["ztf"], styles={"science": Style(orient="north")}, max_pixels=MANY)


def test_every_real_alert(some_cutouts):
    for real in some_cutouts:
        title = (f"{real.survey.title} {real.alert_id}",)
        opened(draw_triptych({real.kind: real.stamp}, real.survey, title=title, max_pixels=MANY))


@pytest.mark.parametrize("size_px", [40, 63, 200, 378])
@pytest.mark.parametrize("title", [(), ("a",), ("a", "b")])
def test_its_size_is_known_beforehand(surveys, stamps, size_px, title):
    styles = {kind: replace(default_style(surveys["ztf"], kind), size=size_px) for kind in KINDS}
    for some in (stamps, {"science": stamps["science"]}, {}):
        page = opened(draw_triptych(some, surveys["ztf"], styles=styles, title=title, max_pixels=MANY))
        shapes = [stamp.pixels.shape for stamp in some.values()]
        assert measure_triptych(shapes, surveys["ztf"], size_px=size_px, lines=len(title)) == page.shape[1::-1]
