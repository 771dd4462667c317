"""Stamp classifiers: what a model directory says, preparing alerts for a model, and asking it."""

from stamp_service.classifiers.classifier import ClassifiableAlert, Classification, Classifier
from stamp_service.classifiers.definition import ModelDefinition, read_definition, write_definition

__all__ = [
    "ClassifiableAlert",
    "Classification",
    "Classifier",
    "ModelDefinition",
    "read_definition",
    "write_definition",
]
