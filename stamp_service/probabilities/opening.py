"""The database that the settings name."""

from sqlalchemy import URL

from stamp_service.errors import ConfigurationError
from stamp_service.probabilities.probability_tables import ProbabilityTables
from stamp_service.remote.databases import through_psycopg
from stamp_service.settings import Settings


def open_probabilities(settings: Settings, timeout_s: float) -> ProbabilityTables:
    """Open the tables; those that are missing are made when they are first used.

    Parameters
    ----------
    settings : Settings
        The settings.
    timeout_s : float
        Longest wait: for a connection, a lock, an answer.

    Returns
    -------
    ProbabilityTables
        The tables; nothing is connected yet.

    Raises
    ------
    ConfigurationError
        If PostgreSQL's client is not installed, or the database is not named.
    """
    return ProbabilityTables(_address(settings), timeout_s)


def _address(settings: Settings) -> URL:
    engine = settings.db_engine or ("sqlite" if settings.db_host is None else "postgresql")
    if engine == "sqlite":
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(settings.data_dir / "probabilities.sqlite"))
    if settings.db_host is None or settings.db_name is None:
        raise ConfigurationError("DB_HOST and DB_NAME say which PostgreSQL to use: set both")
    password = settings.db_password.get_secret_value() if settings.db_password is not None else None
    return through_psycopg(
        URL.create(
            "postgresql",
            username=settings.db_user,
            password=password,
            host=settings.db_host,
            port=settings.db_port,
            database=settings.db_name,
        )
    )
