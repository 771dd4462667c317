"""The early classification step in processes of its own, and the PostgreSQL that it writes."""

from dataclasses import dataclass, field

import psycopg
from sqlalchemy import make_url

from tests.integration.services.archiving import Archiving

Said = dict[str, dict[str, float]]


@dataclass
class EarlyClassifying(Archiving):
    """What the early classification steps of one group have in common."""

    step: str = "early-classification"
    database_url: str = field(kw_only=True)

    @property
    def results(self) -> str:
        """The topic of their results."""
        return f"results-{self.group}"

    def database(self) -> dict[str, str]:
        """Write the settings that name the database."""
        url = make_url(self.database_url)
        return {
            "DB_ENGINE": "postgresql",
            "DB_HOST": str(url.host),
            "DB_PORT": str(url.port),
            "DB_USER": str(url.username),
            "DB_PASSWORD": str(url.password),
            "DB_NAME": str(url.database),
        }

    def environment(self) -> dict[str, str]:
        """Write their environment."""
        return super().environment() | {"MODEL_NAME": "demo", "STEP_ID": "early"} | self.database() | self.settings

    def ask(self, question: str) -> list[tuple[object, ...]]:
        """Ask the database."""
        with psycopg.connect(self.database_url, connect_timeout=5) as connection:
            return connection.execute(question).fetchall()

    def said(self) -> Said:
        """Read the probabilities of all objects."""
        found: Said = {}
        for oid, name, probability in self.ask("SELECT oid, class_name, probability FROM probability"):
            found.setdefault(str(oid), {})[str(name)] = float(str(probability))
        return found
