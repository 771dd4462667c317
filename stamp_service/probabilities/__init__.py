"""Class probabilities of objects, in the tables that ALeRCE keeps them in."""

from stamp_service.probabilities.opening import open_probabilities
from stamp_service.probabilities.probability_tables import ProbabilityTables
from stamp_service.probabilities.rows import ClassProbability, NewObject, ObjectClassification, StepEntry

__all__ = [
    "ClassProbability",
    "NewObject",
    "ObjectClassification",
    "ProbabilityTables",
    "StepEntry",
    "open_probabilities",
]
