"""The model that a classifying step asks."""

from dataclasses import dataclass

from stamp_service.classifiers import Classifier, open_models
from stamp_service.errors import ConfigurationError, RequestError
from stamp_service.settings import Settings


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model, and what it is called where its answers are published.

    Parameters
    ----------
    classifier : Classifier
        The model.
    name : str
        Its name there.
    version : str
        Its version there.
    """

    classifier: Classifier
    name: str
    version: str


def open_chosen_model(settings: Settings) -> ChosenModel:
    """Open the model that `MODEL_NAME` names.

    Parameters
    ----------
    settings : Settings
        Name the model, its folder and the version that is published.

    Returns
    -------
    ChosenModel
        The model, which was tried out.

    Raises
    ------
    ConfigurationError
        If none is named, there is none of that name, or it cannot be used.
    """
    name = settings.model_name
    if name is None:
        raise ConfigurationError("MODEL_NAME is not set: it names a folder in STAMP_MODEL_DIR, or demo")
    try:
        classifier = open_models(settings).named(name, "MODEL_NAME")
    except RequestError as error:
        raise ConfigurationError(str(error)) from None
    return ChosenModel(classifier, name, settings.model_version or classifier.version)
