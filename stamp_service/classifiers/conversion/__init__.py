"""Other people's networks as model directories: ALeRCE's TensorFlow 1 checkpoints, and Keras' files of braai."""

from stamp_service.classifiers.conversion.converting import DEFAULT_VERSION, convert, write_model
from stamp_service.classifiers.conversion.keras import Normalisation

__all__ = ["DEFAULT_VERSION", "Normalisation", "convert", "write_model"]
