"""The early classification step gives what the published one gave, for every real alert there is."""

import copy
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stamp_service.classifiers import Classifier, open_model
from stamp_service.classifiers.conversion import convert
from stamp_service.errors import ConfigurationError, ObjectNotFound
from stamp_service.packets import Packet, recognise, write_ocf
from stamp_service.probabilities import ProbabilityTables, open_probabilities
from stamp_service.settings import Settings, load_settings
from stamp_service.steps.early_classification import EarlyClassificationStep, open_early_classification_step
from stamp_service.steps.messages import Message

TOLERANCE = 2e-6


def message(value: bytes | None, offset: int = 0) -> Message:
    return Message("topic", 0, offset, value)


def changed(packet: bytes, **fields: object) -> bytes:
    """Write a packet again with other values in its `candidate`."""
    parsed = Packet.parse(packet)
    schema = copy.deepcopy(parsed.schema)
    record = parsed.record()
    (candidate,) = [field["type"] for field in schema["fields"] if field["name"] == "candidate"]
    for field in (candidate[0] if isinstance(candidate, list) else candidate)["fields"]:
        if field["name"] in fields:
            field["type"] = ["null", "string", "double", "long"]
    record["candidate"] |= fields
    return write_ocf(schema, record)


@pytest.fixture(scope="session")
def model_dir(shared_data: Path, tmp_path_factory) -> Path:
    """The folder of a published model."""
    folder = tmp_path_factory.mktemp("models")
    convert(shared_data / "models" / "best_model_so_far", folder / "published")
    return folder


@pytest.fixture(scope="session")
def classifier(model_dir) -> Classifier:
    return open_model(model_dir / "published")


@pytest.fixture(scope="session")
def packets(shared_data) -> list[bytes]:
    """All real alerts of ZTF, in the order of their files' names."""
    files = [path for name in ("ztf", "ztf_snappy") for path in (shared_data / "alerts" / name).glob("*.avro")]
    return [path.read_bytes() for path in sorted(files)]


@pytest.fixture
def settings(model_dir, tmp_path) -> Settings:
    return load_settings(
        data_dir=tmp_path,
        model_dir=model_dir,
        model_name="published",
        consumer_server="127.0.0.1:1",
        consumer_group_id="early",
        producer_topic="results",
    )


@pytest.fixture
def step(settings, surveys) -> EarlyClassificationStep:
    opened = open_early_classification_step(settings, surveys)
    yield opened
    opened.close()


@pytest.fixture
def tables(settings) -> ProbabilityTables:
    opened = open_probabilities(settings, 5.0)
    yield opened
    opened.close()


def handle(step: EarlyClassificationStep, packets: list[bytes]) -> tuple[list[bytes], list[str]]:
    """Do as the loop does; gives the messages that are sent on, and why others were refused."""
    processed = step.process([message(packet, offset) for offset, packet in enumerate(packets)])
    for sink in step.sinks:
        assert not sink.write(processed.items)
    return [output.value for output in step.outputs(processed.items)], [
        refusal.reason for refusal in processed.refused
    ]


def stored(tables: ProbabilityTables, oid: str) -> dict[str, float] | None:
    try:
        (said,) = tables.of_object(oid)
    except ObjectNotFound:
        return None
    assert (said.classifier_name, said.classifier_version) == ("published", "1.0.0")
    assert [row.ranking for row in said.classes] == [1, 2, 3, 4, 5]
    return {row.class_name: row.probability for row in said.classes}


def test_every_real_alert_gives_what_the_published_step_gave(step, tables, packets, shared_data, surveys, golden):
    # The published step gave nothing for stamps that are not 63 x 63.
    misshaped = json.loads((shared_data / "models" / "golden_ztf_misshaped.json").read_text())
    expected: dict[str, dict[str, float] | None] = {}
    first: dict[str, dict[str, float] | None] = {}
    for packet in packets:
        alert = recognise(surveys, packet)
        assert alert.alert_id in golden.keys() ^ misshaped.keys()
        values = golden.get(alert.alert_id, {}).get("early_step")
        expected[alert.alert_id] = values
        first[alert.object_id] = first.get(alert.object_id) or values

    sent, refused = handle(step, packets)

    records = [Packet.parse(value).record() for value in sent]
    answers = {str(record["candid"]): record["probabilities"] for record in records}
    assert answers.keys() == {alert_id for alert_id, values in expected.items() if values is not None}
    for alert_id, values in answers.items():
        assert values == pytest.approx(expected[alert_id], abs=TOLERANCE)
    assert len(refused) == sum(values is None for values in expected.values())
    assert all("63 x 63" in reason for reason in refused)
    for oid, values in first.items():
        assert stored(tables, oid) == (None if values is None else pytest.approx(values, abs=TOLERANCE))


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"ssdistnr": None}, "model"),
        ({"ssdistnr": -999.0}, "model"),
        ({"ssdistnr": 3.0}, "asteroid"),
    ],
)
def test_only_a_known_asteroid_nearby_makes_an_asteroid(step, tables, packets, surveys, fields, outcome):
    alert = next(found for found in (recognise(surveys, packet) for packet in packets) if not_asteroid(found))
    _, refused = handle(step, [changed(alert.packet.data, **fields)])
    assert refused == []
    values = stored(tables, alert.object_id)
    assert (values["asteroid"] == 1.0) == (outcome == "asteroid")


def not_asteroid(alert) -> bool:
    return alert.values(("candidate.ssdistnr",)) == [-999.0]


@pytest.fixture(scope="session")
def golden(shared_data) -> dict[str, dict]:
    """What the published model and step gave, by alert id."""
    return json.loads((shared_data / "models" / "golden_ztf.json").read_text())


@pytest.mark.parametrize("fields", [{"isdiffpos": "f"}, {"sgscore1": 0.9, "distpsnr1": 0.5}])
def test_supernovae_that_are_none_are_not_stored(step, tables, packets, surveys, classifier, golden, fields):
    alerts = [alert for alert in (recognise(surveys, packet) for packet in packets) if not_asteroid(alert)]
    alerts.sort(key=lambda alert: -golden.get(alert.alert_id, {"SN": 0.0})["SN"])
    others = ((alert, changed(alert.packet.data, **fields)) for alert in alerts)
    alert, other = next(
        (alert, other)
        for alert, other in others
        if classifier.classify([recognise(surveys, other)])[0].best()[0] == "SN"
    )
    assert handle(step, [other]) == ([], [])
    assert stored(tables, alert.object_id) is None
    # The next alert of the same object has its chance.
    sent, _ = handle(step, [changed(alert.packet.data, ssdistnr=1.0)])
    assert len(sent) == 1
    assert stored(tables, alert.object_id)["asteroid"] == 1.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"no packet",
        {"ra": None},
        {"ra": float("nan")},
        {"ndethist": 2**31},
        {"ndethist": None},
        {"ncovhist": 1.5},
        {"jdstarthist": "yesterday"},
        {"magpsf": None},
        "cut",
    ],
)
def test_poison_is_refused_and_the_others_are_not(step, tables, packets, value):
    poison = (
        packets[3][:-100] if value == "cut" else changed(packets[3], **value) if isinstance(value, dict) else value
    )
    sent, refused = handle(step, [packets[0], poison, packets[1]])
    assert len(sent) == 2
    assert len(refused) == 1
    assert refused[0]


def test_alerts_of_other_surveys_are_passed_over(step, shared_data, packets):
    atlas = next((shared_data / "alerts" / "atlas").glob("*.avro")).read_bytes()
    sent, refused = handle(step, [atlas, packets[0]])
    assert (len(sent), refused) == (1, [])


def test_dates_that_an_alert_lacks_are_null(step, settings, packets, surveys):
    alert = recognise(surveys, packets[0])
    handle(step, [changed(packets[0], jdstarthist=None)])
    with open_database(settings) as ask:
        (row,) = ask("SELECT * FROM object")
    jd, ra = alert.values(("candidate.jd",), ("candidate.ra",))
    assert row["mjdstarthist"] is None
    assert row["mjdendhist"] is not None
    assert (row["oid"], row["firstmjd"], row["meanra"]) == (alert.object_id, jd - 2400000.5, ra)


@contextmanager
def open_database(settings: Settings) -> Iterator[Callable[[str], list[sqlite3.Row]]]:
    """Ask SQLite itself."""
    with closing(sqlite3.connect(settings.data_dir / "probabilities.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        yield lambda statement: connection.execute(statement).fetchall()


def test_the_step_says_who_it_is(settings, surveys):
    named = settings.model_copy(update={"step_id": "early", "step_version": "3.2.1", "step_comments": "tried"})
    for _ in range(2):
        open_early_classification_step(named, surveys).close()
    with open_database(settings) as ask:
        (row,) = ask("SELECT * FROM step")
    assert (row["step_id"], row["version"], row["comments"]) == ("early", "3.2.1", "tried")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model_name": None}, "MODEL_NAME is not set"),
        ({"model_name": "other"}, "MODEL_NAME is not one of"),
        ({"db_host": "127.0.0.1"}, "DB_HOST and DB_NAME"),
    ],
)
def test_settings_that_say_too_little(settings, surveys, fields, says):
    with pytest.raises(ConfigurationError, match=says):
        open_early_classification_step(settings.model_copy(update=fields), surveys)


def test_a_model_that_was_tampered_with_is_refused(settings, surveys, model_dir, tmp_path):
    folder = tmp_path / "models" / "published"
    folder.mkdir(parents=True)
    for file in (model_dir / "published").iterdir():
        data = bytearray(file.read_bytes())
        data[-1] ^= file.suffix == ".onnx"
        (folder / file.name).write_bytes(data)
    with pytest.raises(ConfigurationError, match="not the file"):
        open_early_classification_step(settings.model_copy(update={"model_dir": folder.parent}), surveys)
