"""The index in a real PostgreSQL."""

from tests.contracts.index import IndexContract


class TestPostgres(IndexContract):
    """Its databases sort by English rules where they are not told otherwise."""
