"""What one process works with: archives, and a thread that takes full packs to their place."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from stamp_service.errors import StampServiceError
from stamp_service.stores.packed.archive import SurveyArchive

log = logging.getLogger(__name__)


class ProcessArchives:
    """The archives that one process uses, and the thread that seals their packs.

    Parameters
    ----------
    make : callable
        Takes a survey's name and opens its archive.
    """

    def __init__(self, make: Callable[[str], SurveyArchive]) -> None:
        self._make = make
        self._lock = Lock()
        self._archives: dict[str, SurveyArchive] = {}
        self._sealing: dict[str, Future[None]] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="seal")

    def archive(self, survey_name: str) -> SurveyArchive:
        """Find or open an archive.

        Parameters
        ----------
        survey_name : str
            The survey.

        Returns
        -------
        SurveyArchive
            Its archive.
        """
        with self._lock:
            found = self._archives.get(survey_name)
            if found is None:
                found = self._archives[survey_name] = self._make(survey_name)
            return found

    def seal(self, survey_name: str) -> None:
        """Seal full packs in the background: an upload takes as long as filling the next pack.

        Parameters
        ----------
        survey_name : str
            The survey.
        """
        archive = self.archive(survey_name)
        with self._lock:
            under_way = self._sealing.get(survey_name)
            if (under_way is None or under_way.done()) and archive.upkeep.has_full_packs():
                self._sealing[survey_name] = self._executor.submit(_seal, archive, survey_name)

    def close(self) -> None:
        """Finish what is being sealed, and close files."""
        self._executor.shutdown(wait=True)
        for archive in self._archives.values():
            archive.close()


def _seal(archive: SurveyArchive, survey_name: str) -> None:
    try:
        archive.upkeep.seal()
    except StampServiceError as error:
        log.warning("packs of %s stay in the spool: %s", survey_name, error)
    except Exception:
        log.exception("packs of %s stay in the spool", survey_name)
