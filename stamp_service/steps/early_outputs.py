"""What becomes of early classifications: rows of a database, and messages."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from stamp_service.classifiers import Classification
from stamp_service.errors import StoreUnavailable
from stamp_service.packets import write_ocf
from stamp_service.probabilities import NewObject, ProbabilityTables, StepEntry
from stamp_service.steps.chosen_model import ChosenModel
from stamp_service.steps.messages import Item, Output, Refusal
from stamp_service.steps.result_topic import ResultTopic

log = logging.getLogger(__name__)

# The order of the published step's schema; what reads it goes by the names.
_ORDER = ("SN", "AGN", "VS", "asteroid", "bogus")


@dataclass(frozen=True, slots=True)
class EarlyClassification:
    """What is known of an alert.

    Parameters
    ----------
    candid : int
        The alert.
    found : NewObject
        Its object, as the alert shows it.
    classification : Classification
        What the classifier says.
    """

    candid: int
    found: NewObject
    classification: Classification


class ProbabilitySink:
    """Writes what a classifier says of objects into a database.

    Parameters
    ----------
    tables : ProbabilityTables
        The database.
    model : ChosenModel
        Who classified.
    step : StepEntry
        Who writes.
    """

    name = "database"

    def __init__(self, tables: ProbabilityTables, model: ChosenModel, step: StepEntry) -> None:
        self._tables = tables
        self._model = model
        self._step: StepEntry | None = step

    def start(self) -> None:
        """Say in the database who writes, if it can be asked now; otherwise this is done when it first can."""
        try:
            self._register()
        except StoreUnavailable as error:
            log.warning("starting without the database, which will be waited for: %s", error)

    def _register(self) -> None:
        if self._step is not None:
            self._tables.register(self._step)
            self._step = None

    def write(self, items: Sequence[Item[EarlyClassification]]) -> Sequence[Refusal]:
        """Write probabilities, where there are any.

        Parameters
        ----------
        items : sequence of Item
            What was found out.

        Returns
        -------
        sequence of Refusal
            None of them.

        Raises
        ------
        StoreUnavailable
            If the database cannot be written to.
        """
        self._register()
        pairs = [(item.value.found, item.value.classification.probabilities) for item in items]
        stored = [(found, probabilities) for found, probabilities in pairs if probabilities is not None]
        self._tables.add(stored, self._model.name, self._model.version)
        return ()

    def close(self) -> None:
        """Close the database."""
        self._tables.close()


class EarlyResults:
    """Writes what is sent on: an AVRO file for each alert that has probabilities.

    Parameters
    ----------
    topic : ResultTopic
        Where to.
    classes : sequence of str
        The classifier's classes.
    """

    def __init__(self, topic: ResultTopic, classes: Sequence[str]) -> None:
        self._topic = topic
        self._name = ""
        names = [name for name in _ORDER if name in classes] + [name for name in classes if name not in _ORDER]
        probabilities = {
            "type": "record",
            "name": "probabilities",
            "fields": [{"name": name, "type": "float"} for name in names],
        }
        self._schema = {
            "type": "record",
            "name": "stamp_probabilities",
            "doc": "Class probabilities of an object, from the stamps of an alert",
            "fields": [
                {"name": "objectId", "type": "string"},
                {"name": "candid", "type": "long"},
                {"name": "probabilities", "type": probabilities},
            ],
        }

    def prepare(self) -> None:
        """See to it that the topic exists.

        Raises
        ------
        StoreUnavailable
            If the brokers do not answer.
        """
        self._name = self._topic.ready()

    def write(self, found: EarlyClassification) -> Output:
        """Write a message.

        Parameters
        ----------
        found : EarlyClassification
            An alert with probabilities.

        Returns
        -------
        Output
            The message; its key is the object's id.
        """
        record = {
            "objectId": found.found.oid,
            "candid": found.candid,
            "probabilities": found.classification.probabilities,
        }
        return Output(self._name, write_ocf(self._schema, record), found.found.oid.encode())
