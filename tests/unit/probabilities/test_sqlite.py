"""Class probabilities in SQLite, and which database the settings name."""

import pytest

from stamp_service.errors import ConfigurationError
from stamp_service.probabilities import open_probabilities
from stamp_service.settings import load_settings
from tests.contracts.probabilities import ProbabilityContract, new_object, probabilities


class TestSqlite(ProbabilityContract):
    """A file."""

    @pytest.fixture
    def url(self, tmp_path) -> str:
        return f"sqlite:///{tmp_path / 'probabilities.sqlite'}"


@pytest.mark.parametrize("settings", [{}, {"db_engine": "sqlite"}, {"db_engine": "sqlite", "db_host": "x"}])
def test_without_a_server_there_is_a_file(tmp_path, settings):
    tables = open_probabilities(load_settings(data_dir=tmp_path / "data", **settings), 5.0)
    tables.add([(new_object("ZTF18a"), probabilities(1))], "m", "1")
    tables.close()
    assert (tmp_path / "data" / "probabilities.sqlite").is_file()


@pytest.mark.parametrize(
    "settings", [{"db_engine": "postgresql"}, {"db_host": "x"}, {"db_engine": "postgresql", "db_name": "x"}]
)
def test_a_server_without_a_host_or_a_database(tmp_path, settings):
    with pytest.raises(ConfigurationError, match="DB_HOST and DB_NAME"):
        open_probabilities(load_settings(data_dir=tmp_path, **settings), 5.0)
