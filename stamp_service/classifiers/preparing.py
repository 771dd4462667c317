"""From alerts to what a graph is fed with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stamp_service.classifiers.classifier import ClassifiableAlert
from stamp_service.classifiers.definition import ModelDefinition
from stamp_service.classifiers.features import Features
from stamp_service.classifiers.reading import Contents, Unfit, read_contents
from stamp_service.classifiers.rules import is_known_asteroid, supernova_groups, why_no_supernova
from stamp_service.classifiers.stamps import Images, prepare, take_images
from stamp_service.images import Stamp, decode_stamp
from stamp_service.surveys import KINDS, Kind

# What a graph is fed with: an array for each input, with as many rows as there are alerts.
Feed = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was taken from one alert.

    Parameters
    ----------
    images : list of list of ndarray
        For each input of stamps, the images, (ny, nx).
    features : list of float
        The numbers, not yet scaled.
    ruling : list
        What the supernova rule looks at.
    """

    images: list[list[Images]] = field(default_factory=list)
    features: list[float] = field(default_factory=list)
    ruling: list[object] = field(default_factory=list)


class Preparation:
    """How alerts are prepared for a model.

    Parameters
    ----------
    definition : ModelDefinition
        The model.
    max_bytes : int
        Most bytes of a cutout once it is decompressed.
    max_pixels : int
        Most pixels of a stamp.
    """

    def __init__(self, definition: ModelDefinition, max_bytes: int, max_pixels: int) -> None:
        self._definition = definition
        self._limits = max_bytes, max_pixels
        metadata = definition.metadata
        self._features = Features(metadata.features) if metadata is not None else Features(())
        wanted = {kind for stamps in definition.stamps for kind in stamps.kinds} | self._features.headers
        self._kinds = tuple(kind for kind in KINDS if kind in wanted)
        rules = definition.rules
        self._asteroid = (rules.asteroid.fields,) if rules.asteroid is not None else ()
        self._supernova = supernova_groups(rules.supernova) if rules.supernova is not None else ()

    def read(self, alert: ClassifiableAlert) -> Contents:
        """Read all that the model and its rules need, and decode none of it.

        Parameters
        ----------
        alert : ClassifiableAlert
            The alert.

        Returns
        -------
        Contents
            What is there of it.

        Raises
        ------
        Unfit
            If it is of another survey.
        PacketCorrupt
            If it is damaged.
        """
        if alert.survey.name != self._definition.survey:
            raise Unfit(f"the model is for alerts of {self._definition.survey}")
        groups = (*self._asteroid, *self._supernova, *self._features.groups(alert.survey))
        return read_contents(alert, groups, self._kinds)

    def is_ruled(self, contents: Contents) -> bool:
        """Say whether the asteroid rule decides, so that the model is not asked.

        Parameters
        ----------
        contents : Contents
            What was read of the alert.

        Returns
        -------
        bool
            True if the model has the rule and it applies.
        """
        rule = self._definition.rules.asteroid
        return rule is not None and is_known_asteroid(rule, contents.values[0])

    def take(self, contents: Contents) -> Sample:
        """Take what the model needs.

        Parameters
        ----------
        contents : Contents
            What was read of the alert.

        Returns
        -------
        Sample
            Its images and numbers.

        Raises
        ------
        Unfit
            If it has not what the model needs.
        PacketCorrupt, TooLarge
            If a cutout cannot be decoded.
        """
        start = len(self._asteroid)
        end = start + len(self._supernova)
        stamps = self._decode(contents.cutouts)
        return Sample(
            images=[take_images(wanted, stamps) for wanted in self._definition.stamps],
            features=self._features.raw(contents.values[end:], stamps),
            ruling=contents.values[start:end],
        )

    def feed(self, samples: Sequence[Sample]) -> Feed:
        """Put samples together.

        Parameters
        ----------
        samples : sequence of Sample
            At least one.

        Returns
        -------
        dict of str to ndarray
            What the graph is fed with, float32.
        """
        feed: Feed = {
            wanted.input: prepare(wanted, [sample.images[number] for sample in samples])
            for number, wanted in enumerate(self._definition.stamps)
        }
        if self._definition.metadata is not None:
            feed[self._definition.metadata.input] = self._features.scale([sample.features for sample in samples])
        return feed

    def why_dropped(self, sample: Sample, probabilities: Mapping[str, float]) -> str | None:
        """Apply the supernova rule.

        Parameters
        ----------
        sample : Sample
            What was taken from the alert.
        probabilities : mapping of str to float
            What the model says.

        Returns
        -------
        str or None
            Why the result is dropped; None if it stands, or the model has no such rule.
        """
        rule = self._definition.rules.supernova
        return None if rule is None else why_no_supernova(rule, sample.ruling, probabilities)

    def _decode(self, cutouts: Mapping[Kind, bytes]) -> dict[Kind, Stamp]:
        missing = [kind for kind in self._kinds if kind not in cutouts]
        if missing:
            raise Unfit(f"the alert has no {missing[0]} stamp")
        max_bytes, max_pixels = self._limits
        return {
            kind: decode_stamp(cutouts[kind], max_bytes=max_bytes, max_pixels=max_pixels) for kind in self._kinds
        }
