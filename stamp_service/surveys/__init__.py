"""Survey definitions: data, not classes."""

from stamp_service.surveys.definition import (
    KINDS,
    PERMISSIONS,
    Cutout,
    Drawing,
    IntervalName,
    Kind,
    Permission,
    Series,
    StretchName,
    Survey,
)
from stamp_service.surveys.loader import Surveys, load_surveys

__all__ = [
    "KINDS",
    "PERMISSIONS",
    "Cutout",
    "Drawing",
    "IntervalName",
    "Kind",
    "Permission",
    "Series",
    "StretchName",
    "Survey",
    "Surveys",
    "load_surveys",
]
