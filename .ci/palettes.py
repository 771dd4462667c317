"""Write the colour maps that ship with the project: `python .ci/palettes.py`.

The palettes are samples of all of matplotlib's colour maps, taken from the installed matplotlib and shipped as
data under its licence (PSF-based; some maps came to it from elsewhere, such as ColorBrewer, under similarly free
ones).

A palette has 255 colours, because entry 0 of a stamp's palette is *no data*: matplotlib's 256 without the last
but one. They are rounded to 8 bits (matplotlib cuts off, so that its grey 33 is 32). Reversed maps (`_r`) are not
stored. Stored are the differences between neighbouring colours, one channel after the other, which compresses to
a sixth of the plain colours.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "stamp_service" / "images" / "palettes.npz"


def main() -> None:
    names = sorted(name for name in mpl.colormaps if not name.endswith("_r"))
    steps = np.delete(np.linspace(0, 1, 256), 254)
    colours = np.stack([mpl.colormaps[name](steps)[:, :3].T for name in names])
    palettes = np.rint(255 * colours).astype(np.uint8)
    differences = np.diff(palettes, axis=2, prepend=np.uint8(0))
    np.savez_compressed(TARGET, names=np.array(names), differences=differences)
    print(f"{TARGET.name}: {len(names)} maps, {TARGET.stat().st_size} bytes, matplotlib {mpl.__version__}")


if __name__ == "__main__":
    main()
