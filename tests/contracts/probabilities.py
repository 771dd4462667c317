"""What the tables of class probabilities promise on any database."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, inspect, make_url, text

from stamp_service.errors import ObjectNotFound, StoreUnavailable
from stamp_service.probabilities import ClassProbability, NewObject, ProbabilityTables, StepEntry

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
STEP = StepEntry("early", "early", "1.0.0", "", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def new_object(oid: str, **fields: object) -> NewObject:
    """Make an object; what is not said is as it is with others."""
    values = {
        "oid": oid,
        "ndethist": 3,
        "ncovhist": 40,
        "mjdstarthist": 58000.25,
        "mjdendhist": None,
        "firstmjd": 59000.123456789,
        "meanra": 123.456789012,
        "meandec": -12.5,
    }
    return NewObject(**(values | fields))


def probabilities(seed: int) -> dict[str, float]:
    """Draw the probabilities of an alert."""
    draw = random.Random(seed)
    values = [draw.random() for _ in CLASSES]
    return dict(zip(CLASSES, (value / sum(values) for value in values), strict=True))


class ProbabilityContract:
    """Inherited by the tests of each database, which name one in the fixture `url`."""

    @pytest.fixture
    def tables(self, url):
        found = ProbabilityTables(make_url(url), 10.0)
        yield found
        found.close()

    @pytest.fixture
    def ask(self, url):
        """Ask the database itself."""
        engine = create_engine(make_url(url))

        def ask(statement: str) -> list[dict[str, object]]:
            with engine.begin() as connection:
                found = connection.execute(text(statement))
                return [dict(row._mapping) for row in found] if found.returns_rows else []

        yield ask
        engine.dispose()

    def test_an_object_is_written_with_its_defaults_and_ranked_classes(self, tables, ask):
        values = {"AGN": 0.1, "SN": 0.5, "VS": 0.1, "asteroid": 0.3, "bogus": 0.0}
        assert tables.add([(new_object("ZTF18a"), values)], "stamps", "1.0") == 1
        (row,) = ask("SELECT * FROM object")
        assert {name: value for name, value in row.items() if value is not None} == {
            "oid": "ZTF18a",
            "ndethist": 3,
            "ncovhist": 40,
            "mjdstarthist": 58000.25,
            "firstmjd": 59000.123456789,
            "lastmjd": 59000.123456789,
            "ndet": 1,
            "deltajd": 0,
            "meanra": 123.456789012,
            "meandec": -12.5,
            "step_id_corr": "0.0.0",
            "corrected": False,
            "stellar": False,
        }
        rows = ask("SELECT class_name, probability, ranking FROM probability ORDER BY ranking")
        assert [tuple(row.values()) for row in rows] == [
            ("SN", 0.5, 1),
            ("asteroid", 0.3, 2),
            ("AGN", 0.1, 3),
            ("VS", 0.1, 4),
            ("bogus", 0.0, 5),
        ]

    def test_what_was_said_stays(self, tables, ask):
        first, second = probabilities(1), probabilities(2)
        assert (
            tables.add([(new_object("ZTF18a"), first), (new_object("ZTF18a", ndethist=9), second)], "m", "1") == 1
        )
        assert tables.add([(new_object("ZTF18a", ndethist=9), second)], "m", "1") == 0
        (said,) = tables.of_object("ZTF18a")
        assert {row.class_name: row.probability for row in said.classes} == first
        assert ask("SELECT ndethist FROM object") == [{"ndethist": 3}]

    def test_half_of_what_somebody_said_is_not_filled_up(self, tables, ask):
        tables.add([(new_object("ZTF18a"), probabilities(1))], "m", "1")
        ask("DELETE FROM probability WHERE class_name <> 'VS'")
        tables.add([(new_object("ZTF18a"), probabilities(2))], "m", "1")
        assert len(ask("SELECT * FROM probability")) == 1

    def test_every_classifier_and_version_has_its_say(self, tables):
        for name, version in (("b", "1"), ("a", "2"), ("a", "1")):
            tables.add([(new_object("ZTF18a"), probabilities(len(name + version)))], name, version)
        said = tables.of_object("ZTF18a")
        assert [(one.classifier_name, one.classifier_version) for one in said] == [
            ("a", "1"),
            ("a", "2"),
            ("b", "1"),
        ]
        assert [[row.ranking for row in one.classes] for one in said] == [[1, 2, 3, 4, 5]] * 3

    def test_the_best_class_of_many_objects(self, tables):
        many = [f"ZTF18{number:07}" for number in range(5100)]
        tables.add([(new_object(oid), {"AGN": 0.2, "SN": 0.8}) for oid in many], "b", "1")
        tables.add([(new_object(many[7]), {"AGN": 0.6, "SN": 0.4})], "a", "2")
        best = tables.best_of([*many, many[7], "ZTF18aaaaaaa"])
        assert best.keys() == set(many)
        assert [(one.classifier_name, one.classifier_version, one.classes) for one in best[many[7]]] == [
            ("a", "2", (ClassProbability("AGN", 0.6, 1),)),
            ("b", "1", (ClassProbability("SN", 0.8, 1),)),
        ]
        assert len(best[many[8]]) == 1
        assert tables.best_of([]) == {}

    def test_an_object_that_nobody_knows(self, tables):
        with pytest.raises(ObjectNotFound, match="ZTF18a"):
            tables.of_object("ZTF18a")

    def test_a_step_is_registered_once(self, tables, ask):
        tables.register(STEP)
        tables.register(StepEntry("early", "other", "2", "again", datetime(2027, 1, 1, tzinfo=UTC)))
        (row,) = ask("SELECT step_id, name, version, comments FROM step")
        assert tuple(row.values()) == ("early", "early", "1.0.0", "")

    def test_more_objects_than_one_statement_takes(self, tables, ask):
        many = [(new_object(f"ZTF18{number:07}"), dict.fromkeys(CLASSES[:2], 0.5)) for number in range(6000)]
        assert tables.add(many[:5500], "m", "1") == 5500
        assert tables.add(many, "m", "1") == 500
        assert ask("SELECT count(*) AS rows FROM probability") == [{"rows": 12000}]

    def test_a_batch_is_written_whole_or_not_at_all(self, tables, ask):
        tables.register(STEP)
        with pytest.raises(StoreUnavailable):
            tables.add([(new_object("ZTF18a"), probabilities(1)), (new_object("ZTF18b"), {None: 1.0})], "m", "1")
        assert ask("SELECT oid FROM object UNION SELECT oid FROM probability") == []

    def test_nothing_to_write(self, tables):
        assert tables.add([], "m", "1") == 0

    def test_writers_of_the_same_objects_do_not_hinder_each_other(self, url, ask):
        oids = [f"ZTF18{number:04}" for number in range(300)]

        def write(seed: int) -> int:
            draw = random.Random(seed)
            own = ProbabilityTables(make_url(url), 10.0)
            written = 0
            for _ in range(5):
                some = draw.sample(oids, 120)
                written += own.add([(new_object(oid), probabilities(seed)) for oid in some], "m", "1")
            own.close()
            return written

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        # Each object has the classes of one writer, all of them.
        rows = ask("SELECT oid, count(*) AS classes, sum(probability) AS total FROM probability GROUP BY oid")
        assert {row["classes"] for row in rows} == {5}
        assert all(row["total"] == pytest.approx(1) for row in rows)
        assert len(ask("SELECT oid FROM object")) == len(rows)

    def test_processes_that_start_at_once_make_the_tables_once(self, url, ask):
        def start(_: int) -> None:
            own = ProbabilityTables(make_url(url), 10.0)
            own.register(STEP)
            own.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(start, range(4)))
        assert len(ask("SELECT * FROM step")) == 1

    def test_tables_that_are_there_are_used_as_they_are(self, url, tables, ask):
        ask("CREATE TABLE step (step_id VARCHAR PRIMARY KEY, name VARCHAR, version VARCHAR, comments VARCHAR,"
            " date TIMESTAMP, extra INTEGER DEFAULT 7)")  # fmt: skip
        tables.register(STEP)
        (row,) = ask("SELECT step_id, extra FROM step")
        assert row == {"step_id": "early", "extra": 7}
        engine = create_engine(make_url(url))
        assert {"step", "object", "probability"} <= set(inspect(engine).get_table_names())
        engine.dispose()

    def test_tables_of_another_kind_are_refused(self, tables, ask):
        ask("CREATE TABLE object (name VARCHAR)")
        with pytest.raises(StoreUnavailable, match="a table object of another kind: it lacks oid"):
            tables.register(STEP)
