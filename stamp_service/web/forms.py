"""The forms a cutout can be asked for in, and how each is made."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import orjson
from pydantic import BaseModel, Field

from stamp_service.images import (
    Stamp,
    Style,
    decode_stamp,
    default_style,
    draw_png,
    gunzip_cutout,
    gzip_cutout,
    to_json,
    to_npy,
)
from stamp_service.surveys import IntervalName, Kind, StretchName
from stamp_service.web.answers import Question
from stamp_service.web.services import Services

Form = Literal["png", "fits", "fits.gz", "npy", "json"]
MEDIA_TYPES: dict[Form, str] = {
    "png": "image/png",
    "fits": "application/fits",
    "fits.gz": "application/fits+gzip",
    "npy": "application/octet-stream",
    "json": "application/json",
}


class StyleQuery(BaseModel):
    """How a PNG is drawn; what is left out is as the survey's definition says."""

    interval: IntervalName | None = Field(None, description="Which values are black and white.")
    pmin: float = Field(0.5, ge=0, le=100, description="Lower percentile of `interval=percentile`.")
    pmax: float = Field(99.5, ge=0, le=100, description="Upper percentile of `interval=percentile`.")
    stretch: StretchName | None = Field(None, description="How values between them become grey.")
    cmap: str = Field("gray", max_length=32, description="Colour map, by its matplotlib name.")
    orient: Literal["default", "native", "north"] = Field(
        "default", description="`default`: as the survey shows its stamps; `native`: row 0 at the top; `north`."
    )
    flip: Literal["none", "x", "y", "xy"] = Field("none", description="Mirror the picture after orienting it.")
    size: int | None = Field(None, ge=1, le=4096, description="Longest side of the picture at most, in pixels.")
    scale: int | None = Field(None, ge=1, le=64, description="Picture pixels per stamp pixel; wins over `size`.")

    def style(self, question: Question, kind: Kind) -> Style:
        """Complete the options with the survey's defaults.

        Parameters
        ----------
        question : Question
            Names the survey.
        kind : str
            Which cutout.

        Returns
        -------
        Style
            Everything that decides the picture.
        """
        given = self.model_dump(include=set(StyleQuery.model_fields), exclude_none=True)
        return replace(default_style(question.survey, kind), **given)


@dataclass(frozen=True, slots=True)
class CutoutForm:
    """One cutout in one form.

    Parameters
    ----------
    kind : str
        Which cutout.
    form : str
        `png`, `fits`, `fits.gz`, `npy` or `json`.
    style : Style
        How a PNG is drawn.
    """

    kind: Kind
    form: Form
    style: Style

    @property
    def identity(self) -> str:
        """Everything that decides the bytes besides the alert."""
        return f"{self.kind} {self.form} {self.style if self.form == 'png' else ''}"

    def make(self, here: Services, question: Question, tag: str) -> bytes:
        """Make the bytes.

        Parameters
        ----------
        here : Services
            The application's; handed in so that any thread may call this.
        question : Question
            Which alert.
        tag : str
            The answer's entity tag, under which pictures are kept.

        Returns
        -------
        bytes
            The cutout in this form.

        Raises
        ------
        NotFound
            If there is no such alert or cutout.
        PacketCorrupt, TooLarge
            If it cannot be decoded.
        StoreUnavailable
            If a store cannot be asked.
        """
        if self.form != "png":
            return _MAKERS[self.form](here, self.cutout(here, question))
        drawn = here.pictures.get(tag)
        if here.pictures.enabled:
            here.metrics.picture_asked(hit=drawn is not None)
        if drawn is None:
            drawn = _draw(here, self.cutout(here, question), question, self)
            here.pictures.put(tag, drawn)
        return drawn

    def cutout(self, here: Services, question: Question) -> bytes:
        """Fetch the cutout as it stands in the packet.

        Parameters
        ----------
        here : Services
            The application's.
        question : Question
            Which alert.

        Returns
        -------
        bytes
            A FITS file, gzipped or plain.

        Raises
        ------
        NotFound, PacketCorrupt, StoreUnavailable
            If it cannot be had.
        """
        alert = here.resolver.alert(question.survey, question.alert_id, question.object_id)
        return alert.cutout(self.kind)


def stamp_of(here: Services, cutout: bytes) -> Stamp:
    """Decode a cutout within the limits of the settings.

    Parameters
    ----------
    here : Services
        The application's.
    cutout : bytes
        A FITS file, gzipped or plain.

    Returns
    -------
    Stamp
        Its image.
    """
    with here.metrics.stage("decode"):
        return decode_stamp(
            cutout, max_bytes=here.settings.max_cutout_bytes, max_pixels=here.settings.max_stamp_px
        )


def _draw(here: Services, cutout: bytes, question: Question, wanted: CutoutForm) -> bytes:
    stamp = stamp_of(here, cutout)
    with here.metrics.stage("draw"):
        return draw_png(stamp, question.survey, wanted.kind, wanted.style, max_pixels=here.settings.max_stamp_px)


def _json(stamp: Stamp) -> bytes:
    return orjson.dumps({"shape": stamp.pixels.shape, "pixels": orjson.Fragment(to_json(stamp))})


_MAKERS: dict[Form, Callable[[Services, bytes], bytes]] = {
    "fits": lambda here, cutout: gunzip_cutout(cutout, here.settings.max_cutout_bytes),
    "fits.gz": lambda _, cutout: gzip_cutout(cutout),
    "npy": lambda here, cutout: to_npy(stamp_of(here, cutout)),
    "json": lambda here, cutout: _json(stamp_of(here, cutout)),
}
