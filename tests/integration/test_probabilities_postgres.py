"""Class probabilities in a real PostgreSQL."""

import pytest

from tests.contracts.probabilities import ProbabilityContract


class TestPostgres(ProbabilityContract):
    """A new database for each test."""

    @pytest.fixture
    def url(self, database_url) -> str:
        return database_url.replace("postgresql://", "postgresql+psycopg://")
