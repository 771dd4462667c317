"""What classifiers say of an object."""

from collections.abc import Sequence

from stamp_service.errors import NotFound, StoreUnavailable
from stamp_service.probabilities import ObjectClassification
from stamp_service.surveys import Survey
from stamp_service.web.probabilities import classifications_of


def what_is_said(survey: Survey, object_id: str) -> Sequence[ObjectClassification] | str:
    """Read what is known; a page does without, if the database cannot be asked.

    Parameters
    ----------
    survey : Survey
        The survey.
    object_id : str
        A checked object id.

    Returns
    -------
    sequence of ObjectClassification or str
        What each classifier says, or why that is not known.
    """
    try:
        return classifications_of(survey, object_id)
    except NotFound:
        return ()
    except StoreUnavailable as error:
        return str(error)
