"""The exceptions of the service.

Every message is written for the person who asked: it names what was wrong and holds no secret, path or
traceback, so `web.errors` may show it. What a status code is belongs there, not here.
"""


class StampServiceError(Exception):
    """Base of everything that this package raises on purpose."""


class RequestError(StampServiceError):
    """The question is malformed: a bad parameter, a malformed alert id, an unknown survey.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    parameter : str, optional
        The name of the offending parameter, where there is one.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class Unauthenticated(StampServiceError):
    """The answer needs a token, and none, an expired or an invalid one was given."""


class AccessDenied(StampServiceError):
    """The token is valid and does not allow this."""


class NotFound(StampServiceError):
    """What was asked for does not exist."""


class AlertNotFound(NotFound):
    """Every store said that it does not have the alert."""


class CutoutAbsent(NotFound):
    """The alert exists and was published without this cutout."""


class ObjectNotFound(NotFound):
    """No alert of this object is known."""


class LakeFileNotFound(NotFound):
    """The lake has no file at this path."""


class PacketConflict(StampServiceError):
    """A different packet is already stored under this alert id."""


class TooLarge(StampServiceError):
    """Something exceeds a limit of the settings."""


class PacketCorrupt(StampServiceError):
    """Stored or handed-in bytes cannot be decoded as what they claim to be."""


class StoreUnavailable(StampServiceError):
    """A store could not be asked, and no other store had the alert.

    Parameters
    ----------
    message : str
        Which store failed, and how.
    retry_after_s : int, optional
        When it is worth asking again.
    """

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreTimeout(StoreUnavailable):
    """A store did not answer in time."""


class ConfigurationError(StampServiceError):
    """A setting, survey file or installed extra is wrong or missing; raised at start-up only."""
