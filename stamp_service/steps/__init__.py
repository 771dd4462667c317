"""Long-running jobs on Kafka streams."""

from stamp_service.steps.archive import ArchiveStep, open_archive_step
from stamp_service.steps.archive_sinks import Archived, IndexSink, StoreSink
from stamp_service.steps.early_classification import EarlyClassificationStep, open_early_classification_step
from stamp_service.steps.loop import run_step
from stamp_service.steps.messages import Item, Message, Output, Processed, Refusal
from stamp_service.steps.observing import Observer, StepMetrics
from stamp_service.steps.stamp_classifier import StampClassifierStep, open_stamp_classifier_step
from stamp_service.steps.step import Sink, Step
from stamp_service.steps.topics import Topics, nightly_topics

__all__ = [
    "ArchiveStep",
    "Archived",
    "EarlyClassificationStep",
    "IndexSink",
    "Item",
    "Message",
    "Observer",
    "Output",
    "Processed",
    "Refusal",
    "Sink",
    "StampClassifierStep",
    "Step",
    "StepMetrics",
    "StoreSink",
    "Topics",
    "nightly_topics",
    "open_archive_step",
    "open_early_classification_step",
    "open_stamp_classifier_step",
    "run_step",
]
