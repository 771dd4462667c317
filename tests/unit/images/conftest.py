"""Real cutouts, and FITS files made for a test."""

import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import fastavro.schema
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from stamp_service.images import Stamp, decode_stamp
from stamp_service.surveys import Kind, Survey, Surveys

MAX_BYTES = 1 << 22
MAX_PIXELS = 1 << 22


class RealCutout(NamedTuple):
    """A cutout as it was published."""

    survey: Survey
    alert_id: str
    kind: Kind
    cutout: bytes

    @property
    def stamp(self) -> Stamp:
        """The cutout, decoded."""
        return decode_stamp(self.cutout, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)


def _records(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for group in ("ztf", "ztf_snappy", "atlas"):
        for path in sorted((folder / group).glob("*.avro")):
            with path.open("rb") as file:
                yield group.split("_")[0], path.stem, next(fastavro.reader(file))
    schema = fastavro.schema.load_schema(folder / "lsst" / "schema" / "lsst.v9_0.alert.avsc")
    for path in sorted((folder / "lsst").glob("*.wire")):
        yield "lsst", path.stem, fastavro.schemaless_reader(io.BytesIO(path.read_bytes()[5:]), schema)


@pytest.fixture(scope="session")
def real_cutouts(shared_data: Path, surveys: Surveys) -> list[RealCutout]:
    """Every cutout of every real alert."""
    found = []
    for name, alert_id, record in _records(shared_data / "alerts"):
        for kind in surveys[name].kinds:
            cutout = record.get(f"cutout{kind.capitalize()}")
            cutout = cutout["stampData"] if isinstance(cutout, dict) else cutout
            if cutout:
                found.append(RealCutout(surveys[name], alert_id, kind, cutout))
    assert len(found) > 300
    return found


@pytest.fixture(scope="session")
def some_cutouts(real_cutouts: list[RealCutout]) -> list[RealCutout]:
    """A few of them: of each survey, kind and shape, and some with pixels that have no data."""
    chosen: dict[Any, RealCutout] = {}
    for real in real_cutouts:
        pixels = real.stamp.pixels
        without_data = not np.all(np.abs(pixels) < 1e30) or bool((pixels == -31415).any())
        chosen.setdefault((real.survey.name, real.kind, pixels.shape, without_data), real)
    return list(chosen.values())


@pytest.fixture
def decode() -> Callable[..., Stamp]:
    """Decode a cutout within the tests' limits."""

    def decode(cutout: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Stamp:
        return decode_stamp(cutout, max_bytes=max_bytes, max_pixels=max_pixels)

    return decode


@pytest.fixture
def astropy_decode() -> Callable[[bytes], tuple[NDArray[np.float32], fits.Header]]:
    """Decode a file's first image as astropy does, whatever it warns of."""

    def decode(data: bytes) -> tuple[NDArray[np.float32], fits.Header]:
        quiet = warnings.catch_warnings(action="ignore")
        with quiet, np.errstate(all="ignore"), fits.open(io.BytesIO(data)) as hdus:
            hdu = next(hdu for hdu in hdus if hdu.data is not None)
            return hdu.data.astype(np.float32), hdu.header

    return decode


@pytest.fixture
def write_cards() -> Callable[..., bytes]:
    """Write a FITS file card by card, however wrong."""

    def write(*parts: list[str] | bytes) -> bytes:
        file = b""
        for part in parts:
            if isinstance(part, list):
                header = "".join(card.ljust(80) for card in [*part, "END"]).encode("latin-1")
                file += header + b" " * (-len(header) % 2880)
            else:
                file += part + bytes(-len(part) % 2880)
        return file

    return write


@pytest.fixture
def make_fits() -> Callable[..., bytes]:
    """Write a FITS file through astropy."""

    def make(*hdus: Any) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings(action="ignore"):
            fits.HDUList(list(hdus)).writeto(file)
        return file.getvalue()

    return make
