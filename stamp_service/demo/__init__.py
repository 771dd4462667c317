"""Synthetic, seeded alerts of every built-in survey: true to the schemas, and to what a sky looks like."""

from stamp_service.demo.alert import DemoAlert
from stamp_service.demo.classes import demo_classes
from stamp_service.demo.filling import DEFAULT_OBJECTS, DEMO_SURVEYS, demo_alerts, fill
from stamp_service.demo.lakes import write_demo_lake
from stamp_service.demo.schemas import demo_schemas

__all__ = [
    "DEFAULT_OBJECTS",
    "DEMO_SURVEYS",
    "DemoAlert",
    "demo_alerts",
    "demo_classes",
    "demo_schemas",
    "fill",
    "write_demo_lake",
]
