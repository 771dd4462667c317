"""Stamp classifiers: what a model directory says, preparing alerts for a model, and asking it."""

from stamp_service.classifiers.classifier import ClassifiableAlert, Classification, Classifier
from stamp_service.classifiers.definition import ModelDefinition, read_definition, write_definition
from stamp_service.classifiers.models import DEMO, Models, open_models, running_of, usable_cores
from stamp_service.classifiers.onnx_classifier import OnnxClassifier, Running, open_model

__all__ = [
    "DEMO",
    "ClassifiableAlert",
    "Classification",
    "Classifier",
    "ModelDefinition",
    "Models",
    "OnnxClassifier",
    "Running",
    "open_model",
    "open_models",
    "read_definition",
    "running_of",
    "usable_cores",
    "write_definition",
]
